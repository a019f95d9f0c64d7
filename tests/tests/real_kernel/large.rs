//! The kernel's own limit on samples: 2^24 - 1 bytes, in a ring that has room for more.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{MAX_SAMPLE_LEN, ReserveError};
use user_ringbuf_tests::ring::Ring;

const RING: u64 = 32 << 20;
const LONGEST: usize = (1 << 24) - 1;

#[test]
fn a_sample_of_the_longest_length_arrives_and_one_byte_more_is_refused() {
    needs_bpf!();
    let mut ring = Ring::with_log(RING, 2 * LONGEST);
    let mut producer = ring.producer();
    assert_eq!(producer.max_sample_len(), LONGEST);
    let refused = Err(ReserveError::TooLarge { len: LONGEST + 1, max: MAX_SAMPLE_LEN });
    assert_eq!(producer.reserve(LONGEST + 1).map(drop), refused);
    assert_eq!(producer.batch().reserve(LONGEST + 1).map(drop), refused);
    assert_eq!(producer.reserve_detached(LONGEST + 1).map(drop), refused);
    assert_eq!(producer.lane(LONGEST + 1).map(drop), refused);
    let mut sample = pattern(1, LONGEST);
    // Three of them, so that one wraps.
    for round in 0..3 {
        sample[0] = round;
        producer.push(&sample).unwrap();
        producer.push(b"behind").unwrap();
        let seen = ring.drain();
        assert!(seen.len() == 2 && seen[0] == sample && seen[1] == b"behind", "round {round}");
    }
}

#[test]
fn the_longest_sample_goes_through_every_kind_of_reservation() {
    needs_bpf!();
    let mut ring = Ring::with_log(RING, 2 * LONGEST);
    let mut producer = ring.producer();
    let sample = pattern(2, LONGEST);

    let mut detached = producer.reserve_detached(LONGEST).unwrap();
    detached.write(0, &sample).unwrap();
    detached.submit();
    assert!(ring.drain() == [&sample[..]]);

    let mut batch = producer.batch();
    batch.push(&sample).unwrap();
    batch.submit().unwrap();
    assert!(ring.drain() == [&sample[..]]);

    let mut lane = producer.lane(LONGEST).unwrap();
    lane.push(&sample).unwrap();
    lane.close();
    assert!(ring.drain() == [&sample[..]]);

    let shared = producer.into_shared();
    shared.push(&sample).unwrap();
    assert!(ring.drain() == [&sample[..]]);
}

#[test]
fn the_longest_record_is_discarded_and_shortened_without_jamming_the_ring() {
    needs_bpf!();
    let mut ring = Ring::with_log(RING, 4096);
    let mut producer = ring.producer();
    producer.reserve_detached(LONGEST).unwrap().discard();
    producer.push(b"behind a discarded one").unwrap();
    assert_eq!(ring.drain(), [b"behind a discarded one"]);
    // The filler behind an empty sample is the longest there is.
    producer.reserve_detached(LONGEST).unwrap().submit_len(0).unwrap();
    producer.push(b"behind a filler").unwrap();
    assert_eq!(ring.drain(), [&b""[..], b"behind a filler"]);
    let mut lane = producer.lane(LONGEST).unwrap();
    lane.push(b"in a lane").unwrap();
    drop(lane);
    producer.push(b"behind a lane").unwrap();
    assert_eq!(ring.drain(), [&b"in a lane"[..], b"behind a lane"]);
}
