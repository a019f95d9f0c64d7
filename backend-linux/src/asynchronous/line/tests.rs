//! Who is woken, and who attempts.

use std::sync::Arc;
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Task<'l> {
    place: Place<'l>,
    woken: Arc<Count>,
}

impl<'l> Task<'l> {
    fn joins(line: &'l Line, service: Service) -> Self {
        let task = Self { place: line.join(service), woken: Arc::default() };
        task.turn();
        task
    }

    fn turn(&self) -> Duties {
        self.place.duties(&Arc::clone(&self.woken).into())
    }

    fn attempts(&self) -> bool {
        self.turn().attempts
    }

    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::Relaxed)
    }
}

fn consumed_to(position: u64) -> Service {
    Service::ConsumedTo(Position::new(position))
}

#[test]
fn who_came_first_is_first_and_who_leaves_wakes_the_next() {
    let line = Line::default();
    assert!(!line.has_order());
    let [a, b, c] = [0; 3].map(|_| Task::joins(&line, Service::InOrder));
    assert!(line.has_order());
    assert_eq!([&a, &b, &c].map(Task::attempts), [true, false, false]);
    drop(a);
    assert_eq!([&b, &c].map(Task::woken), [1, 0]);
    assert!(b.attempts());
    drop(b);
    assert_eq!(c.woken(), 1);
    drop(c);
    assert!(!line.has_order());
}

#[test]
fn who_leaves_from_the_middle_leaves_nothing_behind_and_wakes_no_one() {
    let line = Line::default();
    let [a, b, c] = [0; 3].map(|_| Task::joins(&line, Service::InOrder));
    drop(b);
    assert_eq!([&a, &c].map(Task::woken), [0, 0]);
    assert!(a.attempts());
    drop(a);
    assert!(c.attempts());
    assert_eq!(c.woken(), 1);
}

#[test]
fn a_look_wakes_the_first_in_order_and_those_whose_position_was_reached() {
    let line = Line::default();
    let late = Task::joins(&line, consumed_to(24));
    let soon = Task::joins(&line, consumed_to(8));
    assert!(!line.has_order(), "a newcomer may overtake");
    let [first, second] = [0; 2].map(|_| Task::joins(&line, Service::InOrder));
    assert_eq!([&late, &soon, &first, &second].map(Task::attempts), [true, true, true, false]);
    for (consumer, woken) in [(0, [0, 0, 1, 0]), (8, [0, 1, 1, 0]), (16, [0, 1, 1, 0]), (24, [1, 1, 1, 0])] {
        line.wake_reached(Position::new(consumer));
        assert_eq!([&late, &soon, &first, &second].map(Task::woken), woken, "at {consumer}");
    }
}

#[test]
fn a_consumer_position_that_can_not_be_is_for_everyone_to_see() {
    let line = Line::default();
    let [a, b] = [64, 128].map(|position| Task::joins(&line, consumed_to(position)));
    // Goes back; is not a multiple of 8; passes the end of its 64 bits.
    for (consumer, everyone) in [(32, false), (24, true), (33, true), (u64::MAX - 7, true), (8, true), (16, false)] {
        line.wake_reached(Position::new(consumer));
        assert_eq!([&a, &b].map(Task::woken), [usize::from(everyone); 2], "at {consumer}");
    }
}

#[test]
fn someone_watches_as_long_as_anyone_waits() {
    let line = Line::default();
    let place = line.join(consumed_to(8));
    let waker = Waker::noop();
    assert!(place.duties(waker).watches);
    assert!(!place.duties(waker).watches, "it is watched");
    let other = line.join(Service::InOrder);
    assert_eq!((line.ceases(), line.kinds()), (false, Kinds { room: true, consumption: true }));
    assert!(!other.duties(waker).watches);
    drop(place);
    assert_eq!((line.ceases(), line.kinds()), (false, Kinds { room: true, consumption: false }));
    assert_eq!([line.give_up(), line.give_up()], [true, false]);
    assert!(other.duties(waker).watches);
    drop(other);
    assert_eq!([line.ceases(), line.ceases()], [true, false]);
    assert!(line.join(Service::InOrder).duties(waker).watches, "nobody waited");
}

#[test]
fn if_the_line_can_not_be_watched_everyone_is_told() {
    let line = Line::default();
    let tasks = [Service::InOrder, Service::InOrder, consumed_to(8)].map(|service| Task::joins(&line, service));
    line.give_up();
    assert_eq!(tasks.each_ref().map(Task::woken), [1; 3]);
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
    for service in [Service::InOrder, consumed_to(8)] {
        let (line, locked) = (Arc::new(Line::default()), Arc::new(AtomicUsize::new(0)));
        let waker = || Waker::from(Arc::new(LooksBack { line: Arc::clone(&line), locked: Arc::clone(&locked) }));
        let place = line.join(service);
        place.duties(&waker());
        assert_eq!(Arc::strong_count(&locked), 2, "the line keeps the waker");
        place.duties(&waker());
        assert_eq!((Arc::strong_count(&locked), locked.load(Ordering::Relaxed)), (2, 0), "another in its place");
        drop(place);
        assert_eq!((Arc::strong_count(&locked), locked.load(Ordering::Relaxed)), (1, 0), "the place is left");
    }
}
