//! Repair while positions move under it, as no kernel moves them: it ends, and says what it could not mend.
#![expect(unsafe_code, reason = "no producer of the ring is alive: each test is alone with it")]

use std::cell::Cell;

use user_ringbuf_core::{
    AttachError, Corruption, Damage, Header, Position, Producer, RecordState, Records, Repair, RingMemory, Role,
    plan_repair, record_extent, repair,
};
use user_ringbuf_sim::{FakeKernel, Fate, HeapMemory, Hooked, RawAccess, Step};

const SIZE: u64 = 64;

fn repaired(memory: &impl RingMemory) -> (Result<(), Corruption>, Vec<Repair>) {
    let mut done = Vec::new();
    // SAFETY: the test has no producer.
    let result = unsafe { repair(memory, |what| done.push(what)) };
    (result, done)
}

/// Like [`repaired`], for positions that stand still: then the plan says the same, and changes nothing.
fn planned_and_repaired(memory: &HeapMemory) -> (Result<(), Corruption>, Vec<Repair>) {
    let before = memory.snapshot();
    let mut planned = Vec::new();
    let plan = plan_repair(&memory.view(), |what| planned.push(what));
    assert_eq!(memory.snapshot(), before);
    let (result, done) = repaired(&memory);
    assert_eq!((plan, planned), (result, done.clone()));
    (result, done)
}

/// A ring whose producer position is far ahead, and whose consumer is set to `consumer(n)` before load number `n` of it.
fn moved_at_each_load(consumer: impl Fn(u64) -> u64) -> (Result<(), Corruption>, Vec<Repair>, u64, u64) {
    let memory = HeapMemory::new(SIZE).unwrap();
    memory.set_producer(10 * SIZE);
    let loads = Cell::new(0);
    let hooked = Hooked::new(&memory, |step: Step| {
        if step == Step::Load(Role::LoadConsumer) {
            memory.set_consumer(consumer(loads.get()));
            loads.set(loads.get() + 1);
        }
        Fate::Happens
    });
    let (result, done) = repaired(&hooked);
    (result, done, memory.snapshot().producer, loads.get())
}

#[test]
fn a_drain_that_passes_the_corrected_position_once_leaves_an_empty_ring() {
    let (result, done, producer, _) = moved_at_each_load(|load| if load == 0 { 0 } else { 3 * SIZE });
    assert_eq!((result, producer), (Ok(()), 3 * SIZE));
    assert!(
        matches!(done[..], [Repair::ProducerMoved { from, to }] if (from.get(), to.get()) == (10 * SIZE, 3 * SIZE))
    );
}

#[test]
fn a_consumer_position_that_keeps_moving_away_is_refused_and_not_followed_forever() {
    let (result, done, producer, loads) = moved_at_each_load(|load| load * 3 * SIZE);
    let Err(Corruption::OutOfRange { consumer, producer: end, size }) = result else { panic!("{result:?}") };
    assert_eq!((end, u64::from(size), producer), (producer, SIZE, end));
    assert!(consumer > end && loads <= 1001 && done.is_empty(), "{loads} loads, {done:?}");
}

#[test]
fn a_consumer_position_that_becomes_unaligned_is_refused_at_once() {
    let (result, done, _, loads) = moved_at_each_load(|load| if load == 0 { 0 } else { 3 * SIZE + 1 });
    assert!(matches!(result, Err(Corruption::OutOfRange { consumer, .. }) if consumer == 3 * SIZE + 1), "{result:?}");
    assert_eq!((done.len(), loads), (0, 2));
}

#[test]
fn an_unaligned_consumer_position_is_refused_and_nothing_is_changed() {
    let memory = HeapMemory::new(SIZE).unwrap();
    memory.set_consumer(4);
    memory.set_producer(3);
    let before = memory.snapshot();
    let (result, done) = planned_and_repaired(&memory);
    assert_eq!((result, done.len()), (Err(Corruption::UnalignedConsumer { consumer: 4 }), 0));
    assert_eq!(memory.snapshot(), before);
}

#[test]
fn a_producer_position_behind_the_consumer_is_moved_up_to_it_and_the_ring_works_again() {
    let memory = HeapMemory::new(SIZE).unwrap();
    memory.set_consumer(128);
    memory.set_producer(64);
    assert!(Producer::attach(&memory).is_err());
    let (result, done) = planned_and_repaired(&memory);
    assert_eq!(result, Ok(()));
    assert!(
        matches!(done[..], [Repair::ProducerMoved { from, to }] if (from.get(), to.get()) == (64, 128)),
        "{done:?}"
    );
    assert_eq!(Producer::attach(&memory).unwrap().push(b"sample").unwrap().get(), 144);
}

#[test]
fn a_producer_position_between_two_multiples_of_eight_is_rounded_down_after_the_records_are_mended() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    producer.push(b"sample").unwrap();
    std::mem::forget(producer.reserve_detached(8).unwrap());
    drop(producer);
    memory.set_producer(35);
    let (result, done) = planned_and_repaired(&memory);
    assert_eq!(result, Ok(()));
    let [Repair::Discarded { record }, Repair::ProducerMoved { from, to }] = done[..] else { panic!("{done:?}") };
    assert_eq!((record.start.get(), from.get(), to.get()), (16, 35, 32));
    Producer::attach(&memory).unwrap();
}

#[test]
fn a_stretch_longer_than_the_longest_record_becomes_several_fillers_that_a_drain_skips() {
    let (size, longest) = (1_u64 << 25, (1_u64 << 24) + 8);
    let memory = HeapMemory::new(size).unwrap();
    memory.set_producer(size);
    // The first record reaches beyond the producer position, with whatever lies behind it.
    memory.write_raw(0, &Header::submitted((1 << 25) + 8).with_pad().to_ne_bytes()).unwrap();
    let (result, done) = repaired(&memory);
    assert_eq!(result, Ok(()));
    assert!(matches!(done[..], [Repair::Filled { fillers: 2, .. }]), "{done:?}");
    let records: Vec<_> = Records::new(memory.view()).unwrap().map(Result::unwrap).collect();
    assert_eq!(records.iter().map(|record| u64::from(record.extent())).collect::<Vec<_>>(), [longest, size - longest]);
    assert!(records.iter().all(|record| record.state == RecordState::Discarded));
    assert_eq!(FakeKernel::new(&memory).collect(0).1.len(), 0);
    assert_eq!(memory.snapshot().consumer, size);
}

#[test]
fn a_sample_that_is_too_long_for_the_kernel_becomes_a_filler_of_the_same_extent() {
    let memory = HeapMemory::new(1 << 25).unwrap();
    let len = (1 << 24) + 4;
    memory.set_producer(u64::from(record_extent(len)));
    memory.write_raw(0, &Header::discarded(len).with_pad().to_ne_bytes()).unwrap();
    let too_long = Damage::TooLong { start: Position::new(0), len };
    assert_eq!(Producer::attach(&memory).unwrap_err(), AttachError::Damaged { damage: too_long });
    let (result, done) = repaired(&memory);
    assert_eq!((result, &done[..]), (Ok(()), &[Repair::Filled { damage: too_long, fillers: 2 }][..]));
    Producer::attach(&memory).unwrap();
}
