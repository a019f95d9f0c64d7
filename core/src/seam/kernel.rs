//! What a drain takes and returns: flags, the limit, errors. Kernel counterpart: `bpf_user_ringbuf_drain` (helper 209).

use core::fmt;

/// Drain flag `BPF_RB_NO_WAKEUP`: don't wake waiters, whatever was consumed.
pub const NO_WAKEUP: u64 = 1;

/// Drain flag `BPF_RB_FORCE_WAKEUP`: wake waiters even if nothing was consumed.
pub const FORCE_WAKEUP: u64 = 2;

/// Most records that one drain consumes, discarded ones included (`BPF_MAX_USER_RINGBUF_SAMPLES`).
pub const MAX_RECORDS_PER_DRAIN: u32 = 128 * 1024;

/// An error that a drain returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelError {
    /// -EBUSY: another drain of this ring is running, perhaps the one whose callback called the helper again.
    Busy,
    /// -EINVAL: unknown drain flags, a producer position that is not a multiple of 8, or a record that reaches beyond
    /// the producer position.
    Invalid,
    /// -E2BIG: a record larger than the ring, or a sample of 2^24 bytes or more.
    TooBig,
}

impl KernelError {
    /// The Linux error number, as a positive number.
    pub const fn errno(self) -> i32 {
        match self {
            Self::Busy => 16,
            Self::Invalid => 22,
            Self::TooBig => 7,
        }
    }

    /// The symbol of the error number, such as `EINVAL`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "EBUSY",
            Self::Invalid => "EINVAL",
            Self::TooBig => "E2BIG",
        }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-{}", self.name())
    }
}

impl core::error::Error for KernelError {}
