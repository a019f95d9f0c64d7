//! Errors: one enum per operation, each carrying the numbers involved.

use core::fmt;

use crate::format::position::{Corruption, Position};
use crate::observe::records::{Damage, Record};

/// Why a producer can't attach to a ring, or resume on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The positions can't be those of a working ring. [`repair`](crate::repair) frees the ring.
    Corrupted(Corruption),
    /// A record is busy: its producer is still at work, or died before it submitted. If the producer is gone,
    /// [`repair`](crate::repair) frees the ring.
    Busy {
        /// The first busy record.
        record: Record,
    },
    /// The kernel can never get past one of the records. [`repair`](crate::repair) frees the ring.
    Damaged {
        /// What is wrong, and where.
        damage: Damage,
    },
    /// This memory already has a producer, and samples of it may be outstanding. Drop that producer first, or share it
    /// ([`Producer::into_shared`](crate::Producer::into_shared)).
    AlreadyAttached,
    /// Another thread is in the middle of a reservation, so [`Shared::resume`](crate::Shared::resume) can't look at the
    /// ring now: try again.
    InFlight,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupted(why) => write!(f, "the ring is corrupted: {why}"),
            Self::Busy { record } => write!(
                f,
                "the record of {} bytes at {} is busy: another producer is at work, or died and left the ring to repair",
                record.len, record.start
            ),
            Self::Damaged { damage } => write!(f, "the ring is to be repaired: {damage}"),
            Self::AlreadyAttached => {
                f.write_str("this memory has a producer already: drop it first, or share it between threads")
            }
            Self::InFlight => f.write_str("another thread is in the middle of a reservation: try again"),
        }
    }
}

impl core::error::Error for AttachError {}

/// A failed attempt to attach, which gives the memory back: see [`Producer::try_attach`](crate::Producer::try_attach).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachFailed<M> {
    error: AttachError,
    memory: M,
}

impl<M> AttachFailed<M> {
    pub(crate) fn new(error: AttachError, memory: M) -> Self {
        Self { error, memory }
    }

    /// Why attaching failed.
    pub fn error(&self) -> AttachError {
        self.error
    }

    /// Returns the memory, for another attempt.
    pub fn into_inner(self) -> M {
        self.memory
    }
}

impl<M> fmt::Display for AttachFailed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M: fmt::Debug> core::error::Error for AttachFailed<M> {}

impl<M> From<AttachFailed<M>> for AttachError {
    fn from(failed: AttachFailed<M>) -> Self {
        failed.error
    }
}

/// Why a sample could not be reserved. The ring is unchanged, and the kernel sees nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveError {
    /// The sample is too long for this ring or for the kernel (`__bpf_user_ringbuf_peek` answers -E2BIG). Waiting does
    /// not help.
    TooLarge {
        /// Sample length asked for, in bytes.
        len: usize,
        /// Longest sample in this ring, in bytes.
        max: u32,
    },
    /// There is no room until the kernel drains. The same call may succeed after that.
    Full {
        /// Bytes that the record needs, header and padding included.
        needed: u32,
        /// Bytes that are free.
        available: u32,
    },
    /// The batch can't hold another record of this size, however much the kernel drains: submit the batch first.
    BatchFull {
        /// Bytes that the record needs, header and padding included.
        needed: u32,
        /// Bytes of the ring that the batch does not occupy yet.
        left: u32,
    },
    /// The [`Lane`](crate::Lane) has too little left for the record, and draining does not help: close it and take
    /// another.
    LaneUsedUp {
        /// Bytes that the record needs, header and padding included.
        needed: u32,
        /// Bytes that the lane has left.
        left: u32,
    },
    /// A lane of length 0 was asked for, which has room only for an empty sample.
    EmptyLane,
    /// The positions in the shared memory can't be those of a working ring. [`repair`](crate::repair) frees the ring.
    Corrupted(Corruption),
    /// Another producer moved `producer_pos`: it is, or was, at work on this ring.
    /// [`Producer::resume`](crate::Producer::resume) continues from the new position.
    ForeignProducer {
        /// Where this producer left `producer_pos`.
        expected: Position,
        /// Where it was found.
        found: Position,
    },
}

impl ReserveError {
    /// Whether this is [`Full`](Self::Full), so that the same call may succeed once the kernel has drained.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether what was written and not yet submitted must never be shown to the kernel.
    pub(crate) const fn is_loss(&self) -> bool {
        matches!(self, Self::ForeignProducer { .. } | Self::Corrupted(_))
    }
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { len, max } => {
                write!(f, "a sample of {len} bytes is too large: this ring takes at most {max}")
            }
            Self::Full { needed, available } => {
                write!(f, "the ring is full: the record needs {needed} bytes, {available} are free")
            }
            Self::BatchFull { needed, left } => {
                write!(f, "the batch is full: the record needs {needed} bytes, the batch leaves {left} of the ring")
            }
            Self::LaneUsedUp { needed, left } => {
                write!(f, "the lane is used up: the record needs {needed} bytes, {left} are left")
            }
            Self::EmptyLane => f.write_str("a lane of 0 bytes: it must have at least 1"),
            Self::Corrupted(why) => write!(f, "the ring is corrupted: {why}"),
            Self::ForeignProducer { expected, found } => write!(
                f,
                "another producer moved the producer position from {expected} to {found}: resume to go on from there"
            ),
        }
    }
}

impl core::error::Error for ReserveError {}

impl From<Corruption> for ReserveError {
    fn from(why: Corruption) -> Self {
        Self::Corrupted(why)
    }
}
