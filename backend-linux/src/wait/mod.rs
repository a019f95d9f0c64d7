//! Waiting for the kernel to drain.
//!
//! [`EpollWaiter`] sleeps until a drain wakes it; [`Spin`] and [`Yield`] are for those who own a core. Kernel
//! counterpart: `ringbuf_map_poll_user`, and the irq_work that `bpf_user_ringbuf_drain` queues.

mod edge;
mod epoll;
mod recheck;
mod spin;

use core::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use edge::WaiterError;
pub use epoll::{Canceller, EpollWaiter};
pub use recheck::Recheck;
pub use spin::{Spin, Yield};

/// Time on the monotonic clock, which no one sets back.
fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    // The kernel's monotonic clock begins at 0 and keeps nanoseconds below a second.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
