//! Every error says the numbers that it carries, and the limit where there is one.

use std::time::Duration;

use user_ringbuf_core::kernel::{KernelError, MAX_RECORDS_PER_DRAIN};
use user_ringbuf_core::{
    AttachError, BeyondSample, BlockingError, Corruption, Damage, Header, Position, Producer, Record, RecordState,
    ReserveError, RingId, RingSize, Verdict,
};
use user_ringbuf_sim::HeapMemory;

fn at(position: u64) -> Position {
    Position::new(position)
}

#[track_caller]
fn says(error: &dyn core::error::Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "'{word}' is not in '{text}'");
    }
    assert!(error.source().is_none(), "everything stands in '{text}'");
}

#[test]
fn reservations_and_samples() {
    says(&RingSize::new(12).unwrap_err(), &["12 bytes", "power of two", "2147483648"]);
    says(&BeyondSample { at: 3, len: 9, reserved: 8 }, &["9 bytes at 3", "8 bytes"]);
    says(&ReserveError::TooLarge { len: 99, max: 56 }, &["99 bytes", "at most 56"]);
    says(&ReserveError::Full { needed: 40, available: 16 }, &["full", "40 bytes", "16 are free"]);
    says(&ReserveError::BatchFull { needed: 40, left: 16 }, &["batch", "40 bytes", "16 of the ring"]);
    says(&ReserveError::LaneUsedUp { needed: 40, left: 16 }, &["lane", "40 bytes", "16 are left"]);
    says(&ReserveError::EmptyLane, &["lane of 0 bytes", "at least 1"]);
    says(&ReserveError::ForeignProducer { expected: at(8), found: at(32) }, &["from 8 to 32", "resume"]);
    says(
        &ReserveError::Corrupted(Corruption::UnalignedProducer { producer: 9 }),
        &["corrupted", "9 is not a multiple of 8"],
    );
    assert!(ReserveError::Full { needed: 40, available: 16 }.is_full() && !ReserveError::EmptyLane.is_full());
}

#[test]
fn attaching() {
    let record = Record { start: at(48), len: 100, state: RecordState::Busy };
    says(&AttachError::Busy { record }, &["100 bytes at 48", "busy"]);
    says(
        &AttachError::Damaged { damage: Damage::TooLong { start: at(48), len: 1 << 24 } },
        &["48", "16777216", "16777215"],
    );
    says(&AttachError::Corrupted(Corruption::UnalignedConsumer { consumer: 12 }), &["12 is not a multiple of 8"]);
    says(&AttachError::InFlight, &["another thread", "try again"]);

    let memory = HeapMemory::new(64).unwrap();
    let _first = Producer::attach(&memory).unwrap();
    let refused = Producer::try_attach(&memory).unwrap_err();
    says(&refused, &["has a producer already"]);
    assert_eq!(refused.to_string(), AttachError::AlreadyAttached.to_string());
    assert_eq!(refused.error(), AttachError::AlreadyAttached);
    assert_eq!(AttachError::from(refused), AttachError::AlreadyAttached);
    assert!(core::ptr::eq(refused.into_inner(), &memory));
}

#[test]
fn waiting() {
    type Error = BlockingError<Box<dyn core::error::Error>>;
    let producer = RingId::new(7);
    let (long, max) = (Duration::from_secs(1 << 40), Duration::from_secs(5));
    says(&Error::TimedOut { timeout: Duration::from_millis(12) }, &["12ms"]);
    says(&Error::TimeoutTooLong { timeout: long, max }, &["1099511627776s", "5s at most", "None"]);
    says(&Error::OtherRing { waiter: RingId::new(3), producer }, &["the ring 3", "the ring 7"]);
    says(&Error::BeyondRing { bytes: 65, size: 64 }, &["65 bytes", "64"]);
    says(&Error::NotSubmitted { position: at(24), end: at(16) }, &["24", "16"]);
    says(&Error::Cancelled, &["cancelled"]);
    says(&Error::Wait("no more descriptors".into()), &["could not wait: no more descriptors"]);
    says(&Error::from(ReserveError::EmptyLane), &["lane of 0 bytes"]);
    says(&Error::from(Corruption::UnalignedConsumer { consumer: 12 }), &["corrupted", "12"]);
}

#[test]
fn what_a_ring_holds() {
    let beyond = Damage::BeyondProducer { start: at(48), len: 1000, left: 40 };
    let long = Damage::TooLong { start: at(8), len: (1 << 24) + 1 };
    says(&beyond, &["at 48", "1000 bytes", "40 bytes are left"]);
    assert_eq!((beyond.start(), beyond.bytes(), beyond.kernel_error()), (at(48), 40, KernelError::Invalid));
    assert_eq!((long.start(), long.bytes(), long.kernel_error()), (at(8), (1 << 24) + 16, KernelError::TooBig));

    let record = Record { start: at(48), len: 3, state: RecordState::Busy };
    assert_eq!((record.extent(), record.end()), (16, at(64)));
    let misplaced = |corruption| Verdict::Misplaced { corruption };
    let unaligned = misplaced(Corruption::UnalignedProducer { producer: 9 });
    let apart = misplaced(Corruption::OutOfRange { consumer: 0, producer: 200, size: 64 });
    for (verdict, words, error) in [
        (Verdict::Empty, "empty", None),
        (Verdict::Flowing, "flowing", None),
        (Verdict::Held { record }, "busy record at 48", None),
        (Verdict::Jammed { damage: beyond }, "-EINVAL", Some(KernelError::Invalid)),
        (Verdict::Jammed { damage: long }, "-E2BIG", Some(KernelError::TooBig)),
        (unaligned, "9 is not a multiple of 8", Some(KernelError::Invalid)),
        (apart, "64 bytes", None),
    ] {
        assert!(verdict.to_string().contains(words), "{verdict}");
        assert_eq!(verdict.kernel_error(), error, "{verdict}");
    }
}

#[test]
fn kernel_errors_and_headers() {
    for (error, errno, name) in
        [(KernelError::Busy, 16, "EBUSY"), (KernelError::Invalid, 22, "EINVAL"), (KernelError::TooBig, 7, "E2BIG")]
    {
        assert_eq!((error.errno(), error.name()), (errno, name));
        says(&error, &[&format!("-{name}")]);
    }
    assert_eq!(MAX_RECORDS_PER_DRAIN, 131_072);
    assert_eq!(format!("{:?}", Header::busy(12)), "Header(Busy, len 12)");
}
