//! Waiting for the kernel to drain.
//!
//! [`EpollWaiter`] sleeps until a drain of its ring wakes it, [`RingSet`] until one of any of its rings does; [`Spin`] and [`Yield`] are for those who own a core. Kernel
//! counterpart: `ringbuf_map_poll_user`, and the irq_work that `bpf_user_ringbuf_drain` queues.

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

/// Time on the monotonic clock, which no one sets back.
pub(crate) fn monotonic() -> Duration {
    // The call that may fail, since the other one panics where this one fails, and would be linked. This clock always
    // works; were it not so, every deadline would have passed.
    let Ok(now) = clock_gettime_dynamic(DynamicClockId::Known(ClockId::Monotonic)) else { return Duration::MAX };
    // The kernel's monotonic clock begins at 0 and keeps nanoseconds below a second. `new` would panic otherwise, and
    // the compiler sees here that it never does.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0).min(999_999_999))
}
