//! Rings that wrap, fill up, and have room again.

use std::cell::RefCell;

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{Position, ReserveError};
use user_ringbuf_tests::ring::{Ring, page};

use crate::page_ring;

#[test]
fn records_that_wrap_arrive_whole_at_every_place_of_the_rings_end() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
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

/// Fills the ring, which then refuses even an empty sample, and has room for as much again as was drained.
fn is_filled_and_drained(ring: &mut Ring, push: impl Fn(&[u8]) -> Result<Position, ReserveError>) {
    let (none, size) = (ReserveError::Full { needed: 8, available: 0 }, u32::try_from(page()).unwrap());
    for lap in 0..5 {
        // 64 bytes per record.
        let mut sent: Vec<_> = (0..page() / 64).map(|number| pattern(lap + number, 50)).collect();
        sent.iter().for_each(|sample| _ = push(sample).unwrap());
        assert_eq!(push(&sent[0]), Err(ReserveError::Full { needed: 64, available: 0 }));
        assert_eq!(push(b""), Err(none), "not even an empty one");
        assert_eq!(push(&pattern(1, page() - 8)), Err(ReserveError::Full { needed: size, available: 0 }));
        assert!(none.is_full());
        assert_eq!(ring.drain_some(1), [sent.remove(0)]);
        sent.push(pattern(99, 50));
        push(&pattern(99, 50)).unwrap();
        assert_eq!(push(b""), Err(none));
        assert_eq!(ring.drain(), sent);
    }
}

#[test]
fn a_full_ring_refuses_and_has_room_again_after_a_drain() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let producer = RefCell::new(ring.producer());
    is_filled_and_drained(&mut ring, |sample| producer.borrow_mut().push(sample));
    let shared = producer.into_inner().into_shared();
    is_filled_and_drained(&mut ring, |sample| shared.push(sample));
}

#[test]
fn a_full_ring_takes_what_fits_and_names_what_is_free() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    producer.push(&pattern(0, page() - 8 - 40)).unwrap();
    let free = u32::try_from(40).unwrap();
    assert_eq!(producer.push(&pattern(1, 33)), Err(ReserveError::Full { needed: 48, available: free }));
    producer.push(&pattern(2, 32)).unwrap();
    assert_eq!(ring.drain(), [pattern(0, page() - 48), pattern(2, 32)]);
}

#[test]
fn one_record_as_large_as_the_ring_arrives_from_every_start() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
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
