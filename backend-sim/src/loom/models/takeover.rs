//! A ring in use gets another producer; a ring's positions pass the end of their 64 bits.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::Producer;

use super::exclusive::{drain_all, push};
use super::kernel::Shifted;
use super::{Model, ring, verify};

/// The first producer fills the ring and is gone; the drainer is at work when the second attaches.
pub(super) const ATTACH: Model = Model {
    name: "attach",
    about: "a producer that attaches while the kernel drains goes on where the last one stopped",
    preemptions: None,
    cases: 1,
    body: |orderings, _| {
        const SENT: [&[u8]; 3] = [b"old", b"older", b"of the new"];
        let memory = ring(32, 24, orderings);
        let mut first = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
        first.push(SENT[0]).expect("an empty ring");
        first.push(SENT[1]).expect("half a ring");
        drop(first);
        let writer = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                let mut second = Producer::attach(memory).expect("a ring in use");
                push(&mut second, SENT[2]);
            })
        };
        let taken = drain_all(&memory, SENT.len());
        verify::same(&taken, &SENT);
        writer.join().expect("the producer does not panic");
    },
};

/// The second record begins at the last 8 bytes below 2^64.
pub(super) const WRAP: Model = Model {
    name: "position-wrap",
    about: "nothing changes when the positions pass 2^64",
    preemptions: None,
    cases: 1,
    body: |orderings, _| {
        const SENT: [&[u8]; 3] = [b"before", b"across 2", b"after"];
        let memory = ring(32, u64::MAX - 23, orderings);
        let mut producer = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
        let writer = thread::spawn(move || {
            for sample in SENT {
                push(&mut producer, sample);
            }
        });
        let taken = drain_all(Shifted::new(Arc::clone(&memory), 32), SENT.len());
        verify::same(&taken, &SENT);
        writer.join().expect("the producer does not panic");
    },
};
