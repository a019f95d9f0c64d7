//! Waiting for room: for one sample that is copied, and for a whole batch.

use std::sync::atomic::AtomicU64;

use user_ringbuf_linux::{Corruption, ReserveError, record_extent};

use super::*;
use user_ringbuf_kit::raw::RawProducer;

#[test]
fn a_push_waits_for_its_room_and_returns_where_the_record_ends() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = without_recheck(&map);
    let timeout = 5 * MS;
    let timed_out = Err(BlockingError::TimedOut { timeout });
    assert_eq!(producer.push_blocking(&[1; WANTED], &mut waiter, Some(timeout)), timed_out);
    let start = producer.position();
    let drained = || _ = drain(&mut program, WAKING);
    let (producer, mut waiter, end) = waits_until(drained, move || {
        let end = producer.push_blocking(&[1; WANTED], &mut waiter, None);
        (producer, waiter, end)
    });
    let shared = producer.into_shared();
    assert_eq!(Ok(shared.position()), end);
    let drained = || assert_eq!(drain(&mut program, WAKING), 1);
    let last = waits_until(drained, move || shared.push_blocking(&[2; WANTED], &mut waiter, None));
    let extent = u64::from(record_extent(48_000));
    assert_eq!((end, last), (Ok(start.advance(extent)), Ok(start.advance(2 * extent))));
    assert_eq!(drain(&mut program, WAKING), 1);
}

#[test]
fn a_batch_waits_until_the_whole_of_it_has_room() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    producer.push(&[0; 8]).unwrap();
    let mut waiter = without_recheck(&map);
    let timeout = 5 * MS;
    let timed_out = Err(BlockingError::TimedOut { timeout });
    let free = usize::try_from(producer.free().unwrap()).unwrap();
    for bytes in [0, 1, free] {
        assert_eq!(producer.wait_room(bytes, &mut waiter, Some(Duration::ZERO)), Ok(()), "{bytes} of {free}");
    }
    assert_eq!(producer.wait_room(free + 1, &mut waiter, Some(timeout)), timed_out);

    let drained = || {
        assert_eq!(drain(&mut program, WAKING.stop_after(1)), 1);
        // Room for three of four.
        sleep(20 * MS);
        assert_eq!(drain(&mut program, WAKING), 1);
    };
    let waited = waits_until(drained, move || {
        let records = [[7; 16376]; 4];
        let bytes = records.len() * usize::try_from(record_extent(16376)).unwrap();
        producer.wait_room(bytes, &mut waiter, None)?;
        let mut batch = producer.batch();
        for record in &records {
            batch.push(record)?;
        }
        batch.submit().unwrap();
        Ok::<_, BlockingError<_>>((producer, waiter))
    });
    let (producer, mut waiter) = waited.unwrap();

    let shared = producer.into_shared();
    assert_eq!(shared.wait_room(0, &mut waiter, Some(Duration::ZERO)), Ok(()));
    assert_eq!(shared.wait_room(1, &mut waiter, Some(timeout)), timed_out);
    let drained = || assert_eq!(drain(&mut program, WAKING), 4);
    assert_eq!(waits_until(drained, move || shared.wait_room(65536, &mut waiter, None)), Ok(()));
}

/// Lets 16 threads send `samples` samples through one ring, each as often as it gets to call `send`, and says how many of
/// them each has sent.
fn crowded(samples: u64, send: impl Fn(&Shared<Mapping>, &mut EpollWaiter) -> u64 + Sync) -> [u64; 16] {
    let map = Map::create("crowded", RING).unwrap();
    let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
    let mut program = DrainProgram::load(&map, 0).unwrap();
    let (sent, sent_by) = (AtomicU64::new(0), [const { AtomicU64::new(0) }; 16]);
    std::thread::scope(|scope| {
        let threads = sent_by.each_ref().map(|own| {
            let (map, shared, sent, send) = (&map, &shared, &sent, &send);
            scope.spawn(move || {
                let mut waiter = EpollWaiter::new(map).unwrap();
                while sent.load(Ordering::Relaxed) < samples {
                    let more = send(shared, &mut waiter);
                    sent.fetch_add(more, Ordering::Relaxed);
                    own.fetch_add(more, Ordering::Relaxed);
                }
            })
        });
        let mut drained = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            drained += u64::from(drain(&mut program, WAKING));
        }
        drained += u64::from(drain(&mut program, WAKING));
        assert_eq!(drained, sent.load(Ordering::Relaxed), "samples were lost");
    });
    sent_by.map(AtomicU64::into_inner)
}

