//! After construction nothing allocates: not the hot path, not a full ring, not waiting.
//!
//! The allocator counts by thread, so that the test's own threads are not in each other's way. Over simulated memory,
//! on any machine, and over the real kernel's where rights allow.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use user_ringbuf_kit::rights;
use user_ringbuf_linux::{
    BlockingError, ContiguousMemory, EpollWaiter, Mapping, Producer, ReserveError, RingMemory, Shared, Spin,
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
    let full = loop {
        if let Err(why) = producer.push(&SAMPLE) {
            break why;
        }
    };
    if full.is_full() { Ok(()) } else { Err(full) }
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
    let full = loop {
        if let Err(why) = shared.push(&SAMPLE) {
            break why;
        }
    };
    if full.is_full() { Ok(()) } else { Err(full) }
}

#[test]
fn the_allocator_counts_what_this_thread_allocates() {
    let (boxed, count) = allocations(|| Box::new(7_u64));
    assert_eq!((*boxed, count), (7, 1));
}

#[test]
fn no_operation_over_simulated_memory_allocates() {
    let memory = SimMemory::new(RING).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    assert_eq!(allocations(|| work_alone(&mut producer)), (Ok(()), 0));
    drop(producer);

    let memory = SimMemory::new(RING).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    assert_eq!(allocations(|| work_together(&shared)), (Ok(()), 0));
}

#[test]
fn no_operation_over_the_real_ring_allocates_and_attaching_does_not_either() {
    if !rights::may_bpf() {
        return;
    }
    let ring = Ring::new(RING);
    let (memory, count) = allocations(|| Mapping::new(&ring.map).unwrap());
    assert_eq!(count, 0, "mapping");
    let (producer, count) = allocations(|| Producer::attach(&memory));
    let mut producer = producer.unwrap();
    assert_eq!(count, 0, "attaching");
    assert_eq!(allocations(|| work_alone(&mut producer)), (Ok(()), 0));
    drop(producer);

    let ring = Ring::new(RING);
    let memory = Mapping::new(&ring.map).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    assert_eq!(allocations(|| work_together(&shared)), (Ok(()), 0));
}

#[test]
fn waiting_for_room_in_vain_allocates_nothing() {
    let timeout = Some(Duration::from_millis(3));
    let memory = SimMemory::new(RING).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    work_alone(&mut producer).unwrap();
    let (answer, count) = allocations(|| producer.reserve_blocking(4096, &mut Spin::new(), timeout).map(drop));
    assert!(matches!(answer, Err(BlockingError::TimedOut { .. })), "{answer:?}");
    assert_eq!(count, 0, "spinning");

    if !rights::may_bpf() {
        return;
    }
    let ring = Ring::new(RING);
    let memory = Mapping::new(&ring.map).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    work_alone(&mut producer).unwrap();
    let mut waiter = EpollWaiter::new(&ring.map).unwrap();
    let (answer, count) = allocations(|| producer.reserve_blocking(4096, &mut waiter, timeout).map(drop));
    assert!(matches!(answer, Err(BlockingError::TimedOut { .. })), "{answer:?}");
    assert_eq!(count, 0, "sleeping");
}
