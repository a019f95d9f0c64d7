//! Waiting without sleeping, for threads with a processor to themselves.

use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use user_ringbuf_core::{RingId, Wait, Wake};

use super::monotonic;

/// Looks at the ring again and again: the shortest delay, at the cost of a whole processor.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug, Default, Clone, Copy)]
pub struct Spin<'a> {
    cancelled: Option<&'a AtomicBool>,
}

/// Gives the processor to other threads that want it, then looks again (`sched_yield`): uses the whole processor only
/// if it is otherwise idle.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug, Default, Clone, Copy)]
pub struct Yield<'a> {
    cancelled: Option<&'a AtomicBool>,
}

impl Spin<'static> {
    /// Spins until there is room or the time is up.
    pub const fn new() -> Self {
        Self { cancelled: None }
    }
}

impl Yield<'static> {
    /// Yields until there is room or the time is up.
    pub const fn new() -> Self {
        Self { cancelled: None }
    }
}

impl<'a> Spin<'a> {
    /// Spins until there is room, the time is up, or `flag` is set.
    pub const fn until_cancelled(flag: &'a AtomicBool) -> Self {
        Self { cancelled: Some(flag) }
    }
}

impl<'a> Yield<'a> {
    /// Yields until there is room, the time is up, or `flag` is set.
    pub const fn until_cancelled(flag: &'a AtomicBool) -> Self {
        Self { cancelled: Some(flag) }
    }
}

/// Relaxed: nothing is read through the flag.
fn wake(cancelled: Option<&AtomicBool>) -> Wake {
    if cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) { Wake::Cancelled } else { Wake::Look }
}

impl Wait for Spin<'_> {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        None
    }

    fn now(&self) -> Duration {
        monotonic()
    }

    fn wait(&mut self, _round: u32, _until: Option<Duration>) -> Result<Wake, Infallible> {
        // A look at the consumer position takes its cache line from the kernel: pause in between.
        for _ in 0..16 {
            core::hint::spin_loop();
        }
        Ok(wake(self.cancelled))
    }
}

impl Wait for Yield<'_> {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        None
    }

    fn now(&self) -> Duration {
        monotonic()
    }

    fn wait(&mut self, _round: u32, _until: Option<Duration>) -> Result<Wake, Infallible> {
        rustix::thread::sched_yield();
        Ok(wake(self.cancelled))
    }
}
