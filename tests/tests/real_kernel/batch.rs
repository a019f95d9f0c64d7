//! Batches: all at once or not at all.

use std::sync::Mutex;

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{Producer, ReserveError};
use user_ringbuf_tests::ring::{Consumer, Ring, page};

use crate::page_ring;

#[test]
fn a_batch_is_published_by_one_step_of_the_position() {
    needs_bpf!();
    let mut ring = Ring::new(1 << 14);
    let mapping = ring.mapping();
    let producer = Mutex::new(Producer::attach(&mapping).unwrap());
    let rounds = 5000_usize;
    let produce = |_, consumer: &Consumer| {
        let mut producer = producer.lock().unwrap();
        for round in 0..rounds {
            consumer.retry(|| {
                let mut batch = producer.batch();
                (0..7).try_for_each(|number| batch.push(&pattern(round, 1 + number)))?;
                batch.submit()
            });
        }
    };
    let mut seen = 0;
    // A drain stops after 700 samples, which are 100 batches, or where there is nothing more: never within a batch.
    ring.drain_while(1, produce, 700, |samples| {
        assert_eq!(samples.len() % 7, 0, "a drain took part of a batch");
        for batch in samples.chunks(7) {
            for (number, sample) in batch.iter().enumerate() {
                assert_eq!(*sample, pattern(seen, 1 + number));
            }
            seen += 1;
        }
    });
    assert_eq!(seen, rounds);
}

#[test]
fn a_batch_as_large_as_the_ring_goes_in_and_one_byte_more_does_not() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    producer.push(b"offset").unwrap();
    assert_eq!(ring.drain().len(), 1);
    let mut batch = producer.batch();
    let records = page() / 64;
    for number in 0..records {
        batch.push(&pattern(number, 56)).unwrap();
    }
    assert_eq!(batch.push(b"").unwrap_err(), ReserveError::BatchFull { needed: 8, left: 0 });
    batch.submit().unwrap();
    let expected: Vec<_> = (0..records).map(|number| pattern(number, 56)).collect();
    assert_eq!(ring.drain(), expected);
}
