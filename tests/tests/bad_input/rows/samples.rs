//! Reserved samples: more written or submitted than was reserved.

use user_ringbuf_linux::{AutoLane, ContiguousMemory, Mapping, Payload, Producer, Shared};

use crate::answer::Answer;
use crate::row::{Row, answers, row};
use crate::tried_ring::TriedRing;

/// Nine bytes are reserved, so that the record has padding which is not the sample's.
const RESERVED: usize = 9;
/// Within the padding, just beyond it, and all that can overflow.
const TOO_LONG: [usize; 7] = [10, 16, 17, 1 << 24, 1 << 31, u32::MAX as usize, usize::MAX];

/// Where a length is submitted, whose bytes are written, and a sample of the kind: written to beyond its end, and submitted
/// with a length that it does not have.
type SampleKind = (&'static str, &'static str, fn(&TriedRing) -> Vec<Answer>, fn(&TriedRing, usize) -> Answer);

const SAMPLES: [SampleKind; 6] = [
    (
        "Sample::submit_len",
        "Payload::{write, fill_range, shorten} of a Sample",
        |tried| beyond_its_end(&mut *producer(tried).reserve(RESERVED).unwrap()),
        |tried, len| Answer::of(producer(tried).reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "BatchSample::submit_len",
        "Payload::{write, fill_range, shorten} of a BatchSample",
        |tried| beyond_its_end(&mut *producer(tried).batch().reserve(RESERVED).unwrap()),
        |tried, len| Answer::of(producer(tried).batch().reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "DetachedSample::submit_len",
        "Payload::{write, fill_range, shorten} of a DetachedSample",
        |tried| beyond_its_end(&mut *producer(tried).reserve_detached(RESERVED).unwrap()),
        |tried, len| Answer::of(producer(tried).reserve_detached(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "LaneSample::submit_len",
        "Payload::{write, fill_range, shorten} of a LaneSample",
        |tried| beyond_its_end(&mut *producer(tried).lane(100).unwrap().reserve(RESERVED).unwrap()),
        |tried, len| Answer::of(producer(tried).lane(100).unwrap().reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "AutoSample::submit_len",
        "Payload::{write, fill_range, shorten} of an AutoSample",
        |tried| beyond_its_end(&mut *AutoLane::new(&shared(tried)).reserve(RESERVED).unwrap()),
        |tried, len| Answer::of(AutoLane::new(&shared(tried)).reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "DetachedSample::submit_len (of a Shared)",
        "Payload::{write, fill_range, shorten} of a Shared's sample",
        |tried| beyond_its_end(&mut *shared(tried).reserve(RESERVED).unwrap()),
        |tried, len| Answer::of(shared(tried).reserve(RESERVED).unwrap().submit_len(len)),
    ),
];

fn producer(tried: &TriedRing) -> Producer<&Mapping> {
    Producer::attach(&tried.mapping).unwrap()
}

fn shared(tried: &TriedRing) -> Shared<&Mapping> {
    producer(tried).into_shared()
}

fn beyond_its_end<M: ContiguousMemory>(payload: &mut Payload<M>) -> Vec<Answer> {
    let mut answers = answers![payload.write(0, &[0xee; 10]), payload.write(9, b"x"), payload.write(1, &[0xee; 9])];
    for beyond in TOO_LONG {
        answers.extend(answers![
            payload.shorten(beyond),
            payload.write(beyond, b""),
            payload.write(beyond, b"x"),
            payload.fill_range(0, beyond, 0xee),
            payload.fill_range(5, beyond, 0xee),
            payload.fill_range(usize::MAX, beyond, 0xee),
        ]);
    }
    answers
}

pub(crate) fn rows() -> Vec<Row> {
    let too_long = "more than reserved: by 1, within the padding, beyond it, up to `usize::MAX`";
    let mut rows = Vec::new();
    for (submit, payload, beyond_its_end, submit_len) in SAMPLES {
        let says = "do not lie within the 9 bytes reserved";
        rows.push(
            row(submit, too_long)
                .is("BeyondSample", says)
                .on_ring(move |tried| TOO_LONG.into_iter().map(|len| submit_len(tried, len)).collect()),
        );
        let value = "beyond its end, by offset, by length, by both, with an overflow";
        rows.push(row(payload, value).is("BeyondSample", says).on_ring(beyond_its_end));
    }
    rows
}
