//! The line in which tasks wait.
//!
//! Tasks that want room are served in order of arrival, so that none starves and short samples can't overtake a long
//! one forever: only the first of them attempts. Tasks that wait for consumption are sorted by position, and each
//! attempts whenever it is polled. A look at the ring wakes the first in order, and those whose position was reached.
//! So its cost depends on how many tasks are served, not on how many wait.
//!
//! Invariant: while any task waits, the line is *watched*: the reactor has the line's waker, or a task is about to pass
//! it on. No task watches for another, so a task that is never polled again holds up only those behind it in order.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::PoisonError;
use std::task::Waker;
use std::vec::Vec;

use user_ringbuf_core::Position;

use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// How a task is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// One after the other, in the order of arrival.
    InOrder,
    /// When the kernel has come to this position.
    ConsumedTo(Position),
}

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds {
    /// A task wants room.
    pub(super) room: bool,
    /// A task waits for consumption.
    pub(super) consumption: bool,
}

impl Kinds {
    /// Nobody waits.
    pub(super) const NONE: Self = Self { room: false, consumption: false };
}

#[derive(Debug, Default)]
struct Places {
    next_ticket: u64,
    in_order: VecDeque<(u64, Option<Waker>)>,
    /// By position and ticket.
    consumed_to: BTreeMap<(u64, u64), Option<Waker>>,
    watched: bool,
    /// The consumer position that was looked at last.
    seen: u64,
}

impl Places {
    fn waker_at(&mut self, service: Service, ticket: u64) -> Option<&mut Option<Waker>> {
        match service {
            Service::InOrder => {
                let at = self.in_order.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
                Some(&mut self.in_order.get_mut(at)?.1)
            }
            Service::ConsumedTo(position) => self.consumed_to.get_mut(&(position.get(), ticket)),
        }
    }

    fn is_first(&self, ticket: u64) -> bool {
        self.in_order.front().is_some_and(|(first, _)| *first == ticket)
    }

    fn waker_of_first(&self) -> Option<Waker> {
        self.in_order.front().and_then(|(_, waker)| waker.clone())
    }

    fn kinds(&self) -> Kinds {
        Kinds { room: !self.in_order.is_empty(), consumption: !self.consumed_to.is_empty() }
    }
}

/// The line. Wakers are woken and dropped only while the lock is not held: either may run a task's own code, which may
/// call back here.
#[derive(Debug, Default)]
pub(super) struct Line {
    places: Mutex<Places>,
    /// How many wait in order: if none does, no lock is taken. Relaxed: it guards nothing.
    in_order: AtomicUsize,
}

impl Line {
    /// Whether a task waits for room, which a newcomer must not overtake.
    pub(super) fn has_order(&self) -> bool {
        self.in_order.load(Ordering::Relaxed) != 0
    }

    pub(super) fn join(&self, service: Service) -> Place<'_> {
        let mut places = self.lock();
        let ticket = places.next_ticket;
        // Never wraps: at one a nanosecond it takes 584 years.
        places.next_ticket = ticket.wrapping_add(1);
        match service {
            Service::InOrder => places.in_order.push_back((ticket, None)),
            Service::ConsumedTo(position) => drop(places.consumed_to.insert((position.get(), ticket), None)),
        }
        self.in_order.store(places.in_order.len(), Ordering::Relaxed);
        Place { line: self, service, ticket }
    }

    /// The kernel has come to `consumer`: wakes the tasks that may be able to continue.
    pub(super) fn wake_reached(&self, consumer: Position) {
        let mut places = self.lock();
        let first = places.waker_of_first();
        let seen = mem::replace(&mut places.seen, consumer.get());
        // A position that went back, or that no kernel stores, is an error that each task finds by itself.
        let sane = consumer.is_aligned() && consumer.get() >= seen;
        let up_to = if sane { consumer.get() } else { u64::MAX };
        let reached: Vec<Waker> =
            places.consumed_to.range(..=(up_to, u64::MAX)).filter_map(|(_, waker)| waker.clone()).collect();
        drop(places);
        first.into_iter().chain(reached).for_each(Waker::wake);
    }

    /// Whether the line is no longer watched from now on, because no task waits in it.
    pub(super) fn ceases(&self) -> bool {
        let mut places = self.lock();
        places.kinds() == Kinds::NONE && mem::replace(&mut places.watched, false)
    }

    /// The line can't be watched: wakes every task, so that each finds out why. Returns whether it was watched.
    pub(super) fn give_up(&self) -> bool {
        let mut places = self.lock();
        let watched = mem::replace(&mut places.watched, false);
        let everyone: Vec<Waker> = places
            .in_order
            .iter()
            .map(|(_, waker)| waker)
            .chain(places.consumed_to.values())
            .flatten()
            .cloned()
            .collect();
        drop(places);
        everyone.into_iter().for_each(Waker::wake);
        watched
    }

    pub(super) fn kinds(&self) -> Kinds {
        self.lock().kinds()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // No panic leaves the places half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a task must do after leaving its waker with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duties {
    /// It may attempt.
    pub(super) attempts: bool,
    /// It has to make sure that the line is watched.
    pub(super) watches: bool,
}

/// A task's place in the line, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'l> {
    line: &'l Line,
    service: Service,
    ticket: u64,
}

impl Place<'_> {
    /// Leaves `waker` with the line. Returns what the task must do next.
    pub(super) fn duties(&self, waker: &Waker) -> Duties {
        let mut places = self.line.lock();
        let mut old = None;
        if let Some(place) = places.waker_at(self.service, self.ticket) {
            if !place.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
                old = place.replace(waker.clone());
            }
        }
        let attempts = self.service != Service::InOrder || places.is_first(self.ticket);
        let watches = !mem::replace(&mut places.watched, true);
        drop(places);
        drop(old);
        Duties { attempts, watches }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.line.lock();
        let (mut left, mut next) = (None, None);
        match self.service {
            Service::InOrder => {
                let was_first = places.is_first(self.ticket);
                if let Ok(at) = places.in_order.binary_search_by_key(&self.ticket, |(ticket, _)| *ticket) {
                    left = places.in_order.remove(at).and_then(|(_, waker)| waker);
                }
                if was_first {
                    next = places.waker_of_first();
                }
            }
            Service::ConsumedTo(position) => left = places.consumed_to.remove(&(position.get(), self.ticket)).flatten(),
        }
        self.line.in_order.store(places.in_order.len(), Ordering::Relaxed);
        drop(places);
        drop(left);
        if let Some(next) = next {
            next.wake();
        }
    }
}

#[cfg(test)]
mod tests;
