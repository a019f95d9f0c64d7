//! The exclusive producer's samples: reserve, fill, submit, discard.

use user_ringbuf_kit::needs_bpf;

use crate::page_ring;

#[test]
fn a_sample_is_filled_in_place_as_a_slice() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
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
    let (mut ring, mut producer) = page_ring();
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
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    let mut sample = producer.reserve(8).unwrap();
    sample.copy_from_slice(b"waiting.");
    assert_eq!(raw.producer_pos(), 0);
    assert!(ring.drain().is_empty());
    sample.submit();
    assert_eq!(ring.drain(), [b"waiting."]);
}

#[test]
fn discarded_and_dropped_samples_leave_no_record_behind() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
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
    let (mut ring, mut producer) = page_ring();
    producer.push(b"here").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || producer.push(b"there").unwrap());
    });
    assert_eq!(ring.drain(), [&b"here"[..], b"there"]);
}
