//! Sleeping until a drain of any of many rings wakes: one epoll instance for all of them.
//!
//! Invariant: each ring is registered once, edge-triggered, through a descriptor that the set owns, and its edge is
//! remembered until it is fetched: see [`super::edge`]. Kernel counterpart: `ep_poll_callback` queues the ring that was
//! drained, and `ep_send_events` takes as many from that queue as are asked for, so an event costs the same however many
//! rings wait.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use user_ringbuf_core::RingId;

use super::edge::{Edges, Events, WaiterError, duplicate};
use super::epoll::{Canceller, reset};
use super::recheck::{Pace, Recheck};
use super::{monotonic, time_left};
use crate::map::Map;

/// Most rings that one [`RingSet::wait`] reports.
const AT_ONCE: usize = 64;

/// Sleeps until a drain of any of its rings has woken, and tells which.
///
/// For a thread with many rings, one per connection or per CPU: it reserves without waiting, remembers which rings were
/// full, and sleeps here. One epoll instance serves all of them; each ring takes one descriptor beside the map's, which
/// keeps the map open until the ring is [removed](Self::remove). Adding and removing take two system calls each, a wait
/// takes one, and an event costs the same with 10,000 rings as with one.
///
/// ```no_run
/// use user_ringbuf_linux::{Map, Mapping, Producer, RingSet};
///
/// let maps = [Map::from_pin("/sys/fs/bpf/cpu0")?, Map::from_pin("/sys/fs/bpf/cpu1")?];
/// let mut set = RingSet::new()?;
/// let mut producers = Vec::new();
/// for (key, map) in (0..).zip(&maps) {
///     set.add(map, key)?;
///     producers.push(Producer::attach(Mapping::new(map)?)?);
/// }
/// // ... both are full:
/// let mut keys = [0; 64];
/// let woken = set.wait(&mut keys, 0, None)?;
/// for key in woken.rings {
///     // There is room in this one.
///     producers[usize::try_from(*key)?].push(b"sample")?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
pub struct RingSet {
    edges: Edges,
    cancel: OwnedFd,
    /// By map id, in its order: eight bytes per ring.
    rings: Vec<(u32, OwnedFd)>,
    pace: Pace,
    /// When [`Woken::look`] was last said, on the monotonic clock.
    looked: Duration,
}

/// Why [`RingSet::wait`] came back. If nothing is set, the time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Woken<'k> {
    /// Keys of the rings of which a drain has woken since they were last named here, or which were just added.
    pub rings: &'k [u64],
    /// It is time to look at every full ring, as [`Recheck`] says: a drain with `BPF_RB_NO_WAKEUP` names no ring.
    pub look: bool,
    /// The waiting was cancelled.
    pub cancelled: bool,
}

/// What a [`RingSet`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingSetError {
    /// The ring is in the set already.
    AlreadyThere {
        /// The ring.
        ring: RingId,
    },
    /// The ring is not in the set.
    NotThere {
        /// The ring.
        ring: RingId,
    },
    /// The set has no ring, so no drain would end the wait.
    Empty,
    /// The slice for the keys has no place, so no ring could be named.
    NoPlaceForKeys,
    /// A system call failed.
    System(WaiterError),
}

impl fmt::Display for RingSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyThere { ring } => write!(f, "ring {ring} is in the set already"),
            Self::NotThere { ring } => write!(f, "ring {ring} is not in the set"),
            Self::Empty => f.write_str("the set has no rings: no drain would end the wait"),
            Self::NoPlaceForKeys => f.write_str("the slice for the keys is empty: pass one of at least 1 element"),
            Self::System(why) => why.fmt(f),
        }
    }
}

impl core::error::Error for RingSetError {}

impl From<WaiterError> for RingSetError {
    fn from(why: WaiterError) -> Self {
        Self::System(why)
    }
}

impl RingSet {
    /// An empty set with the default [`Recheck`].
    ///
    /// # Errors
    /// [`WaiterError`] with the system call that failed; nothing stays open then.
    pub fn new() -> Result<Self, WaiterError> {
        Self::cancelled_by(Recheck::default(), Canceller::new()?)
    }

