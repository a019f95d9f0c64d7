//! Waiting for room and for consumption, with drains that wake and drains that don't.

mod ending;
mod refilled;
mod room;
mod set;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use user_ringbuf_kit::usage::thread_cpu;
use user_ringbuf_kit::{needs_bpf, patience, soon};
use user_ringbuf_linux::{
    BlockingError, DrainOptions, DrainProgram, EpollWaiter, Map, Mapping, Producer, Recheck, RingId, Shared, Spin,
    Wait, Wake, WakeupFlags, Yield,
};

const WAKING: DrainOptions = DrainOptions::new();
const SILENT: DrainOptions = DrainOptions::new().wakeup(WakeupFlags::NEVER);

/// A ring's size in bytes: a page, or several, wherever Linux runs.
const RING: u64 = 65536;
/// Leaves half of it free.
const HALF: usize = 32768 - 8;
/// Takes more than half of it.
const WANTED: usize = 48_000;

const MS: Duration = Duration::from_millis(1);

/// A ring that is half full, so that the map polls as writable, and has no room for [`WANTED`] bytes.
fn half_full() -> (Map, Producer<Mapping>, DrainProgram) {
    let map = Map::create("waiting", RING).unwrap();
    let program = DrainProgram::load(&map, 0).unwrap();
    let mut producer = Producer::attach(Mapping::new(&map).unwrap()).unwrap();
    producer.push(&[0; HALF]).unwrap();
    (map, producer, program)
}

fn drain(program: &mut DrainProgram, options: DrainOptions) -> u32 {
    program.run(&options).unwrap().returned().unwrap()
}

fn without_recheck(map: &Map) -> EpollWaiter {
    EpollWaiter::with_recheck(map, Recheck::Never).unwrap()
}

/// A waiter that has fetched the event of its registration, so that only drains wake it.
fn quiet(map: &Map) -> EpollWaiter {
    let mut waiter = without_recheck(map);
    assert_eq!(waiter.acknowledge(), Ok(Wake::Look));
    waiter
}

fn joined_scoped<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    soon("over: a waiting thread still waits", || thread.is_finished());
    thread.join().unwrap()
}

/// What `wait` returns on another thread: it has to wait until `then` was done, and no longer.
fn waits_until<T: Send + 'static>(then: impl FnOnce(), wait: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(wait);
    sleep(20 * MS);
    assert!(!thread.is_finished(), "it did not wait");
    then();
    soon("over: it still waits", || thread.is_finished());
    thread.join().unwrap()
}

/// Waits for [`WANTED`] bytes of a half-full ring, which are to come once `then` was done. Returns how long it took.
fn gets_room(
    mut producer: Producer<Mapping>,
    mut waiter: EpollWaiter,
    timeout: Option<Duration>,
    then: impl FnOnce(),
) -> Duration {
    let began = Instant::now();
    let wait = move || producer.reserve_blocking(WANTED, &mut waiter, timeout).map(|sample| sample.len());
    assert_eq!(waits_until(then, wait), Ok(WANTED));
    began.elapsed()
}

#[test]
fn a_drain_wakes_who_waits_without_a_deadline() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    gets_room(producer, without_recheck(&map), None, || assert_eq!(drain(&mut program, WAKING), 1));
}

#[test]
fn a_drain_that_only_skips_discarded_records_wakes_too() {
    needs_bpf!();
    let map = Map::create("discards", RING).unwrap();
    let mut program = DrainProgram::load(&map, 0).unwrap();
    let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
    shared.reserve(HALF).unwrap().discard();
    let mut waiter = without_recheck(&map);
    let drained = || assert_eq!(drain(&mut program, WAKING), 0);
    let reserved = waits_until(drained, move || shared.reserve_blocking(WANTED, &mut waiter, None).map(drop));
    assert_eq!(reserved, Ok(()));
}

