//! Maps in an epoll instance of their own, edge-triggered, and one other fd beside them.
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

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use crate::fd::{self, borrow};

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

/// What a look at the instance found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// How many rings were drained by a drain that wakes since the last look, or were just added.
    pub(crate) rings: usize,
    /// The other fd is ready.
    pub(crate) other: bool,
    /// The buffer was filled: there may be more.
    pub(crate) more: bool,
}

/// The epoll instance. The caller keeps each descriptor that it adds open until the map is removed: a registration belongs
/// to the descriptor's number and outlives it as long as a duplicate is open.
#[derive(Debug)]
pub(crate) struct Edges {
    epoll: OwnedFd,
}

impl Edges {
    /// An instance without maps, which reports `other` for what `interest` says: reading, for maps report writing.
    pub(crate) fn new(other: &OwnedFd, interest: EventFlags) -> Result<Self, WaiterError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(named("epoll_create1"))?;
        let edges = Self { epoll };
        edges.register(other, 0, interest)?;
        Ok(edges)
    }

    /// Registers a map, whose events are reported as `key`.
    pub(crate) fn add(&self, map: &OwnedFd, key: u64) -> Result<(), WaiterError> {
        self.register(map, key, EventFlags::OUT | EventFlags::ET)
    }

    fn register(&self, fd: &OwnedFd, key: u64, interest: EventFlags) -> Result<(), WaiterError> {
        epoll::add(borrow(&self.epoll), borrow(fd), epoll::EventData::new_u64(key), interest)
            .map_err(named("epoll_ctl(EPOLL_CTL_ADD)"))
    }

    /// Ends the registration of a map.
    pub(crate) fn remove(&self, map: &OwnedFd) -> Result<(), WaiterError> {
        epoll::delete(borrow(&self.epoll), borrow(map)).map_err(named("epoll_ctl(EPOLL_CTL_DEL)"))
    }

    /// Fetches what has come, sleeping for it up to `timeout`, and writes the keys of the rings to the front of `keys`: at
    /// most `N` events, and as many as there are `keys`, of which there is one. A signal ends the sleep without an event.
    pub(crate) fn fetch<const N: usize>(
        &self,
        keys: &mut [u64],
        timeout: Option<Duration>,
    ) -> Result<Events, WaiterError> {
        let timeout = timeout.map(timespec);
        // Initialised, so that rustix counts them and need not cut the array, for which it would link a panic.
        let mut buffer = [epoll::Event { flags: EventFlags::empty(), data: epoll::EventData::new_u64(0) }; N];
        let places = buffer.get_mut(..keys.len().min(N)).unwrap_or_default();
        let full = places.len();
        let count = match epoll::wait(borrow(&self.epoll), places, timeout.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(errno) => return Err(WaiterError { call: "epoll_pwait2", errno }),
        };
        let mut events = Events { more: count == full, ..Events::default() };
        let mut keys = keys.iter_mut();
        for event in buffer.iter().take(count) {
            // Copied, since the kernel's structure is packed.
            let (flags, data) = (event.flags, event.data);
            if flags.contains(EventFlags::IN) {
                events.other = true;
            } else if let Some(key) = keys.next() {
                *key = data.u64();
                events.rings += 1;
            }
        }
        Ok(events)
    }
}

impl AsFd for Edges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.epoll)
    }
}

/// The kernel takes a second count of 63 bits, and cuts what its clock can't reach.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
