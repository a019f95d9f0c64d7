//! The exclusive producer's samples: reserve, fill, submit, discard.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{AttachError, Producer};
use user_ringbuf_tests::ring::Ring;

#[test]
fn samples_of_every_short_length_arrive_in_order() {
    needs_bpf!();
    let mut ring = Ring::new(1 << 16);
    let mut producer = ring.producer();
    let samples: Vec<_> = (0..=200).map(|len| pattern(len, len)).collect();
    for sample in &samples {
        producer.push(sample).unwrap();
    }
    assert_eq!(ring.drain(), samples);
    assert!(ring.drain().is_empty(), "once only");
}

#[test]
fn a_sample_is_filled_in_place_as_a_slice() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    let mut sample = producer.reserve(13).unwrap();
    for (byte, value) in sample.iter_mut().zip(10..) {
        *byte = value;
    }
    sample[12] = 99;
    assert_eq!(sample[..2], [10, 11], "and read back");
    sample.submit();
    assert_eq!(ring.drain(), [[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 99]]);
}

#[test]
fn a_sample_is_written_piece_by_piece_from_any_offset() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    let mut sample = producer.reserve(10).unwrap();
    sample.fill_range(0, 10, b'.').unwrap();
    sample.write(7, b"end").unwrap();
    sample.write(1, b"ab").unwrap();
    sample.fill_range(4, 2, b'-').unwrap();
    sample.write(10, b"").unwrap();
    sample.submit();
    assert_eq!(ring.drain(), [b".ab.--.end"]);
}

#[test]
fn nothing_is_visible_before_submit() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    let mut producer = ring.producer();
    let mut sample = producer.reserve(8).unwrap();
    sample.copy_from_slice(b"waiting.");
    assert_eq!(raw.producer_pos(), 0);
    assert!(ring.drain().is_empty());
    sample.submit();
    assert_eq!(ring.drain(), [b"waiting."]);
}

#[test]
fn a_shorter_length_than_reserved_is_submitted_and_the_rest_goes_back() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    let mut producer = ring.producer();
    let mut sample = producer.reserve(1000).unwrap();
    sample[..4].copy_from_slice(b"only");
    let end = sample.submit_len(4).unwrap();
    assert_eq!((end.get(), raw.producer_pos()), (16, 16), "one record of 16 bytes");
    let mut sample = producer.reserve(100).unwrap();
    sample.shorten(50).unwrap();
    sample.shorten(3).unwrap();
    assert_eq!(sample.len(), 3);
    sample.write(0, b"and").unwrap();
    sample.submit();
    producer.reserve(9).unwrap().submit_len(0).unwrap();
    assert_eq!(ring.drain(), [&b"only"[..], b"and", b""]);
}

#[test]
fn discarded_and_dropped_samples_leave_no_record_behind() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    let mut producer = ring.producer();
    producer.reserve(100).unwrap().discard();
    producer.push(b"first").unwrap();
    producer.reserve(2000).unwrap().discard();
    drop(producer.reserve(1).unwrap());
    producer.push(b"second").unwrap();
    let _ = producer.reserve(3).unwrap();
    #[expect(clippy::forget_non_drop, reason = "that nothing is left to drop is the point")]
    std::mem::forget(producer.reserve(2000).unwrap());
    let words: Vec<_> = raw.records().iter().map(|record| record.word).collect();
    assert_eq!(words, [5, 6], "two submitted records and nothing else");
    assert_eq!(ring.drain(), [&b"first"[..], b"second"]);
}

#[test]
fn a_producer_moves_to_another_thread() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    producer.push(b"here").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || producer.push(b"there").unwrap());
    });
    assert_eq!(ring.drain(), [&b"here"[..], b"there"]);
}

#[test]
fn a_memory_has_one_producer_at_a_time() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mapping = std::sync::Arc::new(ring.mapping());
    let mut producer = Producer::attach(&mapping).unwrap();
    producer.push(b"one").unwrap();
    assert_eq!(Producer::attach(&mapping).unwrap_err(), AttachError::AlreadyAttached);
    assert_eq!(user_ringbuf_linux::Shared::attach(mapping.clone()).unwrap_err(), AttachError::AlreadyAttached);
    let shared = producer.into_shared();
    assert_eq!(Producer::attach(&mapping).unwrap_err(), AttachError::AlreadyAttached, "the claim goes along");
    drop(shared);
    Producer::attach(&mapping).unwrap().push(b"two").unwrap();
    assert_eq!(ring.drain(), [b"one", b"two"]);
}
