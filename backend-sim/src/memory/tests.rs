//! Each memory behaves the same, whatever its bytes lie in.
#![expect(unsafe_code, reason = "writes raw bytes and calls the seam as the core does")]

use std::ops::ControlFlow;
use std::thread;

use user_ringbuf_core::{AttachError, Header, Position, Producer, ReserveError, RingMemory, RingPositions, Role};

use super::*;
use crate::kernel::FakeKernel;

trait Memory: RingMemory + RawAccess + fmt::Debug + Send + Sync {}
impl<M: RingMemory + RawAccess + fmt::Debug + Send + Sync> Memory for M {}

#[cfg(target_os = "linux")]
fn page() -> u64 {
    rustix::param::page_size() as u64
}

/// The same test on every memory, in rings of a page.
macro_rules! on_each_memory {
    ($($name:ident)*) => {
        mod heap {
            $(#[test] fn $name() { super::$name(super::HeapMemory::new(4096).unwrap()); })*
        }
        #[cfg(target_os = "linux")]
        mod mirrored {
            $(#[test] fn $name() { super::$name(super::SimMemory::new(super::page()).unwrap()); })*
        }
    };
}

on_each_memory! {
    samples_come_out_of_every_offset_as_they_went_in
    a_write_into_the_middle_of_a_sample_changes_those_bytes_only
    a_shared_producer_and_a_drainer_on_other_threads_lose_nothing
    a_snapshot_restores_positions_bytes_and_ends_a_drain
    raw_bytes_wrap_at_the_end_and_reach_nothing_beyond
    an_image_of_another_size_is_an_error
    raw_positions_are_what_the_producer_loads
    a_second_producer_is_refused_until_the_first_is_gone
    the_kernels_side_reads_nothing_outside_whatever_it_is_asked
}

/// Puts the positions anywhere. Only between the lives of samples.
fn place(memory: &impl Memory, consumer: u64, producer: u64) {
    // SAFETY: each test calls this while it has no sample.
    unsafe {
        memory.set_consumer(consumer);
        memory.set_producer(producer);
    }
}

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + seed) % 251).unwrap()).collect()
}

fn samples_come_out_of_every_offset_as_they_went_in(memory: impl Memory) {
    let size = RingPositions::size(&memory).bytes_u64();
    let kernel = FakeKernel::new(&memory);
    for start in (0..size).step_by(if cfg!(miri) { 504 } else { 8 }) {
        place(&memory, start, start);
        let mut producer = Producer::attach(&memory).unwrap();
        let sent = [bytes(13, 1), bytes(0, 2), bytes(64, 3)];
        for sample in &sent {
            producer.push(sample).unwrap();
        }
        assert_eq!(kernel.collect(0).1, sent, "{start}");
    }
    // The largest record there is begins anywhere and wraps.
    let largest = bytes(usize::try_from(size).unwrap() - 8, 5);
    let mut producer = Producer::attach(&memory).unwrap();
    producer.push(&largest).unwrap();
    assert!(matches!(producer.push(b""), Err(ReserveError::Full { available: 0, .. })));
    assert_eq!(kernel.collect(0).1, [largest]);
}

fn a_write_into_the_middle_of_a_sample_changes_those_bytes_only(memory: impl Memory) {
    let start = RingPositions::size(&memory).bytes_u64() - 16;
    let step = if cfg!(miri) { 5 } else { 1 };
    for (at, len) in (0..24).step_by(step).flat_map(|at| (0..=24 - at).map(move |len| (at, len))) {
        place(&memory, start, start);
        let mut producer = Producer::attach(&memory).unwrap();
        let mut sample = producer.reserve(24).unwrap();
        sample.fill_range(0, 24, 0xee).unwrap();
        sample.write(at, &bytes(len, 9)).unwrap();
        sample.submit();
        let mut expected = vec![0xee; 24];
        expected[at..at + len].copy_from_slice(&bytes(len, 9));
        assert_eq!(FakeKernel::new(&memory).collect(0).1, [expected], "{len} bytes at {at}");
    }
}