#[test]
fn a_waiter_that_spins_first_finds_a_silent_drain_and_sleeps_afterwards() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    let waiter = without_recheck(&map).spin_before_sleeping(patience());
    let took = gets_room(producer, waiter, Some(patience()), || assert_eq!(drain(&mut program, SILENT), 1));
    assert!(took < patience() / 2, "only the last try found it");
    let (map, mut producer, _program) = half_full();
    let mut waiter = without_recheck(&map).spin_before_sleeping(10 * MS);
    let timeout = Some(50 * MS);
    let late = producer.reserve_blocking(WANTED, &mut waiter, timeout).map(drop);
    assert_eq!(late, Err(BlockingError::TimedOut { timeout: 50 * MS }));
}

#[test]
fn without_a_recheck_a_silent_drain_is_noticed_by_the_last_try_only() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    let (waiter, timeout) = (without_recheck(&map), 400 * MS);
    let took = gets_room(producer, waiter, Some(timeout), || assert_eq!(drain(&mut program, SILENT), 1));
    assert!(took >= timeout, "{took:?}");
}

#[test]
fn the_recheck_notices_a_silent_drain() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = EpollWaiter::new(&map).unwrap();
    let began = Instant::now();
    let drained = || {
        assert_eq!(drain(&mut program, SILENT), 1);
        soon("the second sample", || drain(&mut program, SILENT) == 1);
    };
    let reserved = waits_until(drained, move || {
        producer.reserve_blocking(WANTED, &mut waiter, Some(10 * patience())).map(drop)?;
        // And again, now that the waiter has a history.
        producer.push(&[0; HALF])?;
        producer.reserve_blocking(WANTED, &mut waiter, None).map(drop)
    });
    assert_eq!(reserved, Ok(()));
    assert!(began.elapsed() < patience());
}

#[test]
fn a_drain_between_the_failed_reservation_and_the_wait_is_not_lost() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = quiet(&map);
    for _ in 0..100 {
        assert!(producer.reserve(WANTED).is_err());
        drain(&mut program, WAKING);
        let began = Instant::now();
        assert_eq!(waiter.wait(0, Some(waiter.now() + patience())), Ok(Wake::Look));
        assert!(began.elapsed() < patience(), "the wake was lost");
        producer.push(&[0; HALF]).unwrap();
    }
}

#[test]
fn on_a_partly_full_ring_a_wait_sleeps() {
    needs_bpf!();
    let (map, mut producer, _program) = half_full();
    let mut waiter = EpollWaiter::new(&map).unwrap();
    let before = thread_cpu();
    producer.reserve_blocking(WANTED, &mut waiter, Some(500 * MS)).unwrap_err();
    let used = thread_cpu() - before;
    // Spinning takes all of it. An emulated processor counts time in which it did not run.
    let most = 50 * MS * u32::try_from(patience().as_secs()).unwrap() / 20;
    assert!(used < most.min(250 * MS), "500 ms of waiting took {used:?} of CPU");
}

#[test]
fn waiters_made_before_and_after_the_ring_was_full_are_both_woken_by_one_drain() {
    needs_bpf!();
    let map = Map::create("both", RING).unwrap();
    let mut program = DrainProgram::load(&map, 0).unwrap();
    let before = without_recheck(&map);
    let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
    shared.push(&[0; 65528]).unwrap();
    let waiters = [before, without_recheck(&map)];
    let shared = &shared;
    std::thread::scope(|scope| {
        let threads = waiters.map(|mut waiter| {
            scope.spawn(move || shared.reserve_blocking(100, &mut waiter, Some(2 * patience())).map(drop))
        });
        sleep(50 * MS);
        assert!(!threads.iter().any(|thread| thread.is_finished()));
        drain(&mut program, WAKING);
        let began = Instant::now();
        for thread in threads {
            assert_eq!(joined_scoped(thread), Ok(()));
        }
        assert!(began.elapsed() < patience());
    });
}

#[test]
fn a_waiter_keeps_the_map_open() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    let waiter = quiet(&map);
    drop(map);
    gets_room(producer, waiter, Some(patience()), || _ = drain(&mut program, WAKING));
}