    /// An empty set that asks for a [look](Woken::look) as often as `recheck` says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_recheck(recheck: Recheck) -> Result<Self, WaiterError> {
        Self::cancelled_by(recheck, Canceller::new()?)
    }

    /// An empty set whose waiting ends when `canceller` cancels; see
    /// [`EpollWaiter::cancelled_by`](super::EpollWaiter::cancelled_by).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cancelled_by(recheck: Recheck, canceller: Canceller) -> Result<Self, WaiterError> {
        let (edges, cancel) = canceller.instance()?;
        Ok(Self { edges, cancel, rings: Vec::new(), pace: Pace::new(recheck), looked: monotonic() })
    }

    /// Adds the ring of `map`, which [`wait`](Self::wait) names by `key` from now on. It is named once at first if a byte
    /// is free.
    ///
    /// The key is yours: an index, a file descriptor. Two rings may share one.
    ///
    /// # Errors
    /// [`AlreadyThere`](RingSetError::AlreadyThere), whatever handle of the map is given, or
    /// [`System`](RingSetError::System), with `ENOSPC` beyond `/proc/sys/fs/epoll/max_user_watches`. The set is as before
    /// then.
    pub fn add(&mut self, map: &Map, key: u64) -> Result<(), RingSetError> {
        let Err(place) = self.find(map) else { return Err(RingSetError::AlreadyThere { ring: ring(map) }) };
        let own = duplicate(map)?;
        self.edges.add(&own, key)?;
        if self.rings.len() == self.rings.capacity() {
            // An eighth more: doubling would leave up to half of it unused.
            self.rings.reserve_exact(self.rings.len() / 8 + 4);
        }
        self.rings.insert(place, (map.id(), own));
        Ok(())
    }

    /// Removes the ring of `map`: no later wait names it.
    ///
    /// # Errors
    /// [`NotThere`](RingSetError::NotThere), or [`System`](RingSetError::System).
    pub fn remove(&mut self, map: &Map) -> Result<(), RingSetError> {
        let place = self.find(map).map_err(|_| RingSetError::NotThere { ring: ring(map) })?;
        let (_, own) = self.rings.remove(place);
        self.edges.remove(&own)?;
        Ok(())
    }

    /// The place of the ring of `map`, or the one where it belongs.
    fn find(&self, map: &Map) -> Result<usize, usize> {
        self.rings.binary_search_by_key(&map.id(), |(id, _)| *id)
    }

    /// How many rings are in the set.
    pub fn len(&self) -> usize {
        self.rings.len()
    }

    /// Whether the set has no rings.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// Sleeps until a drain of a ring in the set has woken, until it is time to [look](Woken::look), until cancelled, or
    /// until `timeout` is over; `None` waits forever, zero only fetches what has come. Writes the keys of the rings to the
    /// front of `keys`, at most 64 at a time; the others are named by the next waits, in the order in which they were
    /// drained.
    ///
    /// Reserve first, and wait only for rings that were full: in that order no wake is lost. `round` counts the waits since
    /// a reservation last succeeded: 0, 1, 2 and so on, from which [`Recheck`] takes its pauses. A ring that is full again
    /// by the time its event is fetched is not named: there is no room in it.
    ///
    /// # Errors
    /// [`Empty`](RingSetError::Empty), [`NoPlaceForKeys`](RingSetError::NoPlaceForKeys), or
    /// [`System`](RingSetError::System).
    pub fn wait<'k>(
        &mut self,
        keys: &'k mut [u64],
        round: u32,
        timeout: Option<Duration>,
    ) -> Result<Woken<'k>, RingSetError> {
        if self.rings.is_empty() {
            return Err(RingSetError::Empty);
        }
        if keys.is_empty() {
            return Err(RingSetError::NoPlaceForKeys);
        }
        let until = timeout.map(|timeout| monotonic().saturating_add(timeout));
        loop {
            let now = monotonic();
            // Looks are due by the clock, not by the last event: a ring that wakes often must not hide one that never does.
            let due = self.pace.pause(round).map(|pause| self.looked.saturating_add(pause));
            let end = until.into_iter().chain(due).min();
            let sleep = end.map(|end| time_left(end, now));
            let Events { rings, other: cancelled, .. } = self.edges.fetch::<AT_ONCE>(keys, sleep)?;
            self.pace.note(rings > 0);
            // Where a ring is named, the time before the sleep will do: what has become due since is told by the next wait.
            let now = if rings > 0 { now } else { monotonic() };
            let look = due.is_some_and(|due| now >= due);
            if look {
                self.looked = now;
            }
            if rings > 0 || look || cancelled || until.is_some_and(|until| now >= until) {
                return Ok(Woken { rings: keys.get(..rings).unwrap_or_default(), look, cancelled });
            }
            // A signal.
        }
    }

    /// A handle with which another thread ends the waiting.
    ///
    /// # Errors
    /// [`WaiterError`] if the fd can't be duplicated.
    pub fn canceller(&self) -> Result<Canceller, WaiterError> {
        Canceller::of(&self.cancel)
    }

    /// Takes a cancellation back, so that the set can be used again.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be read.
    pub fn reset(&mut self) -> Result<(), WaiterError> {
        reset(&self.cancel)
    }
}

/// For an event loop of one's own: readable when a drain of any ring has woken, and when cancelled. Fetch by
/// [`RingSet::wait`] with a timeout of zero.
impl AsFd for RingSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.edges.as_fd()
    }
}

fn ring(map: &Map) -> RingId {
    RingId::new(map.id().into())
}
