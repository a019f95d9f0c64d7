//! Another producer on the same ring, as libbpf is one: it reads `producer_pos`, writes its record and publishes it.
//! Ours must notice before it writes a byte, and can go on from there.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_kit::raw::{BUSY, RawRing};
use user_ringbuf_linux::{AttachError, Position, Producer, ReserveError, Shared};
use user_ringbuf_tests::ring::{Ring, page};

use crate::page_ring;

/// Publishes a record behind what is in the ring, by the stores that libbpf makes.
fn foreign(raw: &RawRing, sample: &[u8]) -> Position {
    let end = raw.write_record(raw.producer_pos(), 0, sample);
    raw.set_producer_pos(end);
    Position::new(end)
}

/// All bytes of the ring and its position.
fn everything(raw: &RawRing) -> (u64, Vec<u8>) {
    (raw.producer_pos(), raw.bytes(0, raw.size()))
}

const THEIRS: &[u8] = b"from another process";

/// Lets another producer come between, and sees that each of `reservations` notices, which all have room in an empty ring.
/// Returns what its position is.
fn is_noticed<const N: usize>(
    ring: &mut Ring,
    expected: Position,
    reservations: impl FnOnce() -> [Option<ReserveError>; N],
) -> Position {
    let raw = ring.raw();
    let found = foreign(&raw, THEIRS);
    // Also when the kernel has taken it, so that nothing is in the ring.
    assert_eq!(ring.drain(), [b"ours", THEIRS]);
    let before = everything(&raw);
    assert_eq!(reservations(), [Some(ReserveError::ForeignProducer { expected, found }); N]);
    assert_eq!(everything(&raw), before, "nothing was written");
    found
}

#[test]
fn a_producer_that_came_between_is_noticed_by_every_reservation_before_a_byte_is_written() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let expected = producer.push(b"ours").unwrap();
    let found = is_noticed(&mut ring, expected, || {
        [
            producer.reserve(40).err(),
            producer.push(&[1; 40]).err(),
            producer.batch().reserve(40).err(),
            producer.batch().push(&[1; 40]).err(),
            producer.reserve_detached(40).err(),
            producer.lane(40).err(),
        ]
    });
    assert_eq!(producer.resume(), Ok(found));

    let shared = producer.into_shared();
    let expected = shared.push(b"ours").unwrap();
    let found = is_noticed(&mut ring, expected, || {
        [
            shared.reserve(40).err(),
            shared.push(&[1; 40]).err(),
            shared.reserve_owned(40).err(),
            shared.lane(40).err(),
            shared.lane_owned(40).err(),
        ]
    });
    assert_eq!((shared.resume(), shared.position()), (Ok(found), found));
    shared.push(b"ours again").unwrap();
    foreign(&ring.raw(), THEIRS);
    assert_eq!(ring.drain(), [b"ours again", THEIRS], "the ring flows");
}

#[test]
fn two_that_take_turns_lose_nothing_over_many_laps() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    for turn in (0..).take_while(|_| raw.producer_pos() < 25 * page() as u64) {
        let (theirs, ours) = (pattern(turn, turn % 300), pattern(turn + 1, turn % 500));
        foreign(&raw, &theirs);
        assert!(matches!(producer.push(&ours), Err(ReserveError::ForeignProducer { .. })));
        producer.resume().unwrap();
        producer.push(&ours).unwrap();
        assert_eq!(ring.drain(), [theirs, ours]);
    }
}

#[test]
fn samples_that_are_still_open_hold_resuming_up_and_come_to_no_harm() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    let mut open = producer.reserve_detached(4).unwrap();
    let mut lane = producer.lane(100).unwrap();
    foreign(&raw, THEIRS);
    assert!(matches!(producer.resume(), Err(AttachError::Busy { record }) if record.start.get() == 0));
    open.copy_from_slice(b"open");
    open.submit();
    lane.push(b"lane").unwrap();
    assert!(matches!(producer.resume(), Err(AttachError::Busy { record }) if record.start.get() == 32));
    lane.close();
    producer.resume().unwrap();
    producer.push(b"ours").unwrap();
    assert_eq!(ring.drain(), [b"open", &b"lane"[..], THEIRS, b"ours"]);
}

#[test]
fn nothing_is_resumed_on_a_ring_that_another_producer_left_busy_or_damaged() {
    needs_bpf!();
    let (ring, mut producer) = page_ring();
    let raw = ring.raw();
    let end = raw.write_record(0, BUSY, b"unfinished");
    raw.set_producer_pos(end);
    assert!(matches!(producer.resume(), Err(AttachError::Busy { .. })));
    raw.set_header(0, 1000);
    assert!(matches!(producer.resume(), Err(AttachError::Damaged { .. })));
    raw.set_producer_pos(end + 4);
    assert!(matches!(producer.resume(), Err(AttachError::Corrupted(_))));
    assert_eq!(producer.position().get(), 0, "it stays where it was");
}

#[test]
fn memory_comes_back_from_a_failed_attempt_and_serves_the_next() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    raw.set_producer_pos(raw.write_record(0, BUSY, b"unfinished"));
    let failed = Producer::try_attach(ring.mapping()).unwrap_err();
    assert!(matches!(failed.error(), AttachError::Busy { .. }));
    let failed = Shared::try_attach(failed.into_inner()).unwrap_err();
    let mapping = failed.into_inner();
    let first = {
        raw.set_header(0, 10);
        Producer::attach(&mapping).unwrap()
    };
    let failed = Producer::try_attach(&mapping).unwrap_err();
    assert_eq!((failed.error(), failed.to_string()), (AttachError::AlreadyAttached, failed.error().to_string()));
    drop(first);
    Producer::attach(failed.into_inner()).unwrap().push(b"next").unwrap();
    assert_eq!(ring.drain(), [&b"unfinished"[..], b"next"]);
}
