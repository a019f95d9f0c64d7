//! Which tracked access is under way, so that a data race found by loom can be named after what it would do to a ring.

use std::cell::Cell;

/// A tracked access of plain memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    WriteHeader,
    WritePayload,
    KernelReadsHeader,
    KernelReadsSample,
}

impl Access {
    /// What it means that loom finds this access in a race with an earlier one.
    #[cfg(feature = "proof")]
    pub(crate) const fn race(self) -> &'static str {
        match self {
            Self::WriteHeader => "data race: a header is written while the kernel may still read there",
            Self::WritePayload => "data race: a sample is overwritten while the kernel may still read it",
            Self::KernelReadsHeader => "stale header: the kernel reads one that may not be written yet",
            Self::KernelReadsSample => "torn sample: the kernel reads bytes that may not be written yet",
        }
    }
}

thread_local! {
    // Loom runs all threads of a model on one thread of the system, and never switches within an access.
    static UNDER_WAY: Cell<Option<Access>> = const { Cell::new(None) };
}

/// Runs `body`, one tracked access. A panic in it leaves the access on record.
#[track_caller]
pub(super) fn tracked<T>(access: Access, body: impl FnOnce() -> T) -> T {
    UNDER_WAY.set(Some(access));
    let result = body();
    UNDER_WAY.set(None);
    result
}

/// The access that was under way when this thread panicked.
#[cfg(feature = "proof")]
pub(crate) fn under_way() -> Option<Access> {
    UNDER_WAY.get()
}
