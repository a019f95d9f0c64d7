//! A map in an epoll instance of its own, edge-triggered, and one other fd beside it.
//!
//! Invariant: an edge is remembered until it is fetched, so a drain between a failed reservation and the next look at
//! the instance is not lost. When it is fetched, epoll polls the map once more, and *drops* it if the ring is full to
//! the last byte by then. So a missing edge means only this: no drain has woken since the last one, or there is no
//! room. That is enough to wait for room, but not enough to wait for consumption on a ring that others fill.
//!
//! Registration leaves an edge of its own if a byte is free. It is reported like any other, for callers that looked at
//! the ring before; it does not show that this consumer wakes.
//!
//! Kernel counterpart: `ep_poll_callback`, which `wake_up_all` on the ring's wait queue calls for every instance that
//! has the map; `ep_send_events`, which polls and drops.

use core::fmt;
use core::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use crate::fd::{self, borrow};
use crate::map::Map;

/// A system call of a waiter that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaiterError {
    /// The system call.
    pub call: &'static str,
    /// The error number.
    pub errno: Errno,
}

impl fmt::Display for WaiterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.call, self.errno)
    }
}

impl core::error::Error for WaiterError {}

/// Names the call that an error number came from.
pub(crate) fn named(call: &'static str) -> impl FnOnce(Errno) -> WaiterError {
    move |errno| WaiterError { call, errno }
}

/// A descriptor of our own for the same file.
pub(crate) fn duplicate(fd: impl AsFd) -> Result<OwnedFd, WaiterError> {
    fd::duplicate(fd).map_err(named(fd::DUPLICATE))
}

const MAP: u64 = 0;
const OTHER: u64 = 1;

/// What a look at the instance found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// A drain has woken since the last look, or the map was just registered.
    pub(crate) drained: bool,
    /// The other fd is ready.
    pub(crate) other: bool,
}

/// The epoll instance, and the map's descriptor that is registered there.
#[derive(Debug)]
pub(crate) struct Edge {
    epoll: OwnedFd,
    /// Ours, so that the registration lives whatever becomes of the caller's.
    _map: OwnedFd,
}

impl Edge {
    /// Registers the map, and `other` for what `interest` says.
    pub(crate) fn new(map: &Map, other: &OwnedFd, interest: epoll::EventFlags) -> Result<Self, WaiterError> {
        let map = duplicate(map)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(named("epoll_create1"))?;
        let add = |fd: &OwnedFd, data, flags| {
            epoll::add(borrow(&epoll), borrow(fd), epoll::EventData::new_u64(data), flags)
                .map_err(named("epoll_ctl(EPOLL_CTL_ADD)"))
        };
        add(&map, MAP, epoll::EventFlags::OUT | epoll::EventFlags::ET)?;
        add(other, OTHER, interest)?;
        Ok(Self { epoll, _map: map })
    }

    /// Fetches what has come, sleeping for it up to `timeout`; a signal ends the sleep without an event.
    pub(crate) fn fetch(&self, timeout: Option<Duration>) -> Result<Events, WaiterError> {
        let timeout = timeout.map(timespec);
        // Initialised, so that rustix counts them and need not cut the array, for which it would link a panic.
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 2];
        match epoll::wait(borrow(&self.epoll), &mut events, timeout.as_ref()) {
            Ok(count) => {
                let of = |data| events.iter().take(count).any(|event| event.data.u64() == data);
                Ok(Events { drained: of(MAP), other: of(OTHER) })
            }
            Err(Errno::INTR) => Ok(Events::default()),
            Err(errno) => Err(WaiterError { call: "epoll_pwait2", errno }),
        }
    }
}

impl AsFd for Edge {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.epoll)
    }
}

/// The kernel takes a second count of 63 bits, and cuts what its clock can't reach.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
