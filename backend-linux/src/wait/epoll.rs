//! Sleeping until a drain wakes: edge-triggered epoll, an instance a waiter.
//!
//! The map polls as writable whenever any byte is free, so level-triggered waiting spins on a ring that is partly full.
//! Edge-triggered, there is one event a waking drain, remembered until it is fetched: a drain between a failed
//! reservation and the wait is not lost. One edge wakes one waiter of an epoll instance, so each has its own.

use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use user_ringbuf_core::{Wait, Wake};

use super::{Recheck, monotonic};

/// A system call of a waiter that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaiterError {
    /// The system call.
    pub call: &'static str,
    /// What the kernel answered.
    pub errno: Errno,
}

impl fmt::Display for WaiterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.call, self.errno)
    }
}

impl core::error::Error for WaiterError {}

fn named(call: &'static str) -> impl FnOnce(Errno) -> WaiterError {
    move |errno| WaiterError { call, errno }
}

const DRAINED: u64 = 0;
const CANCELLED: u64 = 1;

/// Sleeps until a drain wakes, until the time is up, until it is time to look ([`Recheck`]), or until cancelled.
///
/// One waiter serves one waiting thread at a time. Waiting makes the system calls `epoll_pwait2` and, where the
/// machine has no vDSO, `clock_gettime`; neither allocates. It works as [`AsFd`] in any reactor too: the fd becomes
/// readable when a drain has woken.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
#[doc(alias = "user_ring_buffer__reserve_blocking")]
pub struct EpollWaiter {
    epoll: OwnedFd,
    /// Ours, so that the registration lives whatever becomes of the caller's.
    _map: OwnedFd,
    cancel: OwnedFd,
    recheck: Recheck,
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
        let map = fcntl_dupfd_cloexec(map, 0).map_err(named("fcntl(F_DUPFD_CLOEXEC)"))?;
        let cancel = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(named("eventfd2"))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(named("epoll_create1"))?;
        let add = |fd: &OwnedFd, data, flags| {
            epoll::add(&epoll, fd, epoll::EventData::new_u64(data), flags).map_err(named("epoll_ctl(EPOLL_CTL_ADD)"))
        };
        add(&map, DRAINED, epoll::EventFlags::OUT | epoll::EventFlags::ET)?;
        // Level-triggered: once cancelled, a waiter stays so.
        add(&cancel, CANCELLED, epoll::EventFlags::IN)?;
        Ok(Self { epoll, _map: map, cancel, recheck })
    }

    /// A handle with which another thread ends the waiting.
    ///
    /// # Errors
    /// [`WaiterError`] if the fd can't be duplicated.
    pub fn canceller(&self) -> Result<Canceller, WaiterError> {
        let cancel = fcntl_dupfd_cloexec(&self.cancel, 0).map_err(named("fcntl(F_DUPFD_CLOEXEC)"))?;
        Ok(Canceller { cancel })
    }

    /// Takes a cancellation back, so that the waiter can be used again.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be read.
    pub fn reset(&mut self) -> Result<(), WaiterError> {
        match read(&self.cancel, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(WaiterError { call: "read(eventfd)", errno }),
        }
    }
}

impl AsFd for EpollWaiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Wait for EpollWaiter {
    type Error = WaiterError;

    fn now(&self) -> Duration {
        monotonic()
    }

    fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, WaiterError> {
        let left = until.map(|until| until.saturating_sub(monotonic()));
        let pause = self.recheck.pause(round);
        // An unlimited pause must not hide the deadline, nor the other way round.
        let sleep = match (left, pause) {
            (Some(left), Some(pause)) => Some(left.min(pause)),
            (left, pause) => left.or(pause),
        };
        let timeout = sleep.map(timespec);
        let mut events = [const { MaybeUninit::uninit() }; 2];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => {
                let cancelled = events.iter().any(|event| event.data.u64() == CANCELLED);
                Ok(if cancelled { Wake::Cancelled } else { Wake::Look })
            }
            // A signal handler ran: looking once more costs little, and the deadline stands.
            Err(Errno::INTR) => Ok(Wake::Look),
            Err(errno) => Err(WaiterError { call: "epoll_pwait2", errno }),
        }
    }
}

/// Timeouts are at most [`MAX_TIMEOUT`](user_ringbuf_core::MAX_TIMEOUT) away, pauses may be any: the kernel takes a
/// second count of 63 bits.
fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// Ends the waiting of an [`EpollWaiter`], from any thread: at once, or as soon as it waits.
#[derive(Debug)]
pub struct Canceller {
    cancel: OwnedFd,
}

impl Canceller {
    /// Ends the waiting, now and until [`EpollWaiter::reset`].
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be written.
    pub fn cancel(&self) -> Result<(), WaiterError> {
        match write(&self.cancel, &1_u64.to_ne_bytes()) {
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
        let cancel = fcntl_dupfd_cloexec(&self.cancel, 0).map_err(named("fcntl(F_DUPFD_CLOEXEC)"))?;
        Ok(Self { cancel })
    }
}