#[test]
fn threads_that_wait_for_a_full_ring_are_all_served() {
    needs_bpf!();
    // So many times the ring.
    let samples = 1000 * RING / u64::from(record_extent(56));
    let singly = |shared: &Shared<Mapping>, waiter: &mut EpollWaiter| {
        shared.push_blocking(&[7; 56], waiter, Some(patience())).unwrap();
        1
    };
    let in_lanes = |shared: &Shared<Mapping>, waiter: &mut EpollWaiter| {
        let mut lane = shared.reserve_blocking(1016, waiter, Some(patience())).unwrap().into_lane();
        (0..).take_while(|_| lane.push(&[7; 56]).is_ok()).count() as u64
    };
    for (how, sent_by) in [("singly", crowded(samples, singly)), ("in lanes", crowded(samples, in_lanes))] {
        let fewest = sent_by.iter().min().unwrap();
        assert!(fewest * 4 * sent_by.len() as u64 >= samples, "{how}, a thread starves: {sent_by:?}");
    }
}

#[test]
fn whoever_gives_way_sleeps_until_the_next_drain_that_wakes_or_until_the_time_is_up_though_there_is_room() {
    needs_bpf!();
    let (map, mut producer, mut program) = half_full();
    let mut waiter = without_recheck(&map);
    // A drain before the call does not end it.
    drain(&mut program, WAKING);
    producer.push(b"to be drained").unwrap();
    assert_eq!((waiter.took(100), waiter.took(28)), (100, 128));
    let until = waiter.now() + 20 * MS;
    waiter.give_way(until).unwrap();
    assert!(waiter.now() >= until);
    assert_eq!(waiter.took(0), 0, "its next share has begun");
    let (gave_way, woken) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let until = waiter.now() + patience();
            (waiter.give_way(until), waiter.now() < until)
        });
        // The first one may come before it sleeps.
        while !thread.is_finished() {
            sleep(5 * MS);
            drain(&mut program, WAKING.wakeup(WakeupFlags::ALWAYS));
        }
        joined_scoped(thread)
    });
    assert_eq!((gave_way, woken), (Ok(()), true));
}

#[test]
fn waiting_for_room_notices_a_position_that_is_not_ours() {
    needs_bpf!();
    let (map, producer, mut program) = half_full();
    let expected = producer.position();
    let mut raw = RawProducer::new(&map);
    raw.send(b"not ours");
    let found = expected.advance(16);
    let mut waiter = without_recheck(&map);
    let foreign = Err(BlockingError::Reserve(ReserveError::ForeignProducer { expected, found }));
    assert_eq!(producer.wait_room(1, &mut waiter, None), foreign);
    let shared = producer.into_shared();
    drain(&mut program, WAKING);
    let led_astray = shared.wait_room(1, &mut waiter, None);
    let out_of_range =
        matches!(led_astray, Err(BlockingError::Reserve(ReserveError::Corrupted(Corruption::OutOfRange { .. }))));
    assert!(out_of_range, "{led_astray:?}");
}

#[test]
fn a_waiter_of_another_handle_of_the_map_belongs_to_the_same_ring() {
    needs_bpf!();
    let (map, mut producer, _program) = half_full();
    let mut waiter = without_recheck(&map.try_clone().unwrap());
    assert!(producer.reserve_blocking(8, &mut waiter, None).is_ok());
    assert!(producer.into_shared().reserve_blocking(8, &mut waiter, None).is_ok());
}
