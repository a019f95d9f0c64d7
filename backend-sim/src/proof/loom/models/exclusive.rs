//! The exclusive producer against a drainer: submit, a full ring, discard and shortened submit, death at any step.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::Producer;

use super::{Model, kernel, verify};
use crate::loom::LoomMemory;
use crate::{Crash, Hooked, KernelMemory};

/// Pushes `sample`, yielding to the drainer while the ring is full.
pub(super) fn push(producer: &mut Producer<Arc<LoomMemory>>, sample: &[u8]) {
    while let Err(error) = producer.push(sample) {
        assert!(error.is_full(), "refused sample: {error}");
        thread::yield_now();
    }
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

/// Two records fit; the third takes the place of the first, and ends in the middle of its 8 bytes.
pub(super) const SUBMIT: Model = Model {
    name: "submit",
    about: "a drainer takes each submitted sample whole, once and in order",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 3] = [b"first ...", b"2", b"third"];
        let memory = setup.ring(32, 0);
        let mut producer = Producer::attach(Arc::clone(&memory)).expect("a new ring");
        let writer = thread::spawn(move || {
            for sample in SENT {
                push(&mut producer, sample);
            }
        });
        let taken = drain_all(&memory, SENT.len());
        verify::same(&taken, &SENT);
        writer.join().expect("the producer does not panic");
    },
};

/// Each sample fills the whole ring, and overwrites the one before.
pub(super) const FULL_RING: Model = Model {
    name: "full-ring",
    about: "a full ring takes the next sample only when the kernel is done with the last",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 3] = [b"eight by", b"tes a sa", b"mple"];
        let memory = setup.ring(16, 16);
        let mut producer = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
        let writer = thread::spawn(move || {
            for sample in SENT {
                push(&mut producer, sample);
            }
        });
        let taken = drain_all(&memory, SENT.len());
        verify::same(&taken, &SENT);
        writer.join().expect("the producer does not panic");
    },
};

/// What is discarded was written, to the end of the ring, where the next sample's bytes go.
pub(super) const DISCARD: Model = Model {
    name: "discard",
    about: "nothing is seen of discarded samples, nor of the bytes that a shortened one gave up",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 2] = [b"short", b"whole .."];
        let memory = setup.ring(32, 8);
        let mut producer = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
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
        let taken = drain_all(&memory, SENT.len());
        verify::same(&taken, &SENT);
        writer.join().expect("the producer does not panic");
        let mut more = Vec::new();
        kernel::drain(&memory, &mut more);
        verify::same::<&[u8]>(&more, &[]);
    },
};

/// Memory operations after which the producing process is killed: more than the producer below needs at least.
const STEPS: u32 = 14;

/// Case n: killed after n memory operations.
pub(super) const CRASH: Model = Model {
    name: "crash",
    about: "a producer killed at any step leaves whole samples and nothing else, and another one goes on",
    preemptions: None,
    cases: STEPS,
    body: |setup| {
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
        let mut taken = Vec::new();
        kernel::drain(&memory, &mut taken);
        writer.join().expect("the producer does not panic");
        kernel::drain(&memory, &mut taken);
        verify::prefix(&taken, &SENT);
        let mut next = Producer::attach(Arc::clone(&memory)).expect("a ring with a dead producer");
        push(&mut next, b"heir");
        taken.clear();
        kernel::drain(&memory, &mut taken);
        verify::same(&taken, &[b"heir"]);
    },
};
