//! Waiting for the kernel to drain.
//!
//! [`EpollWaiter`] sleeps until a drain of its ring wakes it, `RingSet` until a drain of any of its rings does; [`Spin`]
//! and [`Yield`] are for threads with a processor to themselves. Kernel counterpart: `ringbuf_map_poll_user`, and the
//! irq_work that `bpf_user_ringbuf_drain` queues.

mod edge;
mod epoll;
mod recheck;
mod rhythm;
#[cfg(feature = "alloc")]
mod set;
mod spin;

use core::time::Duration;

use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};

pub use edge::WaiterError;
#[cfg(feature = "std")]
pub(crate) use edge::{Edges, Events, duplicate, named, timespec};
pub use epoll::{Canceller, EpollWaiter};
#[cfg(feature = "std")]
pub(crate) use recheck::Pace;
pub use recheck::Recheck;
#[cfg(feature = "alloc")]
pub use set::{RingSet, RingSetError, Woken};
pub use spin::{Spin, Yield};

/// Time from `now` until `until` on the monotonic clock: zero if that is past, and at most 584 years.
///
/// In nanoseconds, since `Duration`'s own difference links a panic where the compiler does not know both operands.
pub(crate) fn time_left(until: Duration, now: Duration) -> Duration {
    Duration::from_nanos(nanoseconds(until).saturating_sub(nanoseconds(now)))
}

/// A moment on the monotonic clock, in nanoseconds.
fn nanoseconds(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

/// Time on the monotonic clock, which is never set back.
pub(crate) fn monotonic() -> Duration {
    // The call that can fail, since the other one panics instead, and the panic would be linked. This clock always
    // works; if it did not, every deadline would have passed.
    let Ok(now) = clock_gettime_dynamic(DynamicClockId::Known(ClockId::Monotonic)) else { return Duration::MAX };
    // The kernel's monotonic clock begins at 0 and keeps nanoseconds below a second. Otherwise `new` would panic; this
    // shows the compiler that it never does.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0).min(999_999_999))
}