fn a_shared_producer_and_a_drainer_on_other_threads_lose_nothing(memory: impl Memory) {
    // Miri is some thousand times slower.
    const EACH: u64 = if cfg!(miri) { 20 } else { 2000 };
    let shared = Producer::attach(&memory).unwrap().into_shared();
    let kernel = FakeKernel::new(&memory);
    let mut next = [0; 2];
    thread::scope(|scope| {
        for id in 0..2_u64 {
            let shared = &shared;
            scope.spawn(move || {
                for n in 0..EACH {
                    let sample = [id.to_ne_bytes(), n.to_ne_bytes()].concat();
                    // Bounded, so that a failing drainer does not leave this thread behind.
                    let sent = (0..10_000_000).any(|_| {
                        shared.push(&sample).is_ok() || {
                            thread::yield_now();
                            false
                        }
                    });
                    assert!(sent, "nothing drains any more");
                }
            });
        }
        while next != [EACH; 2] {
            let drained = kernel.drain(0, |sample| {
                let word = |at: usize| u64::from_ne_bytes(sample[at..at + 8].try_into().unwrap());
                let id = usize::try_from(word(0)).unwrap();
                assert_eq!(word(8), next[id]);
                next[id] += 1;
                ControlFlow::Continue(())
            });
            assert!(drained.returned.is_ok());
            thread::yield_now();
        }
    });
}

fn a_snapshot_restores_positions_bytes_and_ends_a_drain(mut memory: impl Memory) {
    let start = RingPositions::size(&memory).bytes_u64() - 16;
    place(&memory, start, start);
    Producer::attach(&memory).unwrap().push(&bytes(40, 0)).unwrap();
    let image = memory.snapshot();
    assert_eq!((image.consumer, image.producer), (start, start + 48));
    assert_eq!(image.header_at(start), Header::submitted(40));
    assert_eq!(FakeKernel::new(&memory).collect(0).1.len(), 1);
    assert_ne!(memory.snapshot(), image);
    assert!(memory.kernel_begin_drain());
    memory.restore(&image).unwrap();
    assert_eq!(memory.snapshot(), image);
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [bytes(40, 0)]);
}

fn raw_bytes_wrap_at_the_end_and_reach_nothing_beyond(memory: impl Memory) {
    let size = RingPositions::size(&memory).bytes();
    let write = |offset, bytes: &[u8]| {
        // SAFETY: there are no samples of this ring.
        unsafe { memory.write_raw(offset, bytes) }
    };
    write(size - 3, &bytes(8, 1)).unwrap();
    let image = memory.snapshot();
    assert_eq!(image.read(size - 3, 8).unwrap(), bytes(8, 1));
    assert_eq!(image.data()[..5], bytes(8, 1)[3..]);
    assert_eq!(write(size, b"x"), Err(BeyondRing { offset: size, len: 1, size }));
    assert_eq!(write(u32::MAX, b""), Err(BeyondRing { offset: u32::MAX, len: 0, size }));
    let long = vec![0; size as usize + 1];
    assert_eq!(write(0, &long), Err(BeyondRing { offset: 0, len: long.len(), size }));
    assert_eq!(memory.snapshot(), image);
    write(size - 8, &long[1..]).unwrap();
    assert!(memory.snapshot().data().iter().all(|byte| *byte == 0));
}

fn an_image_of_another_size_is_an_error(mut memory: impl Memory) {
    let ring = RingPositions::size(&memory).bytes();
    let image = RingImage::empty(user_ringbuf_core::RingSize::new(32).unwrap(), 0);
    assert_eq!(memory.restore(&image), Err(WrongSize { image: 32, ring }));
}

