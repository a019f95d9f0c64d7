//! Producers on several threads beside a drainer, with a plain byte in the shadow of each byte of the ring.
//!
//! The ring's own bytes are atomic, lest a hostile position make a data race of them; so no tool would see one. A plain
//! copy is written and read wherever a sample's bytes are, so what the protocol does not order is a data race there:
//! for ThreadSanitizer and for Miri. Without them this is a test like others.

use std::cell::UnsafeCell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use user_ringbuf_sim::core::{Payload, Producer, ReserveError, RingMemory, Shared};
use user_ringbuf_sim::{FakeKernel, Fate, HeapMemory, Hook, Hooked, Step};

const SIZE: usize = 256;
const THREADS: usize = 3;
/// Miri is some thousand times slower.
const ROUNDS: usize = if cfg!(miri) { 8 } else { 3000 };
/// A round's samples: one, two of a lane, and two that are submitted in reverse if there is room for the second.
const SAMPLES: std::ops::RangeInclusive<usize> = THREADS * ROUNDS * 4..=THREADS * ROUNDS * 5;

/// Bytes behind a record's header.
struct Shadow(Box<[UnsafeCell<u8>]>);

// SAFETY: who may access which byte is what the protocol says, and what is on trial here.
unsafe impl Sync for Shadow {}

impl Shadow {
    fn new() -> Self {
        Self((0..SIZE).map(|_| UnsafeCell::new(0)).collect())
    }

    /// The bytes of a sample, from `at` on, of the record whose header is at `offset`.
    fn bytes(&self, offset: u32, at: u32, len: u32) -> impl Iterator<Item = &UnsafeCell<u8>> {
        let place = move |byte: u32| usize::try_from(offset + 8 + byte).unwrap() % SIZE;
        (at..at + len).map(move |byte| &self.0[place(byte)])
    }
}

impl Hook for &Shadow {
    fn before(&self, step: Step) -> Fate {
        if let Step::WritePayload { offset, at, len } = step {
            for byte in self.bytes(offset, at, len) {
                // SAFETY: the bytes are the writer's, if the protocol is right.
                unsafe { *byte.get() = 1 };
            }
        }
        Fate::Happens
    }
}

type Memory<'m> = Hooked<&'m HeapMemory, &'m Shadow>;

/// Tells where the sample lies, so that who takes it knows its shadow.
fn fill<M: RingMemory>(sample: &mut Payload<M>) {
    let offset = u32::try_from(sample.start().get() % SIZE as u64).unwrap();
    sample.write(0, &offset.to_ne_bytes()).unwrap();
    sample.write(4, &[7; 9]).unwrap();
}

/// Tries until there is room. Bounded, so that a drainer that fails does not leave this thread behind.
fn patiently<T>(mut reserve: impl FnMut() -> Result<T, ReserveError>) -> T {
    for _ in 0..10_000_000 {
        match reserve() {
            Ok(reserved) => return reserved,
            Err(ReserveError::Full { .. }) => thread::yield_now(),
            Err(why) => panic!("{why}"),
        }
    }
    panic!("nobody drains any more");
}

fn produce(shared: &Shared<Memory<'_>>) {
    for _ in 0..ROUNDS {
        let mut sample = patiently(|| shared.reserve(13));
        fill(&mut sample);
        sample.submit();

        let mut lane = patiently(|| shared.lane(40));
        for _ in 0..2 {
            let mut sample = lane.reserve(13).unwrap();
            fill(&mut sample);
            sample.submit();
        }
        lane.close();

        let mut first = patiently(|| shared.reserve(13));
        fill(&mut first);
        // Not patiently: threads that hold one each would wait for each other.
        if let Ok(mut second) = shared.reserve(13) {
            fill(&mut second);
            second.submit();
        }
        first.submit();
    }
}

#[test]
fn what_threads_write_into_the_ring_is_theirs_until_it_is_drained() {
    let (heap, shadow) = (HeapMemory::new(SIZE as u64).unwrap(), Shadow::new());
    let memory = Hooked::new(&heap, &shadow);
    let shared = Producer::attach(memory).unwrap().into_shared();
    let kernel = FakeKernel::new(&heap);
    let running = AtomicUsize::new(THREADS);
    let mut taken = 0;
    let mut drain = || {
        let drained = kernel.drain(0, |sample| {
            let offset = u32::from_ne_bytes(sample[..4].try_into().unwrap());
            assert_eq!(sample[4..], [7; 9]);
            for byte in shadow.bytes(offset, 0, 13) {
                // SAFETY: the sample is the kernel's until this returns, if the protocol is right.
                assert_eq!(unsafe { *byte.get() }, 1);
            }
            taken += 1;
            ControlFlow::Continue(())
        });
        assert!(drained.returned.is_ok());
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                produce(&shared);
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while running.load(Ordering::Relaxed) > 0 {
            drain();
            thread::yield_now();
        }
    });
    drain();
    assert!(SAMPLES.contains(&taken), "{taken} samples");
}
