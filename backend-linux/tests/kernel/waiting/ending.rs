//! What ends a wait other than room: deadlines, cancelling, errors; and what must not: signals.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_kit::{needs_bpf, patience, soon};
use user_ringbuf_linux::{BlockingError, Canceller, EpollWaiter, MAX_TIMEOUT, Recheck, ReserveError};

use super::{HALF, MS, SILENT, WAKING, WANTED, drain, half_full, joined_scoped, quiet, waits_until, without_recheck};

#[test]
fn a_timeout_of_zero_does_not_wait() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = without_recheck(&map);
    let timed_out = BlockingError::TimedOut { timeout: Duration::ZERO };
    assert_eq!(producer.reserve_blocking(WANTED, &mut waiter, Some(Duration::ZERO)).unwrap_err(), timed_out);
    drain(&mut program, SILENT);
    assert!(producer.reserve_blocking(WANTED, &mut waiter, Some(Duration::ZERO)).is_ok());
}

#[test]
fn the_deadline_ends_a_wait_and_not_earlier() {
    needs_bpf!();
    let (map, mut producer, _program) = half_full();
    for recheck in [Recheck::Never, Recheck::default()] {
        let mut waiter = EpollWaiter::with_recheck(&map, recheck).unwrap();
        let (timeout, began) = (150 * MS, Instant::now());
        let error = producer.reserve_blocking(WANTED, &mut waiter, Some(timeout)).unwrap_err();
        assert_eq!(error, BlockingError::TimedOut { timeout });
        assert!(began.elapsed() >= timeout, "{:?}", began.elapsed());
        assert!(began.elapsed() < patience());
    }
}

#[test]
fn cancelling_ends_a_wait_before_during_and_until_reset() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = without_recheck(&map);
    let canceller = waiter.canceller().unwrap().try_clone().unwrap();
    canceller.cancel().unwrap();
    canceller.cancel().unwrap();
    for _ in 0..2 {
        let error = producer.reserve_blocking(WANTED, &mut waiter, Some(patience())).unwrap_err();
        assert_eq!(error, BlockingError::Cancelled, "once cancelled, it stays so");
    }
    assert!(producer.reserve_blocking(8, &mut waiter, None).is_ok(), "what needs no wait is not cancelled");

    waiter.reset().unwrap();
    waiter.reset().unwrap();
    let cancelled_and_drained = || {
        canceller.cancel().unwrap();
        sleep(50 * MS);
        drain(&mut program, WAKING);
    };
    let waited = waits_until(cancelled_and_drained, move || {
        let error = producer.reserve_blocking(WANTED, &mut waiter, None).unwrap_err();
        waiter.reset().unwrap();
        (error, producer.reserve_blocking(WANTED, &mut waiter, None).map(drop))
    });
    assert_eq!(waited, (BlockingError::Cancelled, Ok(())));
}

