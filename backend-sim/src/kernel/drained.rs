//! What a drain returns. Kernel counterpart: the return value of `bpf_user_ringbuf_drain`.

use user_ringbuf_core::KernelError;

/// The result of one drain, and what the kernel keeps to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a drain may have failed"]
pub struct Drained {
    /// What the helper returns: samples handed to the callback, or the error that ended the drain. Records in front of
    /// the error are consumed all the same.
    pub returned: Result<u32, KernelError>,
    /// Records consumed, discarded ones included.
    pub consumed: u32,
    /// Discarded records skipped.
    pub discarded: u32,
    /// Whether the drain wakes the waiters.
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

    /// A drain that ended before it looked at a record. It wakes no waiter, FORCE_WAKEUP or not.
    pub(crate) const fn refused(why: KernelError) -> Self {
        Self { returned: Err(why), consumed: 0, discarded: 0, woke: false }
    }
}
