//! Waiting for room: for one sample that is copied, and for a whole batch.

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
    let thread = std::thread::spawn(move || {
        let end = producer.push_blocking(&[1; WANTED], &mut waiter, None)?;
        let shared = producer.into_shared();
        assert_eq!(shared.position(), end);
        shared.push_blocking(&[2; WANTED], &mut waiter, None).map(|last| [end, last])
    });
    for _ in 0..2 {
        sleep(20 * MS);
        assert!(!thread.is_finished(), "there is no room");
        in_time("the last push was not made", || drain(&mut program, WAKING) == 1);
    }
    let extent = u64::from(record_extent(48_000));
    assert_eq!(joined(thread), Ok([start.advance(extent), start.advance(2 * extent)]));
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

    let thread = std::thread::spawn(move || {
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
    sleep(20 * MS);
    assert_eq!(drain(&mut program, WAKING.stop_after(1)), 1);
    sleep(20 * MS);
    assert!(!thread.is_finished(), "room for three of four");
    assert_eq!(drain(&mut program, WAKING), 1);
    let (producer, mut waiter) = joined(thread).unwrap();

    let shared = producer.into_shared();
    assert_eq!(shared.wait_room(0, &mut waiter, Some(Duration::ZERO)), Ok(()));
    assert_eq!(shared.wait_room(1, &mut waiter, Some(timeout)), timed_out);
    let thread = std::thread::spawn(move || shared.wait_room(65536, &mut waiter, None));
    sleep(20 * MS);
    assert!(!thread.is_finished());
    assert_eq!(drain(&mut program, WAKING), 4);
    assert_eq!(joined(thread), Ok(()));
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
