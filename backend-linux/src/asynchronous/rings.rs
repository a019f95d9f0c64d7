//! The rings of a watch: which there are, and when each is to be looked at, woken or not.
//!
//! Invariant: while somebody stands in a ring's line, the ring is due at some time unless its [`Recheck`] says never, and
//! the timer is set for the first that is due.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::vec::Vec;

use rustix::fd::OwnedFd;
use user_ringbuf_core::{Position, RingPositions};

use super::line::{Kinds, Line};
use super::sync::{Mutex, MutexGuard};
use super::{ReactorError, WakeFd};
use crate::map::Map;
use crate::mapping::ConsumerPage;
use crate::wait::{Pace, Recheck, WaiterError, duplicate, monotonic};

/// Tells how far the consumer has come: by a page of the watch's own, so that a map's memory need not outlive its tasks.
pub(super) struct Consumer(Box<dyn Fn() -> Position + Send + Sync>);

impl Consumer {
    #[cfg(all(test, user_ringbuf_loom))]
    pub(super) fn at(position: Position) -> Self {
        Self(Box::new(move || position))
    }

    fn position(&self) -> Position {
        (self.0)()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Consumer").field(&self.position()).finish()
    }
}

/// One ring, and those who wait for it.
#[derive(Debug)]
pub(super) struct Ring {
    key: u64,
    /// The descriptor that is registered, ours so that it lives whatever becomes of the caller's. `None` if the ring is
    /// simulated.
    map: Option<OwnedFd>,
    consumer: Consumer,
    pub(super) line: Line,
}

impl Ring {
    /// Wakes those whose time may have come.
    pub(super) fn wake_reached(&self) {
        self.line.wake_reached(self.consumer.position());
    }
}

#[derive(Debug)]
pub(super) struct Rings {
    recheck: Recheck,
    schedule: Mutex<Schedule>,
}

#[derive(Debug, Default)]
struct Schedule {
    next_key: u64,
    rings: BTreeMap<u64, Entry>,
    /// When looks are due, on the monotonic clock, and at which rings.
    due: BTreeSet<(Duration, u64)>,
    /// When the timer expires, if it is set.
    timer: Option<Duration>,
}

#[derive(Debug)]
struct Entry {
    ring: Arc<Ring>,
    pace: Pace,
    /// Looks since somebody began to wait.
    round: u32,
    due: Option<Duration>,
}

