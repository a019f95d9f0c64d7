//! Threads that wait for the same room: who is made to wait, and who goes first.

use std::cell::Cell;
use std::time::Duration;

use user_ringbuf_core::{AutoLane, BlockingError, RingId, RingMemory, Role, Shared, Wait, Wake};
use user_ringbuf_sim::{FakeKernel, Fate, HeapMemory, Hooked, Step};

const SIZE: u64 = 65536;
const START: Duration = Duration::from_secs(3);
const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Turn,
    Wait,
    GiveWay(Duration),
}

/// Writes down what it is asked, and calls `waiting` in each wait and when it gives way. Its clock moves by that alone.
struct Witness<F> {
    now: Cell<Duration>,
    taken: u64,
    asked: Vec<Asked>,
    waiting: F,
}

fn witness<F: FnMut()>(waiting: F) -> Witness<F> {
    Witness { now: Cell::new(START), taken: 0, asked: Vec::new(), waiting }
}

impl<F> Witness<F> {
    fn ways(&self) -> usize {
        self.asked.iter().filter(|asked| matches!(asked, Asked::GiveWay(_))).count()
    }
}

impl<F: FnMut()> Wait for Witness<F> {
    type Error = &'static str;

    fn ring(&self) -> Option<RingId> {
        None
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn take_turn(&mut self) -> Result<(), Self::Error> {
        self.asked.push(Asked::Turn);
        self.taken = 0;
        Ok(())
    }

    fn took(&mut self, bytes: u32) -> u64 {
        self.taken += u64::from(bytes);
        self.taken
    }

    fn give_way(&mut self, until: Duration) -> Result<(), Self::Error> {
        self.asked.push(Asked::GiveWay(until));
        self.taken = 0;
        (self.waiting)();
        self.now.set(until);
        Ok(())
    }

    fn wait(&mut self, _round: u32, until: Option<Duration>) -> Result<Wake, Self::Error> {
        self.asked.push(Asked::Wait);
        (self.waiting)();
        self.now.set(until.unwrap_or(self.now.get() + MS));
        Ok(Wake::Look)
    }
}

fn drain(memory: &HeapMemory) -> usize {
    FakeKernel::new(memory).collect(0).1.len()
}

/// Fills the ring, lets a thread wait for room, and calls `beside` in its one wait. The ring is empty then.
fn beside_one_in_line<M: RingMemory>(memory: &HeapMemory, shared: &Shared<M>, mut beside: impl FnMut()) {
    shared.push(&[0; 65528]).unwrap();
    let mut in_line = witness(|| {
        drain(memory);
        beside();
    });
    shared.push_blocking(b"in line", &mut in_line, None).unwrap();
    assert_eq!(in_line.asked, [Asked::Turn, Asked::Wait]);
    drain(memory);
}

#[test]
fn a_thread_takes_a_turn_before_it_waits_and_once_however_often_it_does() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut left = 3;
    let mut waiter = witness(|| {
        left -= 1;
        if left == 0 {
            drain(&memory);
        }
    });
    shared.push_blocking(&[0; 65528], &mut waiter, None).unwrap();
    assert_eq!(waiter.asked, []);
    shared.push_blocking(b"waits", &mut waiter, None).unwrap();
    assert_eq!(waiter.asked, [Asked::Turn, Asked::Wait, Asked::Wait, Asked::Wait]);
}

#[test]
fn a_thread_that_has_had_its_share_lets_the_one_in_line_go_first() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut waiter = witness(|| ());
    let push = |waiter: &mut Witness<_>| shared.push_blocking(&[1; 16376], waiter, None).unwrap();
    beside_one_in_line(&memory, &shared, || {
        // Half of the ring is its share: two of them wait.
        push(&mut waiter);
        push(&mut waiter);
        assert_eq!(waiter.asked, []);
        push(&mut waiter);
        assert_eq!(waiter.asked, [Asked::GiveWay(START + MS)]);
        assert_eq!(waiter.taken, 16384, "its next share has begun");
    });
    // The other one has left the line.
    for _ in 0..10 {
        push(&mut waiter);
        drain(&memory);
    }
    assert_eq!(waiter.asked.len(), 1);
}

#[test]
fn the_more_are_in_line_the_smaller_is_a_share() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    beside_one_in_line(&memory, &shared, || {
        beside_one_in_line(&memory, &shared, || {
            beside_one_in_line(&memory, &shared, || {
                let mut waiter = witness(|| ());
                for pushed in 0..32 {
                    shared.push_blocking(&[1; 2040], &mut waiter, None).unwrap();
                    assert_eq!(waiter.ways(), pushed / 8, "of 65536 bytes, a quarter is its share");
                    drain(&memory);
                }
            });
        });
    });
}

#[test]
fn a_share_is_16_kib_at_least_however_small_the_ring() {
    let memory = HeapMemory::new(64).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(&[0; 56]).unwrap();
    let mut in_line = witness(|| {
        drain(&memory);
        let mut waiter = witness(|| ());
        for pushed in 1..=1024 {
            shared.push_blocking(b"12345678", &mut waiter, None).unwrap();
            drain(&memory);
            assert_eq!(waiter.ways(), 0, "{pushed} times 16 bytes");
        }
        shared.push_blocking(b"12345678", &mut waiter, None).unwrap();
        assert_eq!(waiter.ways(), 1);
        drain(&memory);
    });
    shared.push_blocking(b"in line", &mut in_line, None).unwrap();
}

