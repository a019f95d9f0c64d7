//! What a drain answers. Kernel counterpart: the return value of `bpf_user_ringbuf_drain`.

use core::fmt;

/// The kernel's three errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DrainError {
    /// -EBUSY: another drain of this ring is at work, perhaps the one whose callback drains again.
    Busy,
    /// -EINVAL: unknown drain flags, a producer position that is not a multiple of 8, or a record that reaches beyond the
    /// producer position.
    Invalid,
    /// -E2BIG: a record larger than the ring, or a sample of 2^24 bytes or more.
    TooBig,
}

impl DrainError {
    /// The Linux error number, positive.
    pub const fn errno(self) -> i32 {
        match self {
            Self::Busy => 16,
            Self::Invalid => 22,
            Self::TooBig => 7,
        }
    }

    /// The error number's symbol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "EBUSY",
            Self::Invalid => "EINVAL",
            Self::TooBig => "E2BIG",
        }
    }
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the drain returned -{}", self.name())
    }
}

impl core::error::Error for DrainError {}

/// The answer of one drain, and what the kernel keeps to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a drain may have failed"]
pub struct Drained {
    /// What the helper returns: samples handed to the callback, or the error that ended the drain. Records in front of
    /// the error are consumed all the same.
    pub returned: Result<u32, DrainError>,
    /// Records consumed, discarded ones included.
    pub consumed: u32,
    /// Discarded records skipped.
    pub discarded: u32,
    /// Whether the drain wakes those who wait for room.
    pub woke: bool,
}

impl Drained {
    /// The helper's return value as the BPF program sees it: samples, or the negative error number.
    pub fn code(&self) -> i64 {
        match self.returned {
            Ok(samples) => i64::from(samples),
            Err(why) => -i64::from(why.errno()),
        }
    }

    /// A drain that ended before it looked at a record. It wakes nobody, FORCE_WAKEUP or not.
    pub(crate) const fn refused(why: DrainError) -> Self {
        Self { returned: Err(why), consumed: 0, discarded: 0, woke: false }
    }
}
