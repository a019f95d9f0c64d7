//! Batches: all at once or not at all.

use std::sync::Mutex;

use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{Producer, ReserveError};
use user_ringbuf_tests::ring::{Consumer, Ring, page};

use crate::needs_kernel;

#[test]
fn a_batch_is_seen_whole_and_only_when_submitted() {
    needs_kernel!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut producer = Producer::attach(&mapping).unwrap();
    let mut batch = producer.batch();
    let samples: Vec<_> = (0..20).map(|number| pattern(number, number)).collect();
    for sample in &samples {
        batch.push(sample).unwrap();
        assert!(ring.drain().is_empty(), "after {} bytes", batch.bytes());
    }
    batch.submit().unwrap();
    assert_eq!(ring.drain(), samples);
}

#[test]
fn a_batch_is_published_by_one_step_of_the_position() {
    needs_kernel!();
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
fn a_dropped_or_discarded_batch_leaves_nothing_behind() {
    needs_kernel!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let raw = ring.raw();
    let mut producer = Producer::attach(&mapping).unwrap();
    let mut batch = producer.batch();
    batch.push(b"never").unwrap();
    batch.push(b"seen").unwrap();
    drop(batch);
    let mut batch = producer.batch();
    batch.push(b"nor this").unwrap();
    batch.discard();
    assert_eq!(raw.producer_pos(), 0);
    producer.push(b"but this").unwrap();
    assert_eq!(ring.drain(), [b"but this"]);
}

#[test]
fn an_empty_batch_submits_nothing() {
    needs_kernel!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut producer = Producer::attach(&mapping).unwrap();
    producer.push(b"x").unwrap();
    let before = producer.position();
    let batch = producer.batch();
    assert!(batch.is_empty());
    assert_eq!(batch.submit(), Ok(before));
    assert_eq!(ring.drain().len(), 1);
}

#[test]
fn samples_of_a_batch_are_filled_shortened_and_left_out() {
    needs_kernel!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let raw = ring.raw();
    let mut producer = Producer::attach(&mapping).unwrap();
    let mut batch = producer.batch();
    let mut sample = batch.reserve(3).unwrap();
    sample.copy_from_slice(b"abc");
    sample.submit();
    drop(batch.reserve(500).unwrap());
    batch.reserve(1).unwrap().discard();
    let mut sample = batch.reserve(100).unwrap();
    sample.write(0, b"short").unwrap();
    sample.submit_len(5).unwrap();
    assert!(batch.reserve(4).unwrap().submit_len(5).is_err());
    assert_eq!(batch.bytes(), 32);
    batch.submit().unwrap();
    assert_eq!(raw.producer_pos(), 32, "what was left out takes no room");
    assert_eq!(ring.drain(), [&b"abc"[..], b"short"]);
}

#[test]
fn a_batch_as_large_as_the_ring_goes_in_and_one_byte_more_does_not() {
    needs_kernel!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut producer = Producer::attach(&mapping).unwrap();
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

#[test]
fn a_batch_that_meets_a_full_ring_may_be_submitted_without_the_sample() {
    needs_kernel!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut producer = Producer::attach(&mapping).unwrap();
    let size = u32::try_from(page()).unwrap();
    producer.push(&pattern(1, page() - 8 - 64)).unwrap();
    let mut batch = producer.batch();
    batch.push(&pattern(2, 24)).unwrap();
    assert_eq!(batch.push(&pattern(3, 25)).unwrap_err(), ReserveError::Full { needed: 40, available: 32 });
    assert_eq!(
        batch.push(&pattern(4, page() - 8)).unwrap_err(),
        ReserveError::BatchFull { needed: size, left: size - 32 },
        "waiting would never help"
    );
    batch.push(&pattern(5, 24)).unwrap();
    batch.submit().unwrap();
    assert_eq!(ring.drain(), [pattern(1, page() - 72), pattern(2, 24), pattern(5, 24)]);
}
