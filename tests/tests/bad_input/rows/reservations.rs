//! Every way to reserve, with every length that can't be and on every ring that won't.

use std::time::Duration;

use user_ringbuf_linux::{AutoLane, Mapping, Producer, ReserveError, Shared, Spin};

use crate::answer::Answer;
use crate::row::{Row, answers, row};
use crate::tried_ring::TriedRing;

/// Sends a sample through the producer that is tried.
pub(crate) type Push<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), ReserveError>;

/// What happens to the ring between attaching and reserving.
pub(crate) type Prepare<'a> = &'a dyn Fn(&TriedRing, Push);

/// Attaches, prepares, and tries to reserve so many bytes.
pub(crate) type Reserve = fn(&TriedRing, Prepare, usize) -> Answer;

/// Not at all.
pub(crate) const NO_WAIT: Option<Duration> = Some(Duration::ZERO);

fn exclusive<'k>(tried: &'k TriedRing, prepare: Prepare) -> Producer<&'k Mapping> {
    let mut producer = Producer::attach(&tried.mapping).unwrap();
    prepare(tried, &mut |bytes| producer.push(bytes).map(drop));
    producer
}

fn shared<'k>(tried: &'k TriedRing, prepare: Prepare) -> Shared<&'k Mapping> {
    let shared = Shared::attach(&tried.mapping).unwrap();
    prepare(tried, &mut |bytes| shared.push(bytes).map(drop));
    shared
}

/// So many bytes to push, as far as there are so many.
fn bytes(len: usize) -> Vec<u8> {
    vec![0xf1; len.min(1 << 25)]
}

/// Those that take room in the ring.
pub(crate) const RESERVE: &[(&str, Reserve)] = &[
    ("Producer::reserve", |tried, prepare, len| Answer::of(exclusive(tried, prepare).reserve(len))),
    ("Producer::push", |tried, prepare, len| Answer::of(exclusive(tried, prepare).push(&bytes(len)))),
    ("Producer::reserve_detached", |tried, prepare, len| Answer::of(exclusive(tried, prepare).reserve_detached(len))),
    ("Producer::lane", |tried, prepare, len| Answer::of(exclusive(tried, prepare).lane(len))),
    ("Batch::reserve", |tried, prepare, len| Answer::of(exclusive(tried, prepare).batch().reserve(len))),
    ("Batch::push", |tried, prepare, len| Answer::of(exclusive(tried, prepare).batch().push(&bytes(len)))),
    ("Shared::reserve", |tried, prepare, len| Answer::of(shared(tried, prepare).reserve(len))),
    ("Shared::reserve_owned", |tried, prepare, len| Answer::of(shared(tried, prepare).reserve_owned(len))),
    ("Shared::push", |tried, prepare, len| Answer::of(shared(tried, prepare).push(&bytes(len)))),
    ("Shared::lane", |tried, prepare, len| Answer::of(shared(tried, prepare).lane(len))),
    ("Shared::lane_owned", |tried, prepare, len| Answer::of(shared(tried, prepare).lane_owned(len))),
    ("AutoLane::reserve", |tried, prepare, len| Answer::of(AutoLane::new(&shared(tried, prepare)).reserve(len))),
    ("AutoLane::push", |tried, prepare, len| Answer::of(AutoLane::new(&shared(tried, prepare)).push(&bytes(len)))),
];

/// Those that wait.
pub(crate) const BLOCKING: &[(&str, Reserve)] = &[
    ("Producer::reserve_blocking", |tried, prepare, len| {
        Answer::of(exclusive(tried, prepare).reserve_blocking(len, &mut Spin::new(), NO_WAIT))
    }),
    ("Producer::push_blocking", |tried, prepare, len| {
        Answer::of(exclusive(tried, prepare).push_blocking(&bytes(len), &mut Spin::new(), NO_WAIT))
    }),
    ("Shared::push_blocking", |tried, prepare, len| {
        Answer::of(shared(tried, prepare).push_blocking(&bytes(len), &mut Spin::new(), NO_WAIT))
    }),
    ("Shared::reserve_blocking", |tried, prepare, len| {
        Answer::of(shared(tried, prepare).reserve_blocking(len, &mut Spin::new(), NO_WAIT))
    }),
    ("AutoLane::push_blocking", |tried, prepare, len| {
        Answer::of(AutoLane::new(&shared(tried, prepare)).push_blocking(&bytes(len), &mut Spin::new(), NO_WAIT))
    }),
    ("AutoLane::reserve_blocking", |tried, prepare, len| {
        Answer::of(AutoLane::new(&shared(tried, prepare)).reserve_blocking(len, &mut Spin::new(), NO_WAIT))
    }),
];

