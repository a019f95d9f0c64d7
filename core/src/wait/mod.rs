//! Waiting for the kernel to drain: deadlines and retries in `attempts`, sleeping and clocks in the backend.
//!
//! Invariant: every wait follows a failed attempt and is followed by another attempt. So no wake is lost as long as the
//! backend remembers one that comes between an attempt and the wait. A backend may forget a wake if the ring is full
//! again by the time it looks, as epoll does. A wait for room has no room then anyway; a wait for consumption, on a
//! ring that others fill, also looks after some time. Kernel counterpart: `irq_work_queue(&rb->work)` at the end of
//! `bpf_user_ringbuf_drain`, which wakes those who poll the map, unless the drain passes `BPF_RB_NO_WAKEUP`.

pub(crate) mod attempts;

use core::fmt;
use core::time::Duration;

use crate::error::ReserveError;
use crate::format::position::{Corruption, Position};
use crate::seam::memory::RingId;

/// Longest timeout: 2^32 - 1 seconds, about 136 years. `None` waits forever.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(u32::MAX as u64);

/// Why a wait returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It is time to look again, though there may be nothing new.
    Look,
    /// The wait was cancelled.
    Cancelled,
}

/// How a backend waits for the kernel to drain.
pub trait Wait {
    /// What can go wrong while waiting.
    type Error;

    /// Returns the ring whose drains end a wait; `None` if this waiter serves every ring, as spinning does. A producer
    /// of another ring refuses to wait with it ([`BlockingError::OtherRing`]).
    fn ring(&self) -> Option<RingId>;

    /// Returns the time on a clock that never goes back, since a moment of the backend's choice.
    fn now(&self) -> Duration;

    /// Goes to the end of the line, for a wait that is about to begin: other waiters wait for the same room, and those that
    /// began earlier should be served first. Producers that threads share call it before the first wait of an operation.
    ///
    /// A drain that wakes is remembered all the same, as [`wait`](Self::wait) demands. By default it does nothing: who is
    /// served first is up to the scheduler.
    ///
    /// # Errors
    /// Whatever keeps the backend from doing so. The operation fails with it.
    fn take_turn(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Counts `bytes` more that were reserved with this waiter from a producer that threads share. Returns how many they
    /// are since the last [turn](Self::take_turn). A thread that has had its share of the ring while others wait for room
    /// is made to [give way](Self::give_way).
    ///
    /// By default nothing is counted, and no thread gives way.
    fn took(&mut self, bytes: u32) -> u64 {
        let _ = bytes;
        0
    }

    /// Lets others go first, though there may be room: takes a turn, and sleeps until a drain that comes after this call
    /// wakes, or until the clock of [`now`](Self::now) reaches `until`, which is not far. An attempt follows. By default it
    /// does nothing.
    ///
    /// # Errors
    /// As for [`take_turn`](Self::take_turn).
    fn give_way(&mut self, until: Duration) -> Result<(), Self::Error> {
        let _ = until;
        Ok(())
    }

    /// Waits until the kernel may have drained, until the clock of [`now`](Self::now) reaches `until`, or until
    /// cancelled. `round` counts the waits of this operation: 0, 1, 2 and so on, for waiters that back off.
    ///
    /// It may return at any time. It must return if a drain that wakes has happened since the last wait, even before
    /// this call, unless the ring is full to the last byte. It must return once `until` has come.
    ///
    /// # Errors
    /// Whatever keeps the backend from waiting.
    fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, Self::Error>;
}

/// Why a blocking operation gave up. Nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockingError<E> {
    /// The reservation fails for another reason than a full ring, so waiting can't help.
    Reserve(ReserveError),
    /// The time is up, and the last attempt failed too.
    TimedOut {
        /// The timeout asked for.
        timeout: Duration,
    },
    /// The timeout is longer than [`MAX_TIMEOUT`].
    TimeoutTooLong {
        /// The timeout asked for.
        timeout: Duration,
        /// Longest timeout allowed: [`MAX_TIMEOUT`].
        max: Duration,
    },
    /// The waiter belongs to another ring than the producer.
    OtherRing {
        /// The ring that the waiter was made for.
        waiter: RingId,
        /// The ring that the producer works on.
        producer: RingId,
    },
    /// The wait is for more room than the ring has.
    BeyondRing {
        /// Bytes asked for.
        bytes: usize,
        /// Size of the ring in bytes.
        size: u32,
    },
    /// The wait is for a position that nothing submitted has reached yet.
    NotSubmitted {
        /// The position asked for.
        position: Position,
        /// Where everything submitted or reserved so far ends.
        end: Position,
    },
    /// The wait was cancelled.
    Cancelled,
    /// The backend could not wait.
    Wait(E),
}

impl<E: fmt::Display> fmt::Display for BlockingError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserve(why) => why.fmt(f),
            Self::TimedOut { timeout } => write!(f, "the kernel has not drained enough within {timeout:?}"),
            Self::TimeoutTooLong { timeout, max } => {
                write!(f, "a timeout of {timeout:?} is too long: {max:?} at most; pass `None` to wait forever")
            }
            Self::OtherRing { waiter, producer } => write!(
                f,
                "this waiter is for the ring {waiter}, but the producer works on the ring {producer}: make a waiter from \
                 the producer's own map"
            ),
            Self::BeyondRing { bytes, size } => {
                write!(f, "there will never be room for {bytes} bytes: the ring has {size}")
            }
            Self::NotSubmitted { position, end } => {
                write!(f, "position {position} was not submitted yet: everything so far ends at {end}")
            }
            Self::Cancelled => f.write_str("the waiting was cancelled"),
            Self::Wait(why) => write!(f, "could not wait: {why}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for BlockingError<E> {}

impl<E> From<ReserveError> for BlockingError<E> {
    fn from(why: ReserveError) -> Self {
        Self::Reserve(why)
    }
}

impl<E> From<Corruption> for BlockingError<E> {
    fn from(why: Corruption) -> Self {
        Self::Reserve(ReserveError::Corrupted(why))
    }
}
