//! The exclusive producer against a drainer: submit, a full ring, discard and shortened submit, death at any step.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::{Producer, ReserveError};

use super::{Model, kernel, verify};
use crate::loom::LoomMemory;
use crate::{Crash, Hooked, KernelMemory};

/// Tries until there is room, yielding to the drainer.
pub(super) fn until_room<T>(mut attempt: impl FnMut() -> Result<T, ReserveError>) {
    while let Err(error) = attempt() {
        assert!(error.is_full(), "refused sample: {error}");
        thread::yield_now();
    }
}

/// Pushes `sample` as soon as there is room.
pub(super) fn push(producer: &mut Producer<Arc<LoomMemory>>, sample: &[u8]) {
    until_room(|| producer.push(sample));
}

/// Drains, yielding to the producer, until `count` samples are there.
pub(super) fn drain_all<M: KernelMemory>(memory: M, count: usize) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    loop {
        kernel::drain(&memory, &mut taken);
        if taken.len() >= count {
            return taken;
        }
        thread::yield_now();
    }
}

/// A producer pushes these beside a kernel that drains until they have all come out.
pub(super) fn push_through(memory: Arc<LoomMemory>, kernel: impl KernelMemory, sent: [&'static [u8]; 3]) {
    let mut producer = Producer::attach(memory).expect("a drained ring");
    let writer = thread::spawn(move || sent.iter().for_each(|sample| push(&mut producer, sample)));
    verify::same(&drain_all(kernel, sent.len()), &sent);
    writer.join().expect("the producer does not panic");
}

/// A drainer takes each submitted sample whole, once and in order.
///
/// Two records fit; the third takes the place of the first, and ends in the middle of its 8 bytes.
pub(super) const SUBMIT: Model = Model::new("submit", |setup| {
    let memory = setup.ring(32, 0);
    push_through(Arc::clone(&memory), memory, [b"first ...", b"2", b"third"]);
});

/// A full ring takes the next sample only when the kernel is done with the last.
///
/// Each sample fills the whole ring, and overwrites the one before.
pub(super) const FULL_RING: Model = Model::new("full-ring", |setup| {
    let memory = setup.ring(16, 16);
    push_through(Arc::clone(&memory), memory, [b"eight by", b"tes a sa", b"mple"]);
});

/// Nothing is seen of discarded samples, nor of the bytes that a shortened one gave up.
///
/// What is discarded was written, to the end of the ring, where the next sample's bytes go.
pub(super) const DISCARD: Model = Model::new("discard", |setup| {
    const SENT: [&[u8]; 2] = [b"short", b"whole .."];
    let (memory, mut producer) = setup.with_producer(32, 8);
    let writer = thread::spawn(move || {
        let mut shortened = producer.reserve(24).expect("the ring is empty");
        shortened.write(0, b"short, the rest is not .").expect("it fits");
        shortened.submit_len(5).expect("not longer");
        match producer.reserve(8) {
            Ok(mut discarded) => {
                discarded.fill_range(0, 8, b'!').expect("it fits");
                discarded.discard();
            }
            Err(error) => assert!(error.is_full(), "refused sample: {error}"),
        }
        push(&mut producer, SENT[1]);
    });
    verify::same(&drain_all(&memory, SENT.len()), &SENT);
    writer.join().expect("the producer does not panic");
    kernel::finds_nothing(&memory);
});

/// Memory operations after which the producing process is killed: more than the producer below needs at least.
const STEPS: u32 = 14;

/// A producer killed at any step leaves whole samples and nothing else, and another one goes on.
///
/// Case n: killed after n memory operations.
pub(super) const CRASH: Model = Model::new("crash", |setup| {
    const SENT: [&[u8]; 2] = [b"a sample", b"another"];
    let memory = setup.ring(16, 0);
    let mortal = Hooked::new(Arc::clone(&memory), Crash::after(setup.case.into()));
    let mut producer = Producer::attach(mortal).expect("a new ring");
    let writer = thread::spawn(move || {
        for sample in SENT {
            if producer.push(sample).is_err() {
                break;
            }
        }
    });
    let (mut taken, _) = kernel::drain_beside(&memory, [writer]);
    verify::prefix(&taken, &SENT);
    let mut next = Producer::attach(Arc::clone(&memory)).expect("a ring with a dead producer");
    push(&mut next, b"heir");
    taken.clear();
    kernel::drain(&memory, &mut taken);
    verify::same(&taken, &[b"heir"]);
})
.cases(STEPS);
