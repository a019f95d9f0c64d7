//! What samples, batches and lanes leave in the ring when they are shortened, discarded, dropped or refused.

use user_ringbuf_core::{BeyondSample, Position, Producer, ReserveError, Shared, Survey};
use user_ringbuf_sim::{FakeKernel, HeapMemory, RawAccess};

const SIZE: u64 = 128;

fn ring() -> HeapMemory {
    HeapMemory::new(SIZE).unwrap()
}

fn drain(memory: &HeapMemory) -> Vec<Vec<u8>> {
    let (drained, samples) = FakeKernel::new(memory).collect(0);
    assert!(drained.returned.is_ok(), "{drained:?}");
    samples
}

#[test]
fn a_sample_of_a_batch_is_left_out_if_it_is_dropped_discarded_or_shortened_too_far() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    let mut batch = producer.batch();
    assert!(batch.is_empty());
    drop(batch.reserve(8).unwrap());
    batch.reserve(8).unwrap().discard();
    let beyond = BeyondSample { at: 0, len: 9, reserved: 8 };
    assert_eq!(batch.reserve(8).unwrap().submit_len(9), Err(beyond));
    assert_eq!((batch.is_empty(), batch.bytes()), (true, 0));
    let mut sample = batch.reserve(8).unwrap();
    assert_eq!((sample.len(), sample.is_empty(), sample.start()), (8, false, Position::new(0)));
    sample.write(0, b"shorter!").unwrap();
    sample.submit_len(5).unwrap();
    let empty = batch.reserve(0).unwrap();
    assert!(empty.is_empty());
    empty.submit();
    assert_eq!(batch.bytes(), 24);
    assert_eq!(batch.submit().unwrap(), Position::new(24));
    assert_eq!(drain(&memory), [&b"short"[..], b""]);
}

#[test]
fn a_batch_that_is_discarded_leaves_nothing_and_an_empty_one_stores_nothing() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    for discarded in [true, false] {
        let mut batch = producer.batch();
        batch.push(b"never seen").unwrap();
        if discarded { batch.discard() } else { drop(batch) }
    }
    assert_eq!((memory.snapshot().producer, drain(&memory).len()), (0, 0));
    // Not even where another producer has moved the position.
    memory.set_producer(16);
    assert_eq!(producer.batch().submit().unwrap(), Position::new(0));
    assert_eq!(memory.snapshot().producer, 16);
}

#[test]
fn a_batch_that_finds_no_room_for_a_sample_is_published_without_it() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    producer.push(&[0; 40]).unwrap();
    let mut batch = producer.batch();
    batch.push(&[1; 24]).unwrap();
    assert_eq!(batch.push(&[2; 48]), Err(ReserveError::Full { needed: 56, available: 48 }));
    assert_eq!(batch.push(&[2; 96]), Err(ReserveError::BatchFull { needed: 104, left: 96 }));
    assert_eq!(batch.submit().unwrap(), Position::new(80));
    assert_eq!(drain(&memory), [&[0; 40][..], &[1; 24]]);
}

#[test]
fn a_batch_that_met_a_moved_position_is_lost_with_the_same_error() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    let mut batch = producer.batch();
    batch.push(b"first").unwrap();
    memory.set_producer(16);
    let moved = ReserveError::ForeignProducer { expected: Position::new(0), found: Position::new(16) };
    assert_eq!(batch.push(b"second"), Err(moved));
    // Moved back: too late, the other producer may have written into this room.
    memory.set_producer(0);
    assert_eq!(batch.submit(), Err(moved));
}

#[test]
fn a_batch_whose_position_moved_after_its_last_sample_is_not_shown() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    for (moved_to, corrupted) in [(16, false), (3, true)] {
        let mut batch = producer.batch();
        batch.push(b"sample").unwrap();
        memory.set_producer(moved_to);
        let why = batch.submit().unwrap_err();
        assert_eq!(matches!(why, ReserveError::Corrupted(_)), corrupted, "{why}");
        assert_eq!(memory.snapshot().producer, moved_to);
        memory.set_producer(0);
    }
}

