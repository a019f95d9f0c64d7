//! A ring in use gets another producer; a ring's positions pass the end of their 64 bits.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::{AttachError, Producer};

use super::exclusive::{drain_all, push};
use super::kernel::Shifted;
use super::{Model, kernel, verify};

/// The first producer writes its last sample and goes, in a thread of its own; the second attaches if it may, while the
/// drainer is at work.
pub(super) const ATTACH: Model = Model {
    name: "attach",
    about: "a producer that attaches while the kernel drains goes on where the last one stopped",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 3] = [b"oldest", b"old", b"new"];
        let memory = setup.ring(32, 24);
        let mut first = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
        first.push(SENT[0]).expect("an empty ring");
        let old = thread::spawn(move || {
            first.push(SENT[1]).expect("half a ring");
        });
        let new = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || match Producer::attach(memory) {
                Ok(mut second) => match second.push(SENT[2]) {
                    Ok(_) => true,
                    Err(error) if error.is_full() => false,
                    Err(error) => panic!("refused sample: {error}"),
                },
                Err(AttachError::AlreadyAttached) => false,
                Err(error) => panic!("refused producer: {error}"),
            })
        };
        let mut taken = Vec::new();
        kernel::drain(&memory, &mut taken);
        old.join().expect("the producer does not panic");
        let sent = 2 + usize::from(new.join().expect("the producer does not panic"));
        kernel::drain(&memory, &mut taken);
        verify::same(&taken, &SENT[..sent]);
    },
};

/// The second record begins at the last 8 bytes below 2^64.
pub(super) const WRAP: Model = Model {
    name: "position-wrap",
    about: "nothing changes when the positions pass 2^64",
    preemptions: None,
    cases: 1,
    body: |setup| {
        const SENT: [&[u8]; 3] = [b"before", b"across 2", b"after"];
        let memory = setup.ring(32, u64::MAX - 23);
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
