//! The ordering table: every atomic access that the core makes, what ordering it needs, and what it pairs with.
//!
//! The core names a [`Role`] at each atomic access; the backend performs it with [`Role::ordering`]. A simulated
//! backend may weaken one role alone, and the model checker must then find a failure. A role whose weakening causes
//! none would not be needed.
//!
//! **Limits of what the models show.**
//! - Models with three threads or more are bounded: at 3 preemptions for a full ring, a lane, a wait, a second producer
//!   and raw handles, and at 1 preemption for three threads that share a producer.
//! - The walk of an observer during a drain ([`Role::ObserveHeader`]) is shown only for memory on which a store becomes
//!   visible to all other processors at once, as on x86, Arm and RISC-V but not on POWER. There a walk may report a
//!   record of the next lap.
//! - The private word of a shared producer holds positions modulo 2^51. If a thread stops between its load and its
//!   exchange while the others reserve exactly that many bytes, it continues with a position that is 2^51 too low.

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

            /// The role's name in reports and on a command line.
            pub const fn name(self) -> &'static str {
                match self { $(Role::$role => $name,)* }
            }

            /// The access that this ordering pairs with.
            pub const fn pairs_with(self) -> &'static str {
                match self { $(Role::$role => $pair,)* }
            }
        }
    };
}

roles! {
    /// The producer loads `consumer_pos` to learn how much room there is.
    ///
    /// Acquire: the kernel has finished reading a sample before the producer writes to the same bytes again.
    LoadConsumer = Acquire, "load-consumer",
        "the kernel's release store of consumer_pos in __bpf_user_ringbuf_sample_release";
    /// The producer loads `producer_pos` to learn where to begin, or whether another producer moved it.
    ///
    /// Relaxed: the value is only compared and checked; nothing is read through it.
    LoadOwnProducer = Relaxed, "load-own-producer", "nothing: the value is compared, nothing is read through it";
    /// The producer stores `producer_pos`: the kernel may look at everything before it.
    ///
    /// Release: headers, and the samples of records published without the busy bit, are written before.
    PublishProducer = Release, "publish-producer",
        "the kernel's acquire load of producer_pos in __bpf_user_ringbuf_peek";
    /// A record that is already visible gets its final length word: submitted or discarded.
    ///
    /// Release: the sample, and in a lane the next header, are written before.
    CommitHeader = Release, "commit-header", "the kernel's acquire load of the header in __bpf_user_ringbuf_peek";
    /// A thread loads the reservations word to see where the next record would begin.
    ///
    /// Acquire: if no thread was in flight, the headers of all that have finished are written, and this thread may
    /// publish what lies behind them. (The exchange that follows fails if the value was not the newest.)
    LoadReservations = Acquire, "load-reservations", "the other producers' release exchange that finishes a reservation";
    /// A thread takes room in the reservations word.
    ///
    /// Release: a thread that sees the room taken, and then loads `consumer_pos`, sees a position no older than the one
    /// that freed the room. As a read-modify-write it also continues the release sequence of earlier finishers.
    TakeRoom = Release, "take-room", "another producer's acquire load of the reservations word before consumer_pos";
    /// A thread that has written its header checks whether it is the last in flight and therefore has to publish.
    ///
    /// Acquire: the headers of all threads that have finished are written.
    ObserveInFlight = Acquire, "observe-in-flight", "the other producers' release exchange that finishes a reservation";
    /// A thread leaves the reservations word: its header is written, and so is what it has published.
    ///
    /// Release: the next thread to publish shows this header, and must store `producer_pos` after this thread's store.
    FinishReservation = Release, "finish-reservation", "the next publisher's acquire load of the reservations word";
    /// A thread loads the limit that another thread found.
    ///
    /// Acquire: the kernel's reads, which that thread has seen to be finished, are finished for this thread too.
    LoadLimit = Acquire, "load-limit", "the release store of the limit by the thread that loaded consumer_pos";
    /// A thread stores the limit that it found by loading `consumer_pos`.
    ///
    /// Release: passes on what the acquire load of `consumer_pos` established.
    StoreLimit = Release, "store-limit", "the other producers' acquire load of the limit";
    /// A thread joins or leaves the line for room of a shared producer, or the number of those in line is loaded.
    ///
    /// Relaxed: the number decides who goes first, and for how long at most; nothing is read through it.
    CountLine = Relaxed, "count-line", "nothing: the number is only compared";
    /// An observer loads `producer_pos` to walk the records up to it.
    ///
    /// Acquire: the headers up to that position are written.
    ObserveProducer = Acquire, "observe-producer", "the producer's release store of producer_pos";
    /// An observer loads a header.
    ///
    /// Acquire: behind a committed record of a lane, the header of the next record is written.
    ObserveHeader = Acquire, "observe-header", "the release store that commits a header";
}

impl Role {
    /// Finds a role by its [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }

    /// Whether the role needs a stronger ordering than relaxed.
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
    extern crate std;

    use super::*;

    #[test]
    fn every_role_is_found_by_its_name_and_no_other() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(*role));
        }
        assert_eq!(Role::from_name("load-producer"), None);
        assert_eq!(Role::from_name(""), None);
    }

    #[test]
    fn only_what_is_compared_and_nothing_else_is_unordered_and_every_other_role_names_its_partner() {
        for role in Role::ALL {
            let compared_only = matches!(role, Role::LoadOwnProducer | Role::CountLine);
            assert_eq!(role.is_ordered(), !compared_only, "{role}");
            assert_eq!(role.pairs_with().starts_with("nothing: "), compared_only, "{role}");
            assert_eq!(std::format!("{role}"), role.name());
        }
    }
}
