//! Waiting on a clock that costs no time, with every kind of producer: the room comes, or the error says why not.
#![expect(unsafe_code, reason = "one thread: its calls are in order, which is the lock that `Raw` asks for")]

use std::time::Duration;

use user_ringbuf_core::{BlockingError, Position, Producer, Raw, ReserveError, RingMemory, Shared};
use user_ringbuf_sim::{HeapMemory, Script, ScriptedConsumer, SimMemory};

const SIZE: u64 = 64;
const LATER: Duration = Duration::from_millis(5);

/// Runs `wait` on a ring that is drained after 5 ms, with its waiter.
macro_rules! drained_later {
    ($memory:ident, $waiter:ident => $wait:expr) => {{
        let consumer = ScriptedConsumer::new(&$memory, Script::at(LATER));
        let mut $waiter = consumer.waiter();
        let result = $wait;
        (result, consumer.clock().now())
    }};
}

#[test]
fn an_exclusive_producer_gets_its_room_when_the_kernel_drains() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    let end = producer.push(&[0; 56]).unwrap();
    assert!(!producer.is_consumed(end));
    assert_eq!(drained_later!(memory, waiter => producer.wait_room(64, &mut waiter, None).is_ok()), (true, LATER));
    producer.push(&[0; 56]).unwrap();
    let pushed = drained_later!(memory, waiter => producer.push_blocking(b"sample", &mut waiter, None).unwrap().get());
    assert_eq!(pushed, (144, LATER));
    let consumed =
        drained_later!(memory, waiter => producer.wait_consumed(Position::new(144), &mut waiter, None).is_ok());
    assert_eq!(consumed, (true, LATER));
    assert!(producer.is_consumed(Position::new(144)));
    assert_eq!((producer.used(), producer.free()), (Ok(0), Ok(64)));
}

#[test]
fn a_shared_producer_gets_its_room_when_the_kernel_drains() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let producer = Shared::attach(&memory).unwrap();
    let end = producer.push(&[0; 56]).unwrap();
    assert!(!producer.is_consumed(end));
    assert_eq!(drained_later!(memory, waiter => producer.wait_room(64, &mut waiter, None).is_ok()), (true, LATER));
    producer.reserve_owned(56).unwrap().submit();
    let pushed = drained_later!(memory, waiter => producer.push_blocking(b"sample", &mut waiter, None).unwrap().get());
    assert_eq!(pushed, (144, LATER));
    let end = producer.position();
    assert!(drained_later!(memory, waiter => producer.wait_consumed(end, &mut waiter, None).is_ok()).0);
    assert!(producer.is_consumed(end));
}

#[test]
fn a_raw_handle_gets_its_room_when_the_kernel_drains() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let raw = Raw::new(&memory);
    // SAFETY: one thread, whose calls are in order.
    let pushed = unsafe { raw.push(&[0; 56]) };
    assert_eq!(pushed, Ok(Position::new(64)));
    // SAFETY: as above.
    assert_eq!(unsafe { raw.try_reserve(8) }, None);
    let reserved = drained_later!(memory, waiter => {
        // SAFETY: as above.
        unsafe { raw.reserve_blocking(8, &mut waiter, None) }.unwrap().get()
    });
    assert_eq!(reserved, (64, LATER));
    // SAFETY: as above.
    assert_eq!(unsafe { raw.try_reserve(8) }, Some(Position::new(80)));
    // SAFETY: both were reserved above, at multiples of 8 below the size.
    assert!(unsafe { raw.submit(0) && raw.discard(16) });
    assert!(drained_later!(memory, waiter => raw.wait_consumed(Position::new(96), &mut waiter, None).is_ok()).0);
}

#[test]
fn what_waiting_cannot_change_is_an_error_at_once() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    let consumer = ScriptedConsumer::new(&memory, Script::at(LATER));
    let mut waiter = consumer.waiter();
    let too_large = ReserveError::TooLarge { len: 57, max: 56 };
    assert_eq!(producer.push_blocking(&[0; 57], &mut waiter, None), Err(BlockingError::Reserve(too_large)));
    for bytes in [65, usize::MAX] {
        let beyond = producer.wait_room(bytes, &mut waiter, None);
        assert_eq!(beyond, Err(BlockingError::BeyondRing { bytes, size: 64 }));
    }
    let (position, end) = (Position::new(8), Position::new(0));
    let ahead = Err(BlockingError::NotSubmitted { position, end });
    assert_eq!(producer.wait_consumed(position, &mut waiter, None), ahead);
    memory.set_producer(16);
    let moved = ReserveError::ForeignProducer { expected: end, found: Position::new(16) };
    assert_eq!(producer.wait_room(8, &mut waiter, None), Err(BlockingError::Reserve(moved)));
    // The other producer's record, submitted: the ring goes on behind it.
    assert_eq!(producer.resume().unwrap(), Position::new(16));
    let shared = producer.into_shared();
    let ahead = BlockingError::NotSubmitted { position: Position::new(24), end: Position::new(16) };
    assert_eq!(shared.wait_consumed(Position::new(24), &mut waiter, None), Err(ahead));
    assert_eq!(consumer.clock().now(), Duration::ZERO);
    assert_eq!(memory.ring_id().get().to_string(), memory.ring_id().to_string());
}

#[test]
fn a_sample_over_plain_memory_is_a_slice() {
    let memory = SimMemory::new(4096).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    let mut sample = producer.reserve_detached(5).unwrap();
    sample.copy_from_slice(b"hello");
    assert_eq!((&sample[1..3], sample.len()), (&b"el"[..], 5));
    sample.submit();
}