#[test]
fn whoever_gives_way_is_in_line_meanwhile() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    beside_one_in_line(&memory, &shared, || {
        let third_of = |taken, gives_way| {
            let mut third = witness(|| ());
            third.took(taken);
            shared.push_blocking(b"3", &mut third, None).unwrap();
            assert_eq!(third.ways(), gives_way, "{taken} of 65536 bytes, a third of which is its share");
        };
        let mut second = witness(|| {
            third_of(21845, 1);
            third_of(21844, 0);
        });
        second.took(65536);
        shared.push_blocking(b"2", &mut second, None).unwrap();
        third_of(21845, 0);
    });
}

#[test]
fn whoever_gives_way_does_so_within_its_timeout_and_not_without_time() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    beside_one_in_line(&memory, &shared, || {
        for (timeout, asked) in [
            (Some(Duration::ZERO), None),
            (Some(MS / 10), Some(Asked::GiveWay(START + MS / 10))),
            (Some(10 * MS), Some(Asked::GiveWay(START + MS))),
            (None, Some(Asked::GiveWay(START + MS))),
        ] {
            let mut waiter = witness(|| ());
            waiter.took(65536);
            shared.push_blocking(b"1", &mut waiter, timeout).unwrap();
            assert_eq!(waiter.asked, Vec::from_iter(asked), "{timeout:?}");
        }
    });
}

#[test]
fn the_time_for_which_a_thread_gave_way_counts() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    beside_one_in_line(&memory, &shared, || {
        shared.push(&[0; 65528]).unwrap();
        let mut waiter = witness(|| ());
        waiter.took(65536);
        let timeout = 5 * MS;
        let late = shared.push_blocking(b"no room", &mut waiter, Some(timeout));
        assert_eq!(late, Err(BlockingError::TimedOut { timeout }));
        assert_eq!(waiter.asked, [Asked::GiveWay(START + MS), Asked::Turn, Asked::Wait]);
        assert_eq!(waiter.now.get(), START + timeout);
        drain(&memory);
    });
}

#[test]
fn a_thread_leaves_the_line_however_its_wait_ends() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(&[0; 65528]).unwrap();
    let late = shared.push_blocking(b"late", &mut witness(|| ()), Some(MS));
    assert!(matches!(late, Err(BlockingError::TimedOut { .. })), "{late:?}");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = shared.push_blocking(b"never", &mut witness(|| panic!("a waiter of the user's")), None);
    }));
    assert!(panicked.is_err());
    drain(&memory);
    let mut waiter = witness(|| ());
    waiter.took(65536);
    shared.push_blocking(b"1", &mut waiter, None).unwrap();
    assert_eq!(waiter.asked, []);
}

#[test]
fn a_thread_is_counted_once_though_exchanges_fail_for_no_reason() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let fails = Cell::new(true);
    let every_other = |step| match step {
        Step::Word(Role::CountLine) if fails.replace(!fails.get()) => Fate::Fails,
        _ => Fate::Happens,
    };
    let shared = Shared::attach(Hooked::new(&memory, every_other)).unwrap();
    let gives_way = |taken| {
        let mut waiter = witness(|| ());
        waiter.took(taken);
        shared.push_blocking(b"1", &mut waiter, None).unwrap();
        waiter.ways() == 1
    };
    beside_one_in_line(&memory, &shared, || assert_eq!([32767, 32768].map(gives_way), [false, true]));
    assert!(!gives_way(65536));
}

#[test]
fn a_waiter_that_can_not_give_way_goes_on_at_once() {
    /// With the defaults, except that it counts.
    struct Counts;
    impl Wait for Counts {
        type Error = &'static str;

        fn ring(&self) -> Option<RingId> {
            None
        }

        fn now(&self) -> Duration {
            START
        }

        fn took(&mut self, _bytes: u32) -> u64 {
            u64::MAX
        }

        fn wait(&mut self, _round: u32, _until: Option<Duration>) -> Result<Wake, Self::Error> {
            Err("it waits")
        }
    }
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    beside_one_in_line(&memory, &shared, || {
        shared.push_blocking(b"1", &mut Counts, None).unwrap();
    });
}

#[test]
fn a_handle_that_takes_lanes_gives_way_between_them_and_with_none_open() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    // Two that send by turns take lanes.
    let mut handles = [(); 2].map(|()| AutoLane::with_longest(&shared, 256));
    while handles[0].left() < 128 {
        for handle in &mut handles {
            handle.push(b"12345678").unwrap();
        }
        drain(&memory);
    }
    let [mut handle, other] = handles;
    drop(other);
    let mut waiter = witness(|| {
        shared.push(b"behind").unwrap();
        assert_eq!(drain(&memory), 1, "an open lane holds it up");
    });
    waiter.took(65536);
    let lanes = handle.left() / 16;
    // The lane lies in front of what the other one waits for.
    shared.push(&[0; 2040]).unwrap();
    let mut in_line = witness(|| {
        for _ in 0..lanes {
            handle.push_blocking(b"in it", &mut waiter, None).unwrap();
            assert_eq!(waiter.ways(), 0, "while the lane lasts");
        }
        drain(&memory);
        handle.push_blocking(b"anew", &mut waiter, None).unwrap();
        assert_eq!(waiter.ways(), 1);
        handle.release();
        drain(&memory);
    });
    shared.push_blocking(&[0; 65528], &mut in_line, None).unwrap();
}
