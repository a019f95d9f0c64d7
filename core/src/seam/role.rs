//! The ordering table: every atomic access that the core makes, what ordering it needs, and what it pairs with.
//!
//! The core names a [`Role`] at each atomic access; the backend performs it with [`Role::ordering`]. A simulated
//! backend may weaken one role alone, and the model checker then has to find out: a role whose weakening nothing
//! catches would not be needed.
//!
//! **Where "needed, and enough" ends.** Models of three threads and more are bounded: at a full ring, beside a lane, in
//! front of a wait, behind another producer and with handles that keep nothing at 3 preemptions, with three sharers at 1.
//! The walk of an observer beside a drain ([`Role::ObserveHeader`]) is shown for memory on which a store becomes visible to all others at once, as on x86, Arm and RISC-V and not on
//! POWER: elsewhere a walk may name a record of the next lap. The private word of a shared producer holds positions
//! modulo 2^51: a thread that is frozen between its load and its exchange, while the others reserve exactly that many
//! bytes, would go on with a position 2^51 too low.

use core::sync::atomic::Ordering;

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $ordering:ident, $name:literal, $pair:literal;)*) => {
        /// One kind of atomic access. The variants are the rows of the ordering table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Role {
            $($(#[$doc])* $role,)*
        }

        impl Role {
            /// Every role, in the order of the table.
            pub const ALL: &'static [Role] = &[$(Role::$role),*];

            /// The ordering that the protocol needs here.
            #[inline(always)]
            pub const fn ordering(self) -> Ordering {
                match self { $(Role::$role => Ordering::$ordering,)* }
            }

            /// The role's name on a command line and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Role::$role => $name,)* }
            }

            /// The access on the other side that makes this ordering necessary.
            pub const fn pairs_with(self) -> &'static str {
                match self { $(Role::$role => $pair,)* }
            }
        }
    };
}

roles! {
    /// The producer loads `consumer_pos` to learn how much room there is.
    ///
    /// Acquire: the kernel's reads of a sample are over before the producer writes into its place again.
    LoadConsumer = Acquire, "load-consumer",
        "the kernel's release store of consumer_pos in __bpf_user_ringbuf_sample_release";
    /// The producer loads `producer_pos` to learn where to begin, or whether somebody else moved it.
    ///
    /// Relaxed: nothing is read through the value, which is compared and checked only.
    LoadOwnProducer = Relaxed, "load-own-producer", "nothing: the value is compared, nothing is read through it";
    /// The producer stores `producer_pos`: everything before it may be looked at.
    ///
    /// Release: headers, and the samples of records published without the busy bit, are written before.
    PublishProducer = Release, "publish-producer",
        "the kernel's acquire load of producer_pos in __bpf_user_ringbuf_peek";
    /// A record that is visible already gets its final length word: submitted or discarded.
    ///
    /// Release: the sample, and in a lane the next header, are written before.
    CommitHeader = Release, "commit-header", "the kernel's acquire load of the header in __bpf_user_ringbuf_peek";
    /// A thread loads the reservations' word to see where the next record would begin.
    ///
    /// Relaxed: the exchange that follows fails if the value was not the newest.
    LoadReservations = Relaxed, "load-reservations", "nothing: the exchange that takes the room checks the value";
    /// A thread takes room in the reservations' word.
    ///
    /// Release: whoever sees the room taken, and then looks at `consumer_pos`, sees no older position than the one that
    /// made the room free. As a read-modify-write it carries on what earlier finishers released.
    TakeRoom = Release, "take-room", "another producer's acquire load of the reservations' word before consumer_pos";
    /// A thread that has written its header looks whether it is the last in flight, and so the one to publish.
    ///
    /// Acquire: the headers of all who have finished are written.
    ObserveInFlight = Acquire, "observe-in-flight", "the other producers' release exchange that finishes a reservation";
    /// A thread leaves the reservations' word: its header is written, and so is what it has published.
    ///
    /// Release: whoever publishes next shows this header, and must store `producer_pos` after this thread's store.
    FinishReservation = Release, "finish-reservation", "the next publisher's acquire load of the reservations' word";
    /// A thread loads the limit that another one found.
    ///
    /// Acquire: the kernel's reads, which the finder has seen to be over, are over for this thread too.
    LoadLimit = Acquire, "load-limit", "the release store of the limit by the thread that loaded consumer_pos";
    /// A thread stores the limit that it found by loading `consumer_pos`.
    ///
    /// Release: passes on what the acquire load of `consumer_pos` has learnt.
    StoreLimit = Release, "store-limit", "the other producers' acquire load of the limit";
    /// An observer loads `producer_pos` to walk the records in front of it.
    ///
    /// Acquire: the headers up to that position are written.
    ObserveProducer = Acquire, "observe-producer", "the producer's release store of producer_pos";
    /// An observer loads a header.
    ///
    /// Acquire: behind a committed record of a lane stands the header of the next.
    ObserveHeader = Acquire, "observe-header", "the release store that commits a header";
}

impl Role {
    /// The role of this [`name`](Self::name), or `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// Whether the role needs more than a relaxed access.
    pub const fn is_ordered(self) -> bool {
        !matches!(self.ordering(), Ordering::Relaxed)
    }
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_name_and_no_other() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(*role));
        }
        assert_eq!(Role::from_name("load-producer"), None);
        assert_eq!(Role::from_name(""), None);
    }
}
