//! Sleeping until a drain wakes: edge-triggered epoll, one instance per waiter.
//!
//! The map polls as writable whenever any byte is free, so level-triggered waiting spins on a ring that is partly full.
//! Edge-triggered, there is one event per waking drain, remembered until it is fetched: a drain between a failed
//! reservation and the wait is not lost. One edge wakes one waiter of an epoll instance, so each waiter has its own.
//! See [`super::edge`] for what an edge means.

use core::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};
use user_ringbuf_core::{RingId, Wait, Wake};

use super::edge::{Edges, WaiterError, duplicate, named};
use super::recheck::{Pace, Recheck};
use super::rhythm::Rhythm;
use super::{monotonic, time_left};
use crate::fd::borrow;
use crate::map::Map;

/// Sleeps until a drain wakes, until the time is up, until it is time to look ([`Recheck`]), or until cancelled.
///
/// One waiter serves one waiting thread at a time, for any number of waits. Making one takes five system calls and
/// three descriptors. A wait makes the system calls `epoll_pwait2` and, on machines without a vDSO, `clock_gettime`; a wait
/// for room on a shared producer, and giving way, make `epoll_ctl` too. None allocates. Signals don't end a wait: the
/// deadline stands.
///
/// It keeps the map open itself, so a wait continues if the caller's handle is closed in the meantime.
///
/// It relies on the wakeup that `bpf_user_ringbuf_drain` queues once it has consumed records, and on the kernel's
/// `ringbuf_map_poll_user`, which reports the map as writable while any byte is free.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
#[doc(alias = "user_ring_buffer__reserve_blocking")]
pub struct EpollWaiter {
    edges: Edges,
    cancel: OwnedFd,
    pace: Pace,
    rhythm: Rhythm,
    spin: Duration,
    /// When to stop spinning, and how many rounds went by in doing so.
    spinning: Option<(Duration, u32)>,
    map_id: u32,
    /// Bytes reserved since the last turn.
    taken: u64,
    /// Ours, so that the registration lives whatever becomes of the caller's.
    map: OwnedFd,
}

impl EpollWaiter {
    /// A waiter for this map with the default [`Recheck`].
    ///
    /// # Errors
    /// [`WaiterError`] with the system call that failed; nothing stays open then.
    pub fn new(map: &Map) -> Result<Self, WaiterError> {
        Self::with_recheck(map, Recheck::default())
    }

    /// A waiter that looks by itself as often as `recheck` says.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_recheck(map: &Map, recheck: Recheck) -> Result<Self, WaiterError> {
        Self::cancelled_by(map, recheck, Canceller::new()?)
    }

    /// A waiter whose waits end when `canceller` cancels, like those of every other waiter made from a clone of it. To
    /// end the waits of several threads at once:
    ///
    /// ```no_run
    /// use user_ringbuf_linux::{Canceller, EpollWaiter, Map, Recheck};
    ///
    /// let map = Map::from_pin("/sys/fs/bpf/to_kernel")?;
    /// let canceller = Canceller::new()?;
    /// let mut one = EpollWaiter::cancelled_by(&map, Recheck::default(), canceller.try_clone()?)?;
    /// let mut two = EpollWaiter::cancelled_by(&map, Recheck::default(), canceller.try_clone()?)?;
    /// // ... each waits in a thread of its own, until:
    /// canceller.cancel()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn cancelled_by(map: &Map, recheck: Recheck, canceller: Canceller) -> Result<Self, WaiterError> {
        let (edges, cancel) = canceller.instance()?;
        let own = duplicate(map)?;
        edges.add(&own, 0)?;
        Ok(Self {
            edges,
            cancel,
            pace: Pace::new(recheck),
            rhythm: Rhythm::default(),
            spin: Duration::ZERO,
            spinning: None,
            map_id: map.id(),
            taken: 0,
            map: own,
        })
    }

    /// Looks at the ring again and again for `spin` before each sleep. Off by default.
    ///
    /// For those who have a core to spare and a consumer that drains soon: room that comes meanwhile is found at once, where
    /// a sleep and a wake-up take some 10 to 50 microseconds. Every wait costs up to `spin` of a core. A cancellation is
    /// noticed when the spinning is over.
    #[must_use]
    pub fn spin_before_sleeping(mut self, spin: Duration) -> Self {
        self.spin = spin;
        self
    }

    /// Fetches what has made the [descriptor](AsFd) readable, without sleeping: for your own event loop, before it
    /// looks at the ring.
    ///
    /// # Errors
    /// [`WaiterError`] if the epoll instance can't be asked.
    pub fn acknowledge(&mut self) -> Result<Wake, WaiterError> {
        self.fetch(Some(Duration::ZERO))
    }

    fn fetch(&mut self, sleep: Option<Duration>) -> Result<Wake, WaiterError> {
        let events = self.edges.fetch::<2>(&mut [0; 2], sleep)?;
        self.pace.note(events.rings > 0);
        Ok(if events.other { Wake::Cancelled } else { Wake::Look })
    }

    /// Returns a handle with which another thread can end the waits, and which [further waiters](Self::cancelled_by)
    /// can share.
    ///
    /// # Errors
    /// [`WaiterError`] if the fd can't be duplicated.
    pub fn canceller(&self) -> Result<Canceller, WaiterError> {
        Canceller::of(&self.cancel)
    }

    /// Takes a cancellation back, so that this waiter can be used again, and all others of the same canceller too.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be read.
    pub fn reset(&mut self) -> Result<(), WaiterError> {
        reset(&self.cancel)
    }
}