#[test]
fn what_was_sent_can_be_waited_for_until_the_kernel_has_taken_it() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let first = producer.position();
    let second = producer.push(b"second").unwrap();
    let beyond = second.advance(8);
    let mut waiter = without_recheck(&map);

    let not_submitted = BlockingError::NotSubmitted { position: beyond, end: second };
    assert_eq!(producer.wait_consumed(beyond, &mut waiter, None), Err(not_submitted));
    let timeout = 20 * MS;
    let timed_out = Err(BlockingError::TimedOut { timeout });
    assert_eq!(producer.wait_consumed(first, &mut waiter, Some(timeout)), timed_out);
    drain(&mut program, WAKING.stop_after(1));
    assert_eq!(producer.wait_consumed(first, &mut waiter, None), Ok(()));
    assert_eq!(producer.wait_consumed(second, &mut waiter, Some(timeout)), timed_out);

    let shared = producer.into_shared();
    assert_eq!(shared.wait_consumed(beyond, &mut waiter, None), Err(not_submitted));
    let drained = || _ = drain(&mut program, WAKING);
    assert_eq!(waits_until(drained, move || shared.wait_consumed(shared.position(), &mut waiter, None)), Ok(()));
}

#[test]
fn a_waiter_works_in_any_event_loop() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = quiet(&map);
    let readable = |waiter: &EpollWaiter, timeout: Duration| {
        let timeout = Timespec::try_from(timeout).unwrap();
        poll(&mut [PollFd::new(waiter, PollFlags::IN)], Some(&timeout)).unwrap() == 1
    };
    for _ in 0..3 {
        assert!(producer.reserve(WANTED).is_err());
        assert!(!readable(&waiter, 5 * MS), "no drain, no event");
        drain(&mut program, WAKING);
        assert!(readable(&waiter, patience()));
        assert_eq!(waiter.acknowledge(), Ok(Wake::Look));
        assert!(!readable(&waiter, 5 * MS), "the event was fetched");
        producer.push(&[0; HALF]).unwrap();
    }
    waiter.canceller().unwrap().cancel().unwrap();
    assert!(readable(&waiter, patience()));
    assert_eq!(waiter.acknowledge(), Ok(Wake::Cancelled));
}

#[test]
fn spinning_and_yielding_find_room_time_out_and_are_cancelled() {
    needs_bpf!();
    fn check<W: Wait + Copy>(mut waiter: W, mut cancellable: W, cancelled: &AtomicBool)
    where
        W::Error: std::fmt::Debug + PartialEq,
    {
        let (_map, mut producer, mut program) = half_full();
        let timeout = 20 * MS;
        let error = producer.reserve_blocking(WANTED, &mut waiter, Some(timeout)).unwrap_err();
        assert_eq!(error, BlockingError::TimedOut { timeout });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(20 * MS);
                cancelled.store(true, Ordering::Relaxed);
                sleep(20 * MS);
                drain(&mut program, SILENT);
            });
            let error = producer.reserve_blocking(WANTED, &mut cancellable, Some(patience())).unwrap_err();
            assert_eq!(error, BlockingError::Cancelled);
            assert!(producer.reserve_blocking(WANTED, &mut waiter, Some(patience())).is_ok());
        });
    }
    let cancelled = AtomicBool::new(false);
    check(Spin::new(), Spin::until_cancelled(&cancelled), &cancelled);
    let cancelled = AtomicBool::new(false);
    check(Yield::new(), Yield::until_cancelled(&cancelled), &cancelled);
}

#[test]
fn the_event_of_the_registration_is_not_taken_for_a_drain_that_wakes() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    let recheck = Recheck::Backoff { first: MS, longest: Duration::from_secs(3600) };
    let waiter = EpollWaiter::with_recheck(&map, recheck).unwrap();
    let took = gets_room(producer, waiter, Some(patience() / 2), || _ = drain(&mut program, SILENT));
    assert!(took < patience() / 4, "{took:?}: as if this consumer woke");
}