impl Rings {
    pub(super) fn new(recheck: Recheck) -> Self {
        Self { recheck, schedule: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.schedule().rings.len()
    }

    /// Adds the ring of a map.
    pub(super) fn add(&self, map: &Map, fd: &WakeFd) -> Result<Arc<Ring>, ReactorError> {
        let page = ConsumerPage::map(map)?;
        let own = duplicate(map)?;
        Ok(self.insert(Some(own), Consumer(Box::new(move || page.position())), fd)?)
    }

    /// Adds simulated memory, where no drain wakes.
    pub(super) fn add_simulated<M>(&self, memory: M, fd: &WakeFd) -> Result<Arc<Ring>, ReactorError>
    where
        M: RingPositions + Send + Sync + 'static,
    {
        Ok(self.insert(None, Consumer(Box::new(move || memory.load_consumer())), fd)?)
    }

    pub(super) fn insert(
        &self,
        map: Option<OwnedFd>,
        consumer: Consumer,
        fd: &WakeFd,
    ) -> Result<Arc<Ring>, WaiterError> {
        let mut schedule = self.schedule();
        let key = schedule.next_key;
        if let Some(map) = &map {
            fd.edges().add(map, key)?;
        }
        // Never wraps: at one a nanosecond it takes 584 years.
        schedule.next_key = key.wrapping_add(1);
        let ring = Arc::new(Ring { key, map, consumer, line: Line::default() });
        let entry = Entry { ring: Arc::clone(&ring), pace: Pace::new(self.recheck), round: 0, due: None };
        schedule.rings.insert(key, entry);
        Ok(ring)
    }

    pub(super) fn remove(&self, ring: &Ring, fd: &WakeFd) {
        if let Some(map) = &ring.map {
            // It fails only if the registration is gone, and then it is as it shall be.
            let _ = fd.edges().remove(map);
        }
        let mut schedule = self.schedule();
        schedule.forget_due(ring.key);
        schedule.rings.remove(&ring.key);
    }

    pub(super) fn all(&self) -> Vec<Arc<Ring>> {
        self.schedule().rings.values().map(|entry| Arc::clone(&entry.ring)).collect()
    }

    /// A drain of a ring has woken: the ring, unless it was removed meanwhile.
    pub(super) fn drained(&self, key: u64) -> Option<Arc<Ring>> {
        self.schedule().note(key, true)
    }

    /// The timer has expired: the rings at which it is time to look.
    pub(super) fn due(&self) -> Vec<Arc<Ring>> {
        let mut schedule = self.schedule();
        schedule.timer = None;
        let now = monotonic();
        let keys: Vec<u64> = schedule.due.range(..=(now, u64::MAX)).map(|(_, key)| *key).collect();
        keys.into_iter().filter_map(|key| schedule.note(key, false)).collect()
    }

    /// Somebody has just begun to wait: looks come in short pauses first.
    pub(super) fn begin_pauses(&self, ring: &Ring, fd: &WakeFd) -> Result<(), WaiterError> {
        let kinds = ring.line.kinds();
        let mut schedule = self.schedule();
        if let Some(entry) = schedule.rings.get_mut(&ring.key) {
            entry.round = 0;
        }
        schedule.look_in_time(ring.key, kinds, fd)
    }

    /// Sees to it that there is a look in time, if somebody waits. A look that was to come earlier still does.
    pub(super) fn look_in_time(&self, ring: &Ring, fd: &WakeFd) -> Result<(), WaiterError> {
        let kinds = ring.line.kinds();
        self.schedule().look_in_time(ring.key, kinds, fd)
    }

    /// Sets the timer for the first look that is due.
    pub(super) fn set_timer(&self, fd: &WakeFd) -> Result<(), WaiterError> {
        self.schedule().set_timer(fd)
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        // No panic leaves it half changed.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule {
    /// There is a look at a ring now, for a drain that has woken or because it was due.
    fn note(&mut self, key: u64, drained: bool) -> Option<Arc<Ring>> {
        // The next pause begins now: one that goes on from an earlier look would say that drains don't wake.
        self.forget_due(key);
        let entry = self.rings.get_mut(&key)?;
        entry.pace.note(drained);
        entry.round = entry.round.saturating_add(1);
        Some(Arc::clone(&entry.ring))
    }

    fn forget_due(&mut self, key: u64) {
        if let Some(due) = self.rings.get_mut(&key).and_then(|entry| entry.due.take()) {
            self.due.remove(&(due, key));
        }
    }

    fn look_in_time(&mut self, key: u64, kinds: Kinds, fd: &WakeFd) -> Result<(), WaiterError> {
        let Some(entry) = self.rings.get_mut(&key) else { return Ok(()) };
        let room = entry.pace.pause(entry.round).filter(|_| kinds.room);
        let consumption = kinds.consumption.then(|| entry.pace.pause_for_consumption(entry.round));
        let Some(pause) = room.into_iter().chain(consumption).min() else { return Ok(()) };
        let due = monotonic().saturating_add(pause);
        if entry.due.is_none_or(|known| due < known) {
            if let Some(known) = entry.due.replace(due) {
                self.due.remove(&(known, key));
            }
            self.due.insert((due, key));
        }
        self.set_timer(fd)
    }

    fn set_timer(&mut self, fd: &WakeFd) -> Result<(), WaiterError> {
        let Some((first, _)) = self.due.first().copied() else { return Ok(()) };
        if self.timer.is_none_or(|timer| first < timer) {
            fd.look_in(first.saturating_sub(monotonic()))?;
            self.timer = Some(first);
        }
        Ok(())
    }
}
