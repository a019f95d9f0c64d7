//! A batch against a drainer: seen whole, or not at all.

use ::loom::thread;

use super::{Model, kernel, verify};

/// A drain finds all samples of a batch or none, and nothing of a dropped one.
///
/// Two batches, each of which fills the ring; one in between is dropped after both its samples were written.
pub(super) const WHOLE: Model = Model::new("batch", |setup| {
    const SENT: [&[u8]; 4] = [b"one", b"batch...", b"another", b"8 bytes."];
    let (memory, mut producer) = setup.with_producer(32, 16);
    let writer = thread::spawn(move || {
        for pair in [[SENT[0], SENT[1]], [b"no", b"never"], [SENT[2], SENT[3]]] {
            let dropped = pair[0] == b"no";
            loop {
                let mut batch = producer.batch();
                let added = batch.push(pair[0]).and_then(|()| batch.push(pair[1]));
                if let Err(error) = added {
                    assert!(error.is_full(), "refused batch: {error}");
                }
                if dropped {
                    break;
                }
                if added.is_ok() {
                    batch.submit().unwrap();
                    break;
                }
                thread::yield_now();
            }
        }
    });
    let mut taken = Vec::new();
    while taken.len() < SENT.len() {
        let count = kernel::drain(&memory, &mut taken);
        assert!(count % 2 == 0, "split batch: one drain took {count} samples of batches of two");
        if count == 0 {
            thread::yield_now();
        }
    }
    verify::same(&taken, &SENT);
    writer.join().expect("the producer does not panic");
});