#[test]
fn a_sample_that_is_refused_a_length_is_discarded_and_its_room_is_free() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    let beyond = Err(BeyondSample { at: 0, len: 9, reserved: 8 });
    assert_eq!(producer.reserve(8).unwrap().submit_len(9), beyond);
    producer.reserve(8).unwrap().discard();
    assert_eq!(producer.position(), Position::new(0));
    let mut sample = producer.reserve(8).unwrap();
    sample.shorten(4).unwrap();
    assert_eq!(sample.shorten(5), Err(BeyondSample { at: 0, len: 5, reserved: 4 }), "it does not grow again");
    drop(sample);
    let mut sample = producer.reserve(8).unwrap();
    assert_eq!((sample.len(), sample.start()), (8, Position::new(0)));
    sample.fill_range(0, 8, b'x').unwrap();
    assert_eq!(sample.submit_len(3).unwrap(), Position::new(16));
    // Published at once, so the refused one still takes room until the kernel is past it.
    assert_eq!(producer.reserve_detached(8).unwrap().submit_len(9), beyond);
    producer.reserve_detached(8).unwrap().discard();
    assert_eq!(producer.reserve_detached(8).unwrap().submit_len(2).unwrap(), Position::new(64));
    assert_eq!(Survey::of(&memory.view()).discarded.records, 2);
    assert_eq!(drain(&memory), [&b"xxx"[..], b"\0\0"]);
}

#[test]
fn a_stretch_outside_the_sample_is_refused_with_its_numbers_and_nothing_is_written() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    let mut sample = producer.reserve(8).unwrap();
    sample.write(0, b"unharmed").unwrap();
    for (at, len) in [(8, 1), (0, 9), (9, 0), (usize::MAX, 1), (1, usize::MAX)] {
        assert_eq!(sample.fill_range(at, len, 0), Err(BeyondSample { at, len, reserved: 8 }));
    }
    assert_eq!(sample.write(7, b"xx"), Err(BeyondSample { at: 7, len: 2, reserved: 8 }));
    sample.write(8, b"").unwrap();
    sample.submit();
    assert_eq!(drain(&memory), [b"unharmed"]);
}

#[test]
fn a_lane_gets_the_room_of_its_dropped_and_refused_samples_back() {
    let memory = ring();
    let producer = Shared::attach(&memory).unwrap();
    let mut lane = producer.lane(56).unwrap();
    let left = lane.left();
    drop(lane.reserve(8).unwrap());
    lane.reserve(8).unwrap().discard();
    assert_eq!(lane.reserve(8).unwrap().submit_len(9), Err(BeyondSample { at: 0, len: 9, reserved: 8 }));
    assert_eq!((left, lane.left()), (64, 64));
    let mut sample = lane.reserve(8).unwrap();
    assert_eq!((sample.len(), sample.start()), (8, Position::new(0)));
    sample.write(0, b"shorter!").unwrap();
    assert_eq!(sample.submit_len(5).unwrap(), Position::new(16));
    assert_eq!(lane.push(b"two").unwrap(), Position::new(32));
    assert_eq!(lane.push(&[0; 48]), Err(ReserveError::LaneUsedUp { needed: 56, left: 32 }));
    assert_eq!(lane.push(&[0; 121]), Err(ReserveError::TooLarge { len: 121, max: 120 }));
    lane.close();
    assert_eq!(drain(&memory), [&b"short"[..], b"two"]);
    assert_eq!(memory.snapshot().consumer, 64);
}

#[test]
fn a_record_behind_a_stretch_that_is_used_to_its_last_byte_is_left_alone() {
    let memory = ring();
    let producer = Shared::attach(&memory).unwrap();
    let mut lane = producer.lane(24).unwrap();
    let detached = producer.reserve(8).unwrap();
    producer.push(b"behind").unwrap();
    assert_eq!(lane.push(&[1; 8]).unwrap(), Position::new(16));
    assert_eq!(drain(&memory), [[1; 8]], "the rest of the lane is busy");
    assert_eq!(lane.push(&[2; 8]).unwrap(), Position::new(32));
    detached.submit();
    lane.close();
    assert_eq!(drain(&memory), [&[2; 8][..], &[0; 8], b"behind"]);
}

#[test]
fn a_lane_of_no_bytes_is_refused_by_every_producer() {
    let memory = ring();
    let mut producer = Producer::attach(&memory).unwrap();
    assert_eq!(producer.lane(0).unwrap_err(), ReserveError::EmptyLane);
    let shared = producer.into_shared();
    assert_eq!(shared.lane(0).unwrap_err(), ReserveError::EmptyLane);
    assert_eq!(shared.lane_owned(0).unwrap_err(), ReserveError::EmptyLane);
    assert_eq!(memory.snapshot().producer, 0);
}
