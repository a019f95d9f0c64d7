//! After construction nothing allocates: not the hot path, not a full ring, not waiting.
//!
//! The allocator counts by thread, so that the test's own threads are not in each other's way. Over simulated memory,
//! on any machine, and over the real kernel's where rights allow.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_linux::{
    BlockingError, ContiguousMemory, EpollWaiter, Mapping, Producer, ReserveError, RingMemory, Shared, Spin, Wait,
};
use user_ringbuf_sim::SimMemory;
use user_ringbuf_tests::ring::Ring;

const RING: u64 = 64 * 1024;
const SAMPLE: [u8; 40] = [7; 40];

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count_one() {
    // Fails only when the thread is at its end, after all tests.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread during `work`.
fn allocations<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATIONS.get();
    let done = work();
    (done, ALLOCATIONS.get() - before)
}

/// Everything that an exclusive producer does, the ring full at the end.
fn work_alone<M: ContiguousMemory>(producer: &mut Producer<&M>) -> Result<(), ReserveError> {
    producer.push(&SAMPLE)?;
    let mut sample = producer.reserve(40)?;
    sample.copy_from_slice(&SAMPLE);
    sample.submit();
    producer.reserve(40)?.discard();
    let mut batch = producer.batch();
    (0..32).try_for_each(|_| batch.push(&SAMPLE))?;
    batch.submit()?;
    let first = producer.reserve_detached(40)?;
    producer.reserve_detached(40)?.submit();
    first.submit();
    let mut lane = producer.lane(1024)?;
    while lane.push(&SAMPLE).is_ok() {}
    drop(lane);
    until_full(|| producer.push(&SAMPLE))
}

/// Everything that threads do which share a ring, the ring full at the end.
fn work_together<M: RingMemory>(shared: &Shared<&M>) -> Result<(), ReserveError> {
    shared.push(&SAMPLE)?;
    let first = shared.reserve(40)?;
    shared.reserve_owned(40)?.submit();
    first.discard();
    let mut lane = shared.lane(1024)?;
    while lane.push(&SAMPLE).is_ok() {}
    drop(lane);
    until_full(|| shared.push(&SAMPLE))
}

fn until_full<T>(mut push: impl FnMut() -> Result<T, ReserveError>) -> Result<(), ReserveError> {
    loop {
        match push() {
            Ok(_) => {}
            Err(why) => return if why.is_full() { Ok(()) } else { Err(why) },
        }
    }
}

fn no_operation_over<M: ContiguousMemory>(alone: &M, together: &M) {
    let (producer, count) = allocations(|| Producer::attach(alone));
    assert_eq!(count, 0, "attaching");
    assert_eq!(allocations(|| work_alone(&mut producer.unwrap())), (Ok(()), 0));
    let shared = Shared::attach(together).unwrap();
    assert_eq!(allocations(|| work_together(&shared)), (Ok(()), 0));
}

fn no_wait_in_vain<M: ContiguousMemory, W: Wait>(memory: &M, mut waiter: W) {
    let mut producer = Producer::attach(memory).unwrap();
    work_alone(&mut producer).unwrap();
    let timeout = Some(Duration::from_millis(3));
    let (waited, count) = allocations(|| producer.reserve_blocking(4096, &mut waiter, timeout).map(drop));
    assert!(matches!(waited, Err(BlockingError::TimedOut { .. })));
    assert_eq!(count, 0, "waiting");
}

#[test]
fn the_allocator_counts_what_this_thread_allocates() {
    let (boxed, count) = allocations(|| Box::new(7_u64));
    assert_eq!((*boxed, count), (7, 1));
}

#[test]
fn no_operation_over_simulated_memory_allocates() {
    no_operation_over(&SimMemory::new(RING).unwrap(), &SimMemory::new(RING).unwrap());
}

#[test]
fn no_operation_over_the_real_ring_allocates_and_mapping_it_does_not_either() {
    needs_bpf!();
    let rings = [Ring::new(RING), Ring::new(RING)];
    let (mappings, count) = allocations(|| rings.each_ref().map(|ring| Mapping::new(&ring.map).unwrap()));
    assert_eq!(count, 0, "mapping");
    no_operation_over(&mappings[0], &mappings[1]);
}

#[test]
fn waiting_for_room_in_vain_allocates_nothing() {
    no_wait_in_vain(&SimMemory::new(RING).unwrap(), Spin::new());
    needs_bpf!();
    let ring = Ring::new(RING);
    no_wait_in_vain(&ring.mapping(), EpollWaiter::new(&ring.map).unwrap());
}