#[test]
fn one_canceller_ends_the_waits_of_several_and_takes_that_back_for_all() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    let shared = producer.into_shared();
    let canceller = Canceller::new().unwrap();
    let waiter = || EpollWaiter::cancelled_by(&map, Recheck::Never, canceller.try_clone().unwrap()).unwrap();
    let first = waiter();
    // One that is made from the canceller of another shares it too.
    let third = EpollWaiter::cancelled_by(&map, Recheck::Never, first.canceller().unwrap()).unwrap();
    let waiters = [first, waiter(), third];
    let shared = &shared;
    std::thread::scope(|scope| {
        let threads = waiters.map(|mut waiter| {
            scope.spawn(move || (shared.reserve_blocking(WANTED, &mut waiter, Some(patience())).map(drop), waiter))
        });
        sleep(20 * MS);
        assert!(!threads.iter().any(|thread| thread.is_finished()));
        canceller.cancel().unwrap();
        let mut waiters = threads.map(|thread| {
            let (waited, waiter) = joined_scoped(thread);
            assert_eq!(waited, Err(BlockingError::Cancelled));
            waiter
        });
        canceller.reset().unwrap();
        for waiter in &mut waiters {
            let timeout = MS;
            let waited = shared.reserve_blocking(WANTED, waiter, Some(timeout)).map(drop);
            assert_eq!(waited, Err(BlockingError::TimedOut { timeout }));
        }
        drain(&mut program, WAKING);
        for waiter in &mut waiters {
            assert_eq!(shared.reserve_blocking(8, waiter, None).map(|sample| sample.discard()), Ok(()));
        }
    });
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn signals_neither_end_nor_prolong_a_wait() {
    needs_bpf!();
    // SAFETY: all zero is a valid sigaction: no flags (so no SA_RESTART) and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler only counts, and nothing else uses this signal.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);

    let (map, mut producer, mut program) = half_full();
    let mut waiter = without_recheck(&map);
    let timeout = 400 * MS;
    let [timed_out, over] = [(); 2].map(|()| AtomicBool::new(false));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: asks who this thread is.
            tell.send(unsafe { libc::pthread_self() }).unwrap();
            let began = Instant::now();
            let first = producer.reserve_blocking(WANTED, &mut waiter, Some(timeout)).map(drop);
            let took = began.elapsed();
            timed_out.store(true, Ordering::Release);
            let second = producer.reserve_blocking(WANTED, &mut waiter, None).map(drop);
            over.store(true, Ordering::Release);
            // Signals come until the thread is about to end.
            (first, took, second)
        });
        let waiting = told.recv().unwrap();
        let (began, mut signals) = (Instant::now(), 0);
        while !over.load(Ordering::Acquire) && !thread.is_finished() {
            // SAFETY: a scoped thread's id is valid until it is joined.
            unsafe { libc::pthread_kill(waiting, libc::SIGUSR1) };
            sleep(5 * MS);
            if !timed_out.load(Ordering::Acquire) {
                signals = SIGNALS.load(Ordering::Relaxed);
            }
            // Until the second wait has been interrupted, too; or the first one goes on and on.
            if SIGNALS.load(Ordering::Relaxed) > signals + 10 || began.elapsed() > patience() {
                drain(&mut program, WAKING);
            }
        }
        let (first, took, second) = joined_scoped(thread);
        assert_eq!(first, Err(BlockingError::TimedOut { timeout }));
        assert!(took >= timeout, "{took:?}");
        assert_eq!(second, Ok(()));
    });
}

#[test]
fn timeouts_at_the_end_of_the_range_work() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = quiet(&map);
    let longest = Recheck::Backoff { first: Duration::MAX, longest: Duration::MAX };
    let mut patient = EpollWaiter::with_recheck(&map, longest).unwrap();
    patient.acknowledge().unwrap();
    let drained = || {
        drain(&mut program, WAKING);
        soon("the second sample", || drain(&mut program, WAKING) == 1);
    };
    // A long timeout is not a short one.
    let waited = waits_until(drained, move || {
        producer.reserve_blocking(WANTED, &mut waiter, Some(MAX_TIMEOUT)).map(drop)?;
        producer.push(&[0; HALF])?;
        producer.reserve_blocking(WANTED, &mut patient, None).map(drop)
    });
    assert_eq!(waited, Ok(()));
}

#[test]
fn a_position_that_goes_wrong_ends_a_wait_with_an_error() {
    needs_bpf!();
    let (map, mut producer, _program) = half_full();
    let raw = RawRing::new(&map);
    let mut waiter = EpollWaiter::new(&map).unwrap();
    let errors = waits_until(
        || raw.set_producer_pos(13),
        move || {
            let error = producer.reserve_blocking(WANTED, &mut waiter, None).map(drop).unwrap_err();
            let shared = producer.into_shared();
            [error, shared.reserve_blocking(WANTED, &mut waiter, None).map(drop).unwrap_err()]
        },
    );
    let corrupted = |error: &_| matches!(error, BlockingError::Reserve(ReserveError::Corrupted(_)));
    assert!(errors.iter().all(corrupted), "{errors:?}");
}