fn raw_positions_are_what_the_producer_loads(memory: impl Memory) {
    place(&memory, 3, u64::MAX);
    assert_eq!(memory.load_producer(Role::LoadOwnProducer), Position::new(u64::MAX));
    assert_eq!(memory.load_consumer(), Position::new(3));
    assert!(Producer::attach(&memory).is_err());
}

fn a_second_producer_is_refused_until_the_first_is_gone(memory: impl Memory) {
    let first = Producer::attach(&memory).unwrap();
    assert_eq!(Producer::attach(&memory).unwrap_err(), AttachError::AlreadyAttached);
    drop(first);
    let shared = Producer::attach(&memory).unwrap().into_shared();
    assert_eq!(Producer::attach(&memory).unwrap_err(), AttachError::AlreadyAttached);
    drop(shared);
    Producer::attach(&memory).unwrap();
}

fn the_kernels_side_reads_nothing_outside_whatever_it_is_asked(memory: impl Memory) {
    let size = RingPositions::size(&memory).bytes();
    let mut into = vec![1, 2, 3];
    for offset in [0, 8, 3, size - 8, size - 1, size, u32::MAX - 7, u32::MAX] {
        memory.kernel_load_header(offset);
        for len in [0, 1, size - 8, size, u32::MAX] {
            memory.kernel_read_sample(offset, len, &mut into);
            assert_eq!(into, vec![0; len.min(size - 8) as usize]);
        }
    }
}

#[test]
fn sizes_that_no_ring_has_are_typed_errors() {
    for bytes in [0, 1, 4, 7, 12, 24, 4095, 5000, (1 << 31) + 1, 1 << 32, u64::MAX] {
        assert!(matches!(HeapMemory::new(bytes), Err(MemoryError::Size(why)) if why.bytes == bytes));
        #[cfg(target_os = "linux")]
        assert!(matches!(SimMemory::new(bytes), Err(MemoryError::Size(why)) if why.bytes == bytes));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mirrored_ring_smaller_than_a_page_is_an_error_that_names_the_page_size() {
    for bytes in [8, 64, page() / 2] {
        let error = SimMemory::new(bytes).unwrap_err();
        assert!(matches!(error, MemoryError::NotWholePages { bytes: b, page: p } if (b, p) == (bytes, page())));
        assert!(error.to_string().contains(&page().to_string()), "{error}");
    }
}

#[test]
fn the_smallest_rings_hold_what_fits_in_them() {
    for (size, len) in [(8, 0), (16, 8), (32, 24), (64, 56)] {
        let memory = HeapMemory::new(size).unwrap();
        let mut producer = Producer::attach(&memory).unwrap();
        for lap in 0..5 {
            producer.push(&bytes(len, lap)).unwrap();
            assert!(producer.push(b"").unwrap_err().is_full());
            assert_eq!(FakeKernel::new(&memory).collect(0).1, [bytes(len, lap)]);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_sample_across_the_end_of_the_area_is_one_slice_of_the_same_bytes() {
    let memory = SimMemory::new(page()).unwrap();
    place(&memory, page() - 16, page() - 16);
    let mut producer = Producer::attach(&memory).unwrap();
    let mut sample = producer.reserve(24).unwrap();
    sample.copy_from_slice(&bytes(24, 0));
    sample.write(8, b"through the seam").unwrap();
    assert_eq!(sample[8..], *b"through the seam");
    sample.submit();
    assert_eq!(memory.snapshot().data()[..16], *b"through the seam");
    assert_eq!(FakeKernel::new(&memory).collect(0).1[0][8..], *b"through the seam");
}

#[cfg(target_os = "linux")]
#[test]
fn mappings_are_given_back() {
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().matches("user-ringbuf-sim").count();
    // Other tests map too: of a hundred rings, none may stay.
    let before = mapped();
    (0..100).for_each(|_| drop(SimMemory::new(page()).unwrap()));
    assert!(mapped() < before + 100, "{} mappings more", mapped() - before);
}
