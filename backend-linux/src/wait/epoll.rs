//! Sleeping until a drain wakes: edge-triggered epoll, an instance a waiter.
//!
//! The map polls as writable whenever any byte is free, so level-triggered waiting spins on a ring that is partly full.
//! Edge-triggered, there is one event a waking drain, remembered until it is fetched: a drain between a failed
//! reservation and the wait is not lost. One edge wakes one waiter of an epoll instance, so each has its own.

use core::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};
use user_ringbuf_core::{Wait, Wake};

use super::edge::{Edge, WaiterError, duplicate, named};
use super::recheck::{Pace, Recheck};
use super::{monotonic, time_left};
use crate::fd::borrow;

/// Sleeps until a drain wakes, until the time is up, until it is time to look ([`Recheck`]), or until cancelled.
///
/// One waiter serves one waiting thread at a time, for as many waits as one likes: making one takes five system calls
/// and three descriptors. A wait makes the system calls `epoll_pwait2` and, where the machine has no vDSO,
/// `clock_gettime`; none allocates. Signals don't end a wait: the deadline stands.
///
/// It keeps the map open itself, so a wait goes on if the caller's handle is closed meanwhile.
///
/// It relies on the wakeup that `bpf_user_ringbuf_drain` queues once it has consumed records, and on the kernel's
/// `ringbuf_map_poll_user`, which says that the map is writable while any byte is free.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
#[doc(alias = "user_ring_buffer__reserve_blocking")]
pub struct EpollWaiter {
    edge: Edge,
    cancel: OwnedFd,
    pace: Pace,
}

impl EpollWaiter {
    /// A waiter for this map with the default [`Recheck`].
    ///
    /// # Errors
    /// [`WaiterError`] with the system call that failed; nothing stays open then.
    pub fn new(map: impl AsFd) -> Result<Self, WaiterError> {
        Self::with_recheck(map, Recheck::default())
    }

    /// A waiter that looks by itself as often as `recheck` says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_recheck(map: impl AsFd, recheck: Recheck) -> Result<Self, WaiterError> {
        let cancel = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(named("eventfd2"))?;
        // Level-triggered: once cancelled, a waiter stays so.
        let edge = Edge::new(map, &cancel, EventFlags::IN)?;
        Ok(Self { edge, cancel, pace: Pace::new(recheck) })
    }

    /// A handle with which another thread ends the waiting.
    ///
    /// # Errors
    /// [`WaiterError`] if the fd can't be duplicated.
    pub fn canceller(&self) -> Result<Canceller, WaiterError> {
        Ok(Canceller { cancel: duplicate(borrow(&self.cancel))? })
    }

    /// Takes a cancellation back, so that the waiter can be used again.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be read.
    pub fn reset(&mut self) -> Result<(), WaiterError> {
        match read(borrow(&self.cancel), &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(WaiterError { call: "read(eventfd)", errno }),
        }
    }
}

/// For a reactor or an event loop of one's own: the fd becomes readable when a drain has woken, and when cancelled.
///
/// Reserve first. If the ring is full, poll this fd for readability; when it is readable, fetch the event by a
/// [`wait`](Wait::wait) that does not sleep (`waiter.wait(0, Some(Duration::ZERO))`), and reserve again. In that order
/// no wake is lost, level-triggered or edge-triggered. The re-check is the loop's own business then: look now and then
/// if the consumer drains with `BPF_RB_NO_WAKEUP`.
impl AsFd for EpollWaiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.edge.as_fd()
    }
}

impl Wait for EpollWaiter {
    type Error = WaiterError;

    fn now(&self) -> Duration {
        monotonic()
    }

    fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, WaiterError> {
        let left = until.map(time_left);
        let pause = self.pace.pause(round);
        // An unlimited pause must not hide the deadline, nor the other way round.
        let sleep = match (left, pause) {
            (Some(left), Some(pause)) => Some(left.min(pause)),
            (left, pause) => left.or(pause),
        };
        let events = self.edge.fetch(sleep)?;
        self.pace.note(events.drained);
        Ok(if events.other { Wake::Cancelled } else { Wake::Look })
    }
}

/// Ends the waiting of an [`EpollWaiter`], from any thread: at once, or as soon as it waits.
#[derive(Debug)]
pub struct Canceller {
    cancel: OwnedFd,
}

impl Canceller {
    /// Ends the waiting, now and until [`EpollWaiter::reset`]. A reservation that finds room at once still succeeds.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be written.
    pub fn cancel(&self) -> Result<(), WaiterError> {
        match write(borrow(&self.cancel), &1_u64.to_ne_bytes()) {
            // The counter is at its top: cancelled long since.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(WaiterError { call: "write(eventfd)", errno }),
        }
    }

    /// Another handle on the same waiter.
    ///
    /// # Errors
    /// [`WaiterError`] if the fd can't be duplicated.
    pub fn try_clone(&self) -> Result<Self, WaiterError> {
        Ok(Self { cancel: duplicate(borrow(&self.cancel))? })
    }
}
