//! Two drains at once: the kernel lets one of them in.

use std::sync::Arc;

use ::loom::thread;

use super::{Model, kernel, verify};

/// Two drainers share the samples without taking one twice, and the one that comes too late hears EBUSY.
///
/// Three records through a ring that holds two, one pushed before the first drain.
pub(super) const TWO: Model = Model::new("two-drainers", |setup| {
    const SENT: [&[u8]; 3] = [b"before", b"during", b"after"];
    let (memory, mut producer) = setup.with_producer(32, 0);
    producer.push(SENT[0]).expect("an empty ring");
    let drainers = [(); 2].map(|()| {
        let memory = Arc::clone(&memory);
        thread::spawn(move || {
            let mut taken = Vec::new();
            let result = kernel::try_drain(&memory, &mut taken);
            (result, taken)
        })
    });
    let mut sent = 1;
    for sample in &SENT[1..] {
        match producer.push(sample) {
            Ok(_) => sent += 1,
            Err(error) => {
                assert!(error.is_full(), "refused sample: {error}");
                break;
            }
        }
    }
    let [one, two] = drainers.map(|drainer| drainer.join().expect("no panic"));
    assert!(one.0.is_some() || two.0.is_some(), "lost drain: both were refused");
    // Which of them went first shows in what it took: the first sample.
    let (first, second) = if one.1.first().is_some_and(|s| s == SENT[0]) { (one, two) } else { (two, one) };
    let mut taken = first.1;
    taken.extend(second.1);
    kernel::drain(&memory, &mut taken);
    verify::same(&taken, &SENT[..sent]);
});
