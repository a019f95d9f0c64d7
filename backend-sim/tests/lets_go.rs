//! Once the kernel can pass a header, its producer never stores there again: the room may belong to another producer by then.
//!
//! The kernel here is as fast as can be: it drains before each single memory operation of the producer. A header that
//! is committed must still lie in front of it.

use user_ringbuf_sim::{DetachedSample, Lane, Producer, RingMemory, Shared};
use user_ringbuf_sim::{FakeKernel, Fate, HeapMemory, Hooked, KernelMemory, Step};

const SIZE: u64 = 256;

/// Runs `produce` while the kernel drains at once whatever it can.
fn with_an_eager_kernel(produce: impl Fn(&dyn Fn(Step) -> Fate, &HeapMemory)) {
    let memory = HeapMemory::new(SIZE).unwrap();
    let eager = |step: Step| {
        let _ = FakeKernel::new(&memory).collect(0);
        if let Step::CommitHeader { offset, header } = step {
            let (consumer, producer) = (memory.kernel_load_consumer(), memory.kernel_load_producer());
            let ahead = (u64::from(offset).wrapping_sub(consumer)) % SIZE;
            assert!(ahead < producer - consumer, "{header:?} stored at {offset}, which the kernel has passed");
        }
        Fate::Happens
    };
    // Laps enough that every place is used again.
    for _ in 0..20 {
        produce(&eager, &memory);
    }
    let _ = FakeKernel::new(&memory).collect(0);
    assert_eq!(memory.kernel_load_consumer(), memory.kernel_load_producer(), "nothing holds the ring up");
}

/// Lets go of samples in every way.
fn samples<M: RingMemory>(mut reserve: impl FnMut(usize) -> DetachedSample<M>) {
    reserve(40).submit();
    reserve(40).discard();
    drop(reserve(0));
    for len in [0, 1, 31, 32, 33, 40] {
        reserve(40).submit_len(len).unwrap();
    }
    assert!(reserve(40).submit_len(41).is_err());
    let mut shortened = reserve(40);
    shortened.shorten(3).unwrap();
    drop(shortened);
    let mut shortened = reserve(40);
    shortened.shorten(3).unwrap();
    shortened.submit();
}

/// Lets go of lanes in every way.
fn lanes<M: RingMemory>(mut lane: impl FnMut() -> Lane<M>) {
    lane().close();
    let mut used_up = lane();
    while used_up.push(&[1; 16]).is_ok() {}
    drop(used_up);
    let mut cut_short = lane();
    cut_short.reserve(30).unwrap().submit_len(5).unwrap();
    cut_short.reserve(30).unwrap().discard();
    cut_short.push(b"x").unwrap();
    drop(cut_short);
}

#[test]
fn an_exclusive_producers_detached_samples_and_lanes_let_go_for_good() {
    with_an_eager_kernel(|eager, memory| {
        let mut producer = Producer::attach(Hooked::new(memory, eager)).unwrap();
        samples(|len| producer.reserve_detached(len).unwrap());
        lanes(|| producer.lane(100).unwrap());
    });
}

#[test]
fn a_shared_producers_samples_and_lanes_let_go_for_good() {
    with_an_eager_kernel(|eager, memory| {
        let shared = Shared::attach(Hooked::new(memory, eager)).unwrap();
        samples(|len| shared.reserve(len).unwrap());
        lanes(|| shared.lane(100).unwrap());
    });
}
