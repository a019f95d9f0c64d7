//! The line in which tasks wait.
//!
//! Those who want room stand in order, so that no one starves and a long sample is not overtaken by short ones for ever;
//! those who wait for consumption are served at any time. The *first* of the line, in order before at any time, watches
//! the reactor for all. Invariant: whenever the line is not empty, its first has been woken or has watched the reactor
//! since it became the first: whoever leaves the line or finds that it has ceased to be the first wakes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::vec::Vec;

/// How a task is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// One after the other, in the order of arrival.
    InOrder,
    /// Whenever it may be its time.
    AnyTime,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Places {
    next_ticket: u64,
    in_order: VecDeque<Waiting>,
    any_time: VecDeque<Waiting>,
}

impl Places {
    fn of(&mut self, service: Service) -> &mut VecDeque<Waiting> {
        match service {
            Service::InOrder => &mut self.in_order,
            Service::AnyTime => &mut self.any_time,
        }
    }

    fn first(&self) -> Option<&Waiting> {
        self.in_order.front().or_else(|| self.any_time.front())
    }

    fn waker_of_first(&self) -> Option<Waker> {
        self.first().and_then(|first| first.waker.clone())
    }
}

/// The line. A waker is woken and dropped only where the lock is not held: either may run a task's own code, which may
/// come back here.
#[derive(Debug, Default)]
pub(super) struct Line {
    places: Mutex<Places>,
    /// How many stand in order: spares those who find none the lock. Relaxed: it guards nothing.
    in_order: AtomicUsize,
}

impl Line {
    /// Whether somebody waits for room, whom a newcomer must not overtake.
    pub(super) fn has_order(&self) -> bool {
        self.in_order.load(Ordering::Relaxed) != 0
    }

    pub(super) fn join(&self, service: Service) -> Place<'_> {
        let mut places = self.lock();
        let ticket = places.next_ticket;
        // Never wraps: at one a nanosecond it takes 584 years.
        places.next_ticket = ticket.wrapping_add(1);
        places.of(service).push_back(Waiting { ticket, waker: None });
        self.in_order.store(places.in_order.len(), Ordering::Relaxed);
        Place { line: self, service, ticket }
    }

    /// Wakes the first, to watch the reactor.
    pub(super) fn wake_first(&self) {
        let waker = self.lock().waker_of_first();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes those who are served at any time, to look for themselves; all but `but`, who is looking.
    pub(super) fn wake_any_time(&self, but: &Place<'_>) {
        let wakers: Vec<Waker> = self
            .lock()
            .any_time
            .iter()
            .filter(|waiting| waiting.ticket != but.ticket)
            .filter_map(|waiting| waiting.waker.clone())
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // No panic leaves the places half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's place in the line, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'l> {
    line: &'l Line,
    pub(super) service: Service,
    pub(super) ticket: u64,
}

impl Place<'_> {
    /// Leaves `waker` with the line, and says whether this is the first place.
    pub(super) fn is_first(&self, waker: &Waker) -> bool {
        let mut places = self.line.lock();
        let row = places.of(self.service);
        let at = row.binary_search_by_key(&self.ticket, |waiting| waiting.ticket);
        let mut old = None;
        if let Some(waiting) = at.ok().and_then(|at| row.get_mut(at)) {
            if !waiting.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
                old = waiting.waker.replace(waker.clone());
            }
        }
        let first = places.first().is_some_and(|first| first.ticket == self.ticket);
        drop(places);
        drop(old);
        first
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.line.lock();
        let row = places.of(self.service);
        let at = row.binary_search_by_key(&self.ticket, |waiting| waiting.ticket);
        let left = at.ok().and_then(|at| row.remove(at));
        self.line.in_order.store(places.in_order.len(), Ordering::Relaxed);
        let waker = places.waker_of_first();
        drop(places);
        drop(left);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    struct Task<'l> {
        place: Place<'l>,
        woken: Arc<Count>,
    }

    impl<'l> Task<'l> {
        fn joins(line: &'l Line, service: Service) -> Self {
            let task = Self { place: line.join(service), woken: Arc::default() };
            task.is_first();
            task
        }

        fn is_first(&self) -> bool {
            self.place.is_first(&Arc::clone(&self.woken).into())
        }
    }

    #[test]
    fn who_came_first_is_first_and_who_leaves_wakes_the_next() {
        let line = Line::default();
        assert!(!line.has_order());
        let [a, b, c] = [0; 3].map(|_| Task::joins(&line, Service::InOrder));
        assert!(line.has_order());
        assert_eq!([&a, &b, &c].map(Task::is_first), [true, false, false]);
        let b_woken = Arc::clone(&b.woken);
        drop(a);
        assert_eq!((b_woken.take(), c.woken.take()), (1, 0));
        assert!(b.is_first());
        drop(b);
        assert_eq!((b_woken.take(), c.woken.take()), (0, 1));
        drop(c);
        assert!(!line.has_order());
    }

    #[test]
    fn who_leaves_from_the_middle_leaves_nothing_behind() {
        let line = Line::default();
        let [a, b, c] = [0; 3].map(|_| Task::joins(&line, Service::InOrder));
        drop(b);
        assert!(a.is_first());
        drop(a);
        assert!(c.is_first());
        assert_eq!(c.woken.take(), 1);
    }

    #[test]
    fn who_wants_room_comes_before_who_waits_for_consumption() {
        let line = Line::default();
        let watcher = Task::joins(&line, Service::AnyTime);
        assert!(watcher.is_first());
        assert!(!line.has_order(), "a newcomer may overtake");
        let reserver = Task::joins(&line, Service::InOrder);
        assert_eq!([&watcher, &reserver].map(Task::is_first), [false, true]);
        line.wake_any_time(&reserver.place);
        assert_eq!([&watcher, &reserver].map(|task| task.woken.take()), [1, 0]);
        line.wake_first();
        assert_eq!([&watcher, &reserver].map(|task| task.woken.take()), [0, 1]);
        line.wake_any_time(&watcher.place);
        assert_eq!(watcher.woken.take(), 0, "who looks is not woken to look");
        drop(reserver);
        assert_eq!(watcher.woken.take(), 1);
        assert!(watcher.is_first());
    }
    /// Sees, when it is dropped, whether the line is locked.
    struct LooksBack {
        line: Arc<Line>,
        locked: Arc<AtomicUsize>,
    }

    impl Wake for LooksBack {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for LooksBack {
        fn drop(&mut self) {
            let locked = self.line.places.try_lock().is_err();
            self.locked.fetch_add(usize::from(locked), Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waker_that_is_dropped_may_come_back_to_the_line() {
        let (line, locked) = (Arc::new(Line::default()), Arc::new(AtomicUsize::new(0)));
        let waker = || Waker::from(Arc::new(LooksBack { line: Arc::clone(&line), locked: Arc::clone(&locked) }));
        let place = line.join(Service::InOrder);
        place.is_first(&waker());
        assert_eq!(Arc::strong_count(&locked), 2, "the line keeps the waker");
        place.is_first(&waker());
        assert_eq!((Arc::strong_count(&locked), locked.load(Ordering::Relaxed)), (2, 0), "another in its place");
        drop(place);
        assert_eq!((Arc::strong_count(&locked), locked.load(Ordering::Relaxed)), (1, 0), "the place is left");
    }
}