pub(super) fn reset(cancel: &OwnedFd) -> Result<(), WaiterError> {
    match read(borrow(cancel), &mut [0; 8]) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(WaiterError { call: "read(eventfd)", errno }),
    }
}

/// For your own reactor or event loop: the fd becomes readable when a drain has woken, and when cancelled.
///
/// Reserve first. If the ring is full, poll this fd for readability; when it is readable, fetch the event with
/// [`acknowledge`](EpollWaiter::acknowledge), and reserve again. In that order no wake is lost, level-triggered or
/// edge-triggered. The loop must then do the re-check itself: look now and then if the consumer drains with
/// `BPF_RB_NO_WAKEUP`, and, when waiting for consumption, if other threads fill the ring: epoll drops the event if the
/// ring is full to the last byte when it is fetched.
impl AsFd for EpollWaiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.edges.as_fd()
    }
}

impl Wait for EpollWaiter {
    type Error = WaiterError;

    fn ring(&self) -> Option<RingId> {
        Some(RingId::new(self.map_id.into()))
    }

    fn now(&self) -> Duration {
        monotonic()
    }

    /// Registers the ring anew. A drain wakes all waiters, always in the same order, and those that have been registered
    /// longest get the room: without this, a thread among 16 got none for a second.
    ///
    /// A drain in between is not lost: the registration leaves an edge if a byte is free. Kernel counterpart:
    /// `ep_insert` puts the instance at the front of the ring's wait queue, and `__wake_up_common` begins there.
    fn take_turn(&mut self) -> Result<(), WaiterError> {
        match self.edges.remove(&self.map) {
            // An earlier turn got no further than this.
            Ok(()) | Err(WaiterError { errno: Errno::NOENT, .. }) => {}
            Err(why) => return Err(why),
        }
        self.edges.add(&self.map, 0)?;
        self.pace.registered();
        self.taken = 0;
        Ok(())
    }

    fn took(&mut self, bytes: u32) -> u64 {
        self.taken = self.taken.saturating_add(bytes.into());
        self.taken
    }

    fn give_way(&mut self, until: Duration) -> Result<(), WaiterError> {
        self.take_turn()?;
        // The registration's own edge tells only that a byte is free, so it is fetched before the sleep.
        for sleep in [Duration::ZERO, time_left(until, monotonic())] {
            self.edges.fetch::<2>(&mut [0; 2], Some(sleep))?;
        }
        Ok(())
    }

    fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, WaiterError> {
        let now = monotonic();
        if round == 0 {
            self.spinning = (!self.spin.is_zero()).then(|| (now.saturating_add(self.spin), 0));
        }
        if let Some((end, spun)) = &mut self.spinning {
            if now < *end && until.is_none_or(|until| now < until) {
                *spun = spun.saturating_add(1);
                core::hint::spin_loop();
                return Ok(Wake::Look);
            }
        }
        let round = round.saturating_sub(self.spinning.map_or(0, |(_, spun)| spun));
        self.rhythm.waits(round, now);
        // An unlimited pause must not hide the deadline, nor an unlimited deadline the pause.
        let pause = self.pace.pause(round).map(|pause| self.pace.expected(&self.rhythm, now).unwrap_or(pause));
        let left = until.map(|until| time_left(until, now));
        let sleep = left.into_iter().chain(pause).min();
        let wake = self.fetch(sleep)?;
        let now = monotonic();
        self.rhythm.looks(now, until.is_none_or(|until| now < until));
        Ok(wake)
    }
}

/// Ends the waits of an [`EpollWaiter`], or of [several](EpollWaiter::cancelled_by), from any thread: at once, or as
/// soon as it waits.
#[derive(Debug)]
pub struct Canceller {
    cancel: OwnedFd,
}

impl Canceller {
    /// An epoll instance that reports the cancellation. Level-triggered: once cancelled, a waiter stays so.
    pub(super) fn instance(self) -> Result<(Edges, OwnedFd), WaiterError> {
        Ok((Edges::new(&self.cancel, EventFlags::IN)?, self.cancel))
    }

    pub(super) fn of(cancel: &OwnedFd) -> Result<Self, WaiterError> {
        Ok(Self { cancel: duplicate(borrow(cancel))? })
    }

    /// Makes a canceller, for [`EpollWaiter::cancelled_by`].
    ///
    /// # Errors
    /// [`WaiterError`] if no descriptor is left.
    pub fn new() -> Result<Self, WaiterError> {
        let cancel = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(named("eventfd2"))?;
        Ok(Self { cancel })
    }

    /// Takes a cancellation back, for all its waiters.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be read.
    pub fn reset(&self) -> Result<(), WaiterError> {
        reset(&self.cancel)
    }

    /// Ends all waits, now and until [`EpollWaiter::reset`]. A reservation that finds room at once still succeeds.
    ///
    /// # Errors
    /// [`WaiterError`] if the eventfd can't be written.
    pub fn cancel(&self) -> Result<(), WaiterError> {
        match write(borrow(&self.cancel), &1_u64.to_ne_bytes()) {
            // The counter is at its maximum: cancelled already.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => Err(WaiterError { call: "write(eventfd)", errno }),
        }
    }

    /// Returns another handle that cancels the same waiters.
    ///
    /// # Errors
    /// [`WaiterError`] if the fd can't be duplicated.
    pub fn try_clone(&self) -> Result<Self, WaiterError> {
        Self::of(&self.cancel)
    }
}
