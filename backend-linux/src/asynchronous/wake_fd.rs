//! One descriptor for all that ends a task's wait: a waking drain of any ring, and the time to look again.

use core::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::wait::{Edges, Events, WaiterError, named, timespec};

/// Most events that are fetched at once.
pub(super) const AT_ONCE: usize = 64;

/// A descriptor that is readable when a drain has woken since it was last looked at, or when it is time to look again.
///
/// It is an epoll instance that holds the maps, edge-triggered, and a timer. So it works with edge-triggered,
/// level-triggered and one-shot reactors alike, needs no timer of theirs, and can be registered where the maps are
/// registered already.
///
/// Like [`EpollWaiter`](crate::EpollWaiter) it relies on the wakeup of `bpf_user_ringbuf_drain` and on
/// `ringbuf_map_poll_user`.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
pub struct WakeFd {
    edges: Edges,
    timer: OwnedFd,
}

impl WakeFd {
    pub(super) fn new() -> Result<Self, WaiterError> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(named("timerfd_create"))?;
        // Edge-triggered, so that an expiry is gone once it was fetched, without a read of the timer.
        let edges = Edges::new(&timer, EventFlags::IN | EventFlags::ET)?;
        Ok(Self { edges, timer })
    }

    /// The maps whose drains make the descriptor readable.
    pub(super) fn edges(&self) -> &Edges {
        &self.edges
    }

    /// Fetches what has made the descriptor readable: drains, whose rings' keys are written to the front of `keys`, and the
    /// timer.
    pub(super) fn fetch(&self, keys: &mut [u64; AT_ONCE]) -> Result<Events, WaiterError> {
        self.edges.fetch::<AT_ONCE>(keys, Some(Duration::ZERO))
    }

    /// Makes the descriptor readable in `pause` from now, instead of the time set before.
    pub(super) fn look_in(&self, pause: Duration) -> Result<(), WaiterError> {
        // Zero would switch the timer off.
        let pause = pause.max(Duration::from_nanos(1));
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval: once, it_value: timespec(pause) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &time).map_err(named("timerfd_settime"))?;
        Ok(())
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.edges.as_fd()
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