/// Those within a lane.
const IN_LANE: &[(&str, Reserve)] = &[
    ("Lane::reserve", |tried, prepare, len| Answer::of(exclusive(tried, prepare).lane(100).unwrap().reserve(len))),
    ("Lane::push", |tried, prepare, len| Answer::of(exclusive(tried, prepare).lane(100).unwrap().push(&bytes(len)))),
];

fn nothing(_: &TriedRing, _: Push) {}

fn full(tried: &TriedRing, push: Push) {
    tried.fill(push);
}

pub(crate) fn rows() -> Vec<Row> {
    let too_long = "max + 1, 2^24, 2^30, 2^31, 2^32 - 1, `usize::MAX` bytes";
    let mut rows = Vec::new();
    let all = RESERVE.iter().chain(IN_LANE).map(|reserve| (reserve, "ReserveError::TooLarge"));
    for (&(entry, reserve), error) in all.chain(BLOCKING.iter().map(|reserve| (reserve, "BlockingError::Reserve"))) {
        let attempt = move |tried: &TriedRing| {
            let max = Producer::attach(&tried.mapping).unwrap().max_sample_len();
            let lengths = [max + 1, 1 << 24, 1 << 30, 1 << 31, u32::MAX as usize, usize::MAX];
            // A push of more than there is memory for is one of 32 MiB here.
            lengths.into_iter().map(|len| reserve(tried, &nothing, len)).collect()
        };
        // In the larger the kernel's own limit counts, in the smaller the ring's.
        rows.push(row(entry, too_long).is(error, "this ring takes at most").on_rings(&[1, 32 << 20], attempt));
    }
    for &(entry, reserve) in RESERVE {
        rows.push(
            row(entry, "1 byte, the ring is full")
                .is("ReserveError::Full", "needs 16 bytes, 0 are free")
                .on_ring(move |tried| vec![reserve(tried, &full, 1)]),
        );
    }
    for &(entry, reserve) in BLOCKING {
        let value = "1 byte and no time, the ring is full";
        rows.push(
            row(entry, value)
                .is("BlockingError::TimedOut", "within 0ns")
                .on_ring(move |tried| vec![reserve(tried, &full, 1)]),
        );
    }
    rows.extend([
        row("Lane::{reserve, push}", "105 bytes in a lane of 100")
            .is("ReserveError::LaneUsedUp", "112 are left")
            .on_ring(|tried| IN_LANE.iter().map(|(_, reserve)| reserve(tried, &nothing, 105)).collect()),
        row("Producer::lane", "0 bytes")
            .is("ReserveError::EmptyLane", "at least 1")
            .on_ring(|tried| answers![exclusive(tried, &nothing).lane(0)]),
        row("Shared::{lane, lane_owned}", "0 bytes").is("ReserveError::EmptyLane", "at least 1").on_ring(|tried| {
            let shared = shared(tried, &nothing);
            answers![shared.lane(0), shared.lane_owned(0)]
        }),
        row("Batch::{reserve, push}", "a record that no ring has room for beside the batch")
            .is("ReserveError::BatchFull", "the batch leaves")
            .on_ring(|tried| {
                let mut producer = exclusive(tried, &nothing);
                let max = producer.max_sample_len();
                let mut batch = producer.batch();
                batch.push(b"first").unwrap();
                answers![batch.reserve(max), batch.push(&bytes(max))]
            }),
    ]);
    rows
}
