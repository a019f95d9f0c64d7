//! A shared producer beside another one: what it refuses, how it goes on, and what it gives back.

use user_ringbuf_core::{AttachError, Corruption, Header, Position, Producer, ReserveError, RingMemory, Shared};
use user_ringbuf_sim::{FakeKernel, HeapMemory, RawAccess};

const SIZE: u64 = 64;

#[test]
fn a_shared_producer_resumes_behind_the_record_of_another_one() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(b"ours").unwrap();
    memory.write_raw(16, &Header::submitted(0).with_pad().to_ne_bytes()).unwrap();
    memory.set_producer(24);
    let moved = ReserveError::ForeignProducer { expected: Position::new(16), found: Position::new(24) };
    assert_eq!(shared.push(b"late"), Err(moved));
    assert_eq!(shared.resume().unwrap(), Position::new(24));
    assert_eq!(shared.push(b"next").unwrap(), Position::new(40));
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [&b"ours"[..], b"", b"next"]);
}

#[test]
fn a_resume_that_meets_a_busy_record_changes_nothing() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut sample = shared.reserve(3).unwrap();
    assert!(matches!(shared.resume(), Err(AttachError::Busy { record }) if record.start == Position::new(0)));
    sample.write(0, b"one").unwrap();
    sample.submit();
    shared.push(b"two").unwrap();
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [b"one", b"two"]);
}

#[test]
fn positions_that_are_not_multiples_of_eight_are_refused_before_a_byte_is_written() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(&[1; 56]).unwrap();
    let before = memory.snapshot();
    memory.set_consumer(4);
    assert_eq!(shared.push(b"x"), Err(Corruption::UnalignedConsumer { consumer: 4 }.into()));
    memory.set_consumer(0);
    memory.set_producer(63);
    assert_eq!(shared.push(b"x"), Err(Corruption::UnalignedProducer { producer: 63 }.into()));
    memory.set_producer(64);
    assert_eq!(memory.snapshot(), before);
}

#[test]
fn producers_turn_into_one_another_and_give_their_memory_back() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(b"one").unwrap();
    let sizes = (shared.ring_size().bytes(), shared.max_sample_len());
    assert_eq!(shared.memory().ring_id(), memory.ring_id());
    let mut producer = shared.into_producer();
    assert_eq!((producer.ring_size().bytes(), producer.max_sample_len()), sizes);
    assert_eq!(sizes, (64, 56));
    producer.push(b"two").unwrap();
    assert!(Shared::attach(&memory).is_err(), "it has a producer");
    let given_back = producer.into_shared().into_memory();
    let given_back = Producer::attach(given_back).unwrap().into_memory();
    Shared::attach(given_back).unwrap().push(b"six").unwrap();
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [b"one", b"two", b"six"]);
}
