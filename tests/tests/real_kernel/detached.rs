//! Detached samples: several at once, submitted in any order, from any thread.

use std::sync::Arc;

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_kit::raw::{BUSY, DISCARD};
use user_ringbuf_linux::{AttachError, Producer};
use user_ringbuf_tests::ring::{Ring, page};

use crate::page_ring;

#[test]
fn samples_submitted_out_of_order_arrive_in_the_order_of_their_reservations() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let [mut a, mut b, mut c] = [1, 2, 3].map(|len| producer.reserve_detached(len).unwrap());
    c.copy_from_slice(b"ccc");
    c.submit();
    assert!(ring.drain().is_empty(), "the oldest is not submitted");
    a.copy_from_slice(b"a");
    a.submit();
    assert_eq!(ring.drain(), [b"a"], "and the second not yet");
    b.copy_from_slice(b"bb");
    b.submit();
    assert_eq!(ring.drain(), [&b"bb"[..], b"ccc"]);
}

#[test]
fn a_reservation_is_visible_at_once_as_a_busy_record() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    let alone = producer.reserve_detached(21).unwrap();
    let shared = producer.into_shared();
    let dropped = shared.reserve_owned(16).unwrap();
    let records = || raw.records().iter().map(|record| (record.word, record.pad)).collect::<Vec<_>>();
    assert_eq!((records(), raw.producer_pos()), (vec![(BUSY | 21, 0), (BUSY | 16, 0)], 56));
    drop(dropped);
    assert_eq!(records(), [(BUSY | 21, 0), (DISCARD | 16, 0)]);
    assert_eq!(alone.submit().get(), 32);
    assert_eq!(records(), [(21, 0), (DISCARD | 16, 0)]);
    assert_eq!((ring.drain().len(), raw.consumer_pos()), (1, 56));
}

#[test]
fn a_dropped_or_discarded_sample_is_skipped() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    let dropped = producer.reserve_detached(10).unwrap();
    producer.push(b"behind").unwrap();
    let discarded = producer.reserve_detached(0).unwrap();
    producer.push(b"at the end").unwrap();
    drop(dropped);
    discarded.discard();
    let words: Vec<_> = raw.records().iter().map(|record| record.word).collect();
    // The filler has the record's extent, which the padding is part of.
    assert_eq!(words, [DISCARD | 16, 6, DISCARD, 10]);
    assert_eq!(ring.drain(), [&b"behind"[..], b"at the end"]);
    assert_eq!(raw.consumer_pos(), raw.producer_pos());
}

#[test]
fn a_shortened_sample_is_followed_by_a_discarded_filler() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    let mut sample = producer.reserve_detached(100).unwrap();
    sample.write(0, b"short").unwrap();
    let behind = producer.reserve_detached(4).unwrap();
    sample.submit_len(5).unwrap();
    let words: Vec<_> = raw.records().iter().map(|record| (record.position, record.word)).collect();
    assert_eq!(words, [(0, 5), (16, DISCARD | 88), (112, BUSY | 4)]);
    behind.submit();
    assert_eq!(ring.drain().len(), 2);
    // Within the padding nothing is left over, so there is no filler.
    let sample = producer.reserve_detached(16).unwrap();
    sample.submit_len(9).unwrap();
    assert_eq!(raw.records().len(), 1);
    assert_eq!(ring.drain()[0].len(), 9);
}

#[test]
fn every_shorter_length_leaves_the_neighbours_whole() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    for reserved in 0..70 {
        for len in 0..=reserved {
            let mut sample = producer.reserve_detached(reserved).unwrap();
            let behind = producer.push(b"behind");
            sample.write(0, &pattern(len, len)).unwrap();
            sample.submit_len(len).unwrap();
            behind.unwrap();
            assert_eq!(ring.drain(), [pattern(len, len), b"behind".to_vec()], "{len} of {reserved}");
        }
    }
}

#[test]
fn samples_are_filled_and_submitted_by_other_threads() {
    needs_bpf!();
    let mut ring = Ring::new(1 << 16);
    let mut producer = ring.producer();
    let samples: Vec<_> = (0..100).map(|number| (number, producer.reserve_detached(number).unwrap())).collect();
    std::thread::scope(|scope| {
        let mut samples = samples.into_iter().rev();
        for chunk in std::iter::from_fn(|| Some(samples.by_ref().take(13).collect::<Vec<_>>())) {
            if chunk.is_empty() {
                break;
            }
            scope.spawn(move || {
                for (number, mut sample) in chunk {
                    sample.copy_from_slice(&pattern(number, number));
                    sample.submit();
                }
            });
        }
    });
    let expected: Vec<_> = (0..100).map(|number| pattern(number, number)).collect();
    assert_eq!(ring.drain(), expected);
}

#[test]
fn a_sample_outlives_its_producer_where_it_shares_the_memory() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mapping = Arc::new(ring.mapping());
    let mut producer = Producer::attach(mapping.clone()).unwrap();
    let mut sample = producer.reserve_detached(4).unwrap();
    drop(producer);
    // Until it is submitted, it is unknown whether its owner lives: the next producer has to wait.
    assert!(matches!(Producer::attach(mapping.clone()), Err(AttachError::Busy { .. })));
    assert!(ring.drain().is_empty());
    let late = std::thread::spawn(move || {
        sample.copy_from_slice(b"late");
        sample.submit()
    });
    assert_eq!(late.join().unwrap().get(), 16);
    Producer::attach(mapping).unwrap().push(b"next").unwrap();
    assert_eq!(ring.drain(), [b"late", b"next"]);
}

#[test]
fn detached_and_exclusive_samples_and_batches_share_the_ring() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    producer.push(b"1").unwrap();
    let mut second = producer.reserve_detached(1).unwrap();
    producer.push(b"3").unwrap();
    let mut batch = producer.batch();
    batch.push(b"4").unwrap();
    batch.push(b"5").unwrap();
    batch.submit().unwrap();
    let mut sixth = producer.reserve_detached(1).unwrap();
    sixth.write(0, b"6").unwrap();
    sixth.submit();
    // A second sample while one is outstanding: late published beside busy.
    producer.reserve(7).unwrap().discard();
    assert_eq!(ring.drain(), [b"1"]);
    second.write(0, b"2").unwrap();
    second.submit();
    assert_eq!(ring.drain(), [b"2", b"3", b"4", b"5", b"6"]);
}

#[test]
fn outstanding_samples_fill_the_ring_and_their_room_comes_back() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    for _ in 0..3 {
        let mut samples: Vec<_> = std::iter::from_fn(|| producer.reserve_detached(56).ok()).collect();
        assert_eq!(samples.len(), page() / 64);
        assert!(producer.push(b"").unwrap_err().is_full());
        for (number, sample) in samples.iter_mut().enumerate() {
            sample.copy_from_slice(&pattern(number, 56));
        }
        for sample in samples.into_iter().rev() {
            sample.submit();
        }
        assert_eq!(ring.drain().len(), page() / 64);
    }
}
