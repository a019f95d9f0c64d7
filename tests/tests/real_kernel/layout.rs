//! The ring's raw bytes, read through mappings of our own: byte for byte what the layout asks for.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_kit::raw::{RawRecord, RawRing, extent};
use user_ringbuf_tests::ring::{Ring, page};

use crate::page_ring;

/// What libbpf's layout asks for, byte by byte: header (length, zero pad), sample; padding is anything.
fn expect_record(raw: &RawRing, position: u64, sample: &[u8]) -> u64 {
    let offset = raw.offset(position);
    let len = u32::try_from(sample.len()).unwrap();
    assert_eq!(raw.bytes(offset, 4), len.to_ne_bytes(), "the length at {position}");
    assert_eq!(raw.bytes(offset + 4, 4), [0; 4], "the pad at {position}");
    assert_eq!(raw.bytes(offset + 8, sample.len()), sample, "the sample at {position}");
    position + extent(len)
}

#[test]
fn headers_pads_samples_and_positions_stand_where_libbpf_puts_them() {
    needs_bpf!();
    let ring = Ring::of_a_page();
    let raw = ring.raw();
    // Bytes that an earlier lap may have left: none of them may show in a header.
    for offset in (0..page()).step_by(4) {
        raw.word(offset).store(u32::MAX, std::sync::atomic::Ordering::Relaxed);
    }
    let mut producer = ring.producer();
    let mut position = 0;
    for len in [0, 1, 7, 8, 9, 15, 16, 17, 100] {
        producer.push(&pattern(len, len)).unwrap();
        position = expect_record(&raw, position, &pattern(len, len));
        assert_eq!(raw.producer_pos(), position);
        assert_eq!(position % 8, 0);
    }
    let mut batch = producer.batch();
    batch.push(b"in a batch").unwrap();
    batch.push(b"too").unwrap();
    batch.submit().unwrap();
    position = expect_record(&raw, position, b"in a batch");
    position = expect_record(&raw, position, b"too");
    producer.reserve_detached(3).unwrap().write(0, b"no").unwrap();
    position += 16;
    let mut detached = producer.reserve_detached(8).unwrap();
    detached.copy_from_slice(b"detached");
    detached.submit();
    position = expect_record(&raw, position, b"detached");
    let mut lane = producer.lane(100).unwrap();
    lane.push(b"a lane's").unwrap();
    lane.push(b"two").unwrap();
    lane.close();
    position = expect_record(&raw, position, b"a lane's");
    expect_record(&raw, position, b"two");
}

#[test]
fn a_record_that_wraps_stands_in_both_copies_of_the_data() {
    needs_bpf!();
    // Bytes to the end of the ring: a header and 32 bytes of the sample, and a header alone.
    for to_end in [40, 8] {
        let mut ring = Ring::of_a_page();
        let raw = ring.raw();
        let mut producer = ring.producer();
        producer.push(&pattern(0, page() - 8 - to_end)).unwrap();
        assert_eq!(ring.drain().len(), 1);
        let (start, sample) = (raw.producer_pos(), pattern(1, 100));
        producer.push(&sample).unwrap();
        expect_record(&raw, start, &sample);
        // The rest is at the beginning of the first copy, and of the second.
        let (at_the_end, rest) = sample.split_at(to_end - 8);
        assert_eq!(raw.bytes(0, rest.len()), rest);
        assert_eq!(raw.bytes(page(), rest.len()), rest);
        assert_eq!(raw.bytes(page() - at_the_end.len(), at_the_end.len()), at_the_end);
        assert_eq!(ring.drain(), [sample]);
    }
}

#[test]
fn records_walked_by_hand_are_those_that_were_submitted() {
    needs_bpf!();
    let mut ring = Ring::new(1 << 15);
    let raw = ring.raw();
    let mut producer = ring.producer();
    let mut position = 0;
    for lap in 0..20 {
        let mut expected = Vec::new();
        for number in 0..100 {
            let sample = pattern(lap * 100 + number, (lap * 37 + number * 11) % 250);
            let word = u32::try_from(sample.len()).unwrap();
            producer.push(&sample).unwrap();
            expected.push(RawRecord { position, word, pad: 0, sample });
            position += extent(word);
        }
        assert_eq!(raw.records(), expected);
        assert_eq!(ring.drain(), expected.into_iter().map(|record| record.sample).collect::<Vec<_>>());
        assert_eq!((raw.consumer_pos(), raw.producer_pos()), (position, position));
    }
}

#[test]
fn a_producer_touches_nothing_but_its_position_and_its_records() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    let canary = 0xa5a5_a5a5;
    for offset in (0..page()).step_by(4) {
        raw.word(offset).store(canary, std::sync::atomic::Ordering::Relaxed);
    }
    let rest = raw.rest_of_producer_page();
    let mut producer = ring.producer();
    producer.push(b"12345").unwrap();
    producer.reserve(50).unwrap().submit_len(1).unwrap();
    let mut lane = producer.lane(64).unwrap();
    lane.push(b"x").unwrap();
    lane.close();
    let end = usize::try_from(raw.producer_pos()).unwrap();
    assert_eq!(end, 16 + 16 + 72);
    // The padding of the first, and all behind the last.
    assert_eq!(raw.bytes(13, 3), [0xa5; 3]);
    assert!(raw.bytes(end, page() - end).iter().all(|byte| *byte == 0xa5));
    assert_eq!(raw.rest_of_producer_page(), rest, "the rest of the producer page is the kernel's");
    assert_eq!(ring.drain().len(), 3);
}

#[test]
fn every_sample_begins_at_a_multiple_of_eight_in_memory() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let mut places = std::collections::BTreeSet::new();
    for len in 0..400 {
        let sample = producer.reserve(len).unwrap();
        assert_eq!(sample.as_ptr().align_offset(8), 0, "{len} bytes");
        places.insert(sample.as_ptr());
        sample.submit();
        ring.drain();
    }
    assert!(places.len() > 100, "at many places");
}
