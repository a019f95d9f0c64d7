//! A ring in use gets another producer; a ring's positions pass the end of their 64 bits.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::{AttachError, Producer};

use super::exclusive::push_through;
use super::kernel::Shifted;
use super::{Model, kernel, verify};

/// A producer that attaches while the kernel drains goes on where the last one stopped.
///
/// The first producer writes its last sample and goes, in a thread of its own; the second attaches if it may, while the
/// drainer is at work.
pub(super) const ATTACH: Model = Model::new("attach", |setup| {
    const SENT: [&[u8]; 3] = [b"oldest", b"old", b"new"];
    let (memory, mut first) = setup.with_producer(32, 24);
    first.push(SENT[0]).expect("an empty ring");
    let old = thread::spawn(move || {
        first.push(SENT[1]).expect("half a ring");
        true
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
    let (taken, pushed) = kernel::drain_beside(&memory, [old, new]);
    let sent = 1 + pushed.map(usize::from).iter().sum::<usize>();
    verify::same(&taken, &SENT[..sent]);
});

/// Nothing changes when the positions pass 2^64.
///
/// The second record begins at the last 8 bytes below 2^64.
pub(super) const WRAP: Model = Model::new("position-wrap", |setup| {
    let memory = setup.ring(32, u64::MAX - 23);
    push_through(Arc::clone(&memory), Shifted::new(memory, 32), [b"before", b"across 2", b"after"]);
});
