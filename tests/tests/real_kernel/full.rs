//! Rings that wrap, fill up, and have room again.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::ReserveError;
use user_ringbuf_tests::ring::{Ring, page};

#[test]
fn records_that_wrap_arrive_whole_at_every_place_of_the_rings_end() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    // The record of 1001 bytes takes 1016: its beginning moves by 1016 modulo the ring, so that in the end it has
    // wrapped after each multiple of 8 of its bytes, in the middle of its header's record included.
    let rounds = page() / 8;
    for round in 0..rounds {
        let sample = pattern(round, 1001);
        producer.push(&sample).unwrap();
        assert_eq!(ring.drain(), [sample], "round {round}");
    }
    assert!(producer.position().get() > 100 * u64::try_from(page()).unwrap());
}

#[test]
fn a_header_in_the_last_eight_bytes_has_its_sample_at_the_beginning() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    producer.push(&pattern(0, page() - 16)).unwrap();
    ring.drain();
    assert_eq!(producer.position().offset(producer.ring_size()), u32::try_from(page() - 8).unwrap());
    let mut sample = producer.reserve(100).unwrap();
    sample.copy_from_slice(&pattern(1, 100));
    sample.submit();
    assert_eq!(ring.raw().bytes(0, 100), pattern(1, 100));
    assert_eq!(ring.drain(), [pattern(1, 100)]);
}

#[test]
fn a_full_ring_refuses_and_has_room_again_after_a_drain() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    for lap in 0..5 {
        let mut sent = Vec::new();
        let refused = loop {
            let sample = pattern(lap + sent.len(), 50);
            match producer.push(&sample) {
                Ok(_) => sent.push(sample),
                Err(refused) => break refused,
            }
        };
        // 64 bytes a record.
        assert_eq!(sent.len(), page() / 64);
        assert_eq!(refused, ReserveError::Full { needed: 64, available: 0 });
        assert!(refused.is_full());
        assert_eq!(producer.push(b""), Err(ReserveError::Full { needed: 8, available: 0 }), "not even an empty one");
        assert_eq!(ring.drain_some(1), [sent.remove(0)]);
        let again = pattern(99, 50);
        producer.push(&again).unwrap();
        assert_eq!(producer.push(b""), Err(ReserveError::Full { needed: 8, available: 0 }));
        sent.push(again);
        assert_eq!(ring.drain(), sent);
    }
}

#[test]
fn a_full_ring_takes_what_fits_and_names_what_is_free() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    producer.push(&pattern(0, page() - 8 - 40)).unwrap();
    let free = u32::try_from(40).unwrap();
    assert_eq!(producer.push(&pattern(1, 33)), Err(ReserveError::Full { needed: 48, available: free }));
    producer.push(&pattern(2, 32)).unwrap();
    assert_eq!(ring.drain(), [pattern(0, page() - 48), pattern(2, 32)]);
}

#[test]
fn one_record_as_large_as_the_ring_arrives_from_every_start() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    assert_eq!(producer.max_sample_len(), page() - 8);
    for round in 0..40 {
        // Moves the start by 8 to 40 bytes.
        producer.push(&pattern(round, round % 33)).unwrap();
        assert_eq!(ring.drain().len(), 1);
        let sample = pattern(round, page() - 8);
        producer.push(&sample).unwrap();
        assert_eq!(producer.free(), Ok(0));
        assert_eq!(ring.drain(), [sample]);
    }
}

#[test]
fn a_million_samples_pass_a_small_ring_in_order() {
    needs_bpf!();
    let mut ring = Ring::with_log(1, 64 * 1024);
    let mut producer = ring.producer();
    let count = 1_000_000_u32;
    let (mut sent, mut seen) = (0_u32, 0_u32);
    while seen < count {
        while sent < count && producer.push(&sent.to_ne_bytes()).is_ok() {
            sent += 1;
        }
        for sample in ring.drain() {
            assert_eq!(sample, seen.to_ne_bytes());
            seen += 1;
        }
    }
    assert_eq!((sent, seen), (count, count));
}
