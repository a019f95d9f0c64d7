//! What fuzzing found, each as a test of its own.

use user_ringbuf_sim::HeapMemory;
use user_ringbuf_sim::{Position, Producer, ReserveError, Shared};

/// Found by `hostile_positions`: the room was a distance across the limit, and so without end.
#[test]
fn a_consumer_that_goes_back_during_a_batch_gives_no_room() {
    let memory = HeapMemory::new(64).unwrap();
    // A record of 8 bytes is not drained yet.
    memory.set_consumer(632);
    memory.set_producer(640);
    let mut producer = Producer::attach(&memory).unwrap();
    let mut batch = producer.batch();
    batch.push(&[1; 40]).unwrap();
    // 24 bytes are in use all of a sudden, so that the batch reaches beyond the free ones.
    memory.set_consumer(616);
    assert_eq!(batch.push(&[2; 8]), Err(ReserveError::Full { needed: 16, available: 0 }));
    assert_eq!(batch.push(&[2; 16]), Err(ReserveError::BatchFull { needed: 24, left: 16 }));
    assert_eq!(batch.bytes(), 48);
    // It has come to its senses, and the batch goes on.
    memory.set_consumer(640);
    batch.push(&[3; 8]).unwrap();
    assert_eq!(batch.submit(), Ok(Position::new(704)));
}

/// Found by `hostile_positions`: a shared producer's word has no room for the topmost bits of a position, and it took
/// those that it found.
#[test]
fn positions_that_move_by_half_of_all_numbers_are_a_foreign_producer_s() {
    let memory = HeapMemory::new(64).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(&[1; 40]).unwrap();
    let found = (1 << 63) + 48;
    memory.set_producer(found);
    memory.set_consumer(found);
    let why = ReserveError::ForeignProducer { expected: Position::new(48), found: Position::new(found) };
    assert_eq!(shared.push(&[2; 40]), Err(why));
}

/// Found by reading: what was free before the batch began was taken for free after the error, too.
#[test]
fn a_foreign_producer_that_a_batch_met_is_met_again_by_the_next_reservation() {
    let memory = HeapMemory::new(128).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    let why = ReserveError::ForeignProducer { expected: Position::new(0), found: Position::new(16) };
    let mut batch = producer.batch();
    batch.push(&[1; 56]).unwrap();
    batch.push(&[1; 48]).unwrap();
    memory.set_producer(16);
    assert_eq!(batch.push(&[2; 8]), Err(why));
    batch.discard();
    assert_eq!(producer.push(&[2; 8]), Err(why));
}

/// Found by reading: a shared producer went on with the room that it had seen before the error.
#[test]
fn a_foreign_producer_that_a_shared_one_met_is_met_again_by_a_shorter_sample() {
    let memory = HeapMemory::new(128).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(&[1; 88]).unwrap();
    memory.set_producer(104);
    let why = ReserveError::ForeignProducer { expected: Position::new(96), found: Position::new(104) };
    assert_eq!(shared.push(&[2; 40]), Err(why));
    assert_eq!(shared.push(&[2; 8]), Err(why));
}

/// Found by `operations`: the limit of a batch that met an error lay behind what was submitted, and so without end.
#[test]
fn a_batch_that_met_a_full_ring_leaves_no_room_behind_it() {
    let memory = HeapMemory::new(128).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    producer.push(&[1; 56]).unwrap();
    let mut batch = producer.batch();
    batch.push(&[2; 56]).unwrap();
    assert_eq!(batch.push(&[]), Err(ReserveError::Full { needed: 8, available: 0 }));
    batch.submit().unwrap();
    assert_eq!(producer.push(&[]), Err(ReserveError::Full { needed: 8, available: 0 }));
}
