//! Reserved samples: more written or submitted than was reserved.

use user_ringbuf_linux::{AutoLane, ContiguousMemory, Mapping, Payload, Producer, Shared};

use crate::answer::Answer;
use crate::row::{Row, on_ring};
use crate::tried_ring::TriedRing;

/// Nine bytes are reserved, so that the record has padding which is not the sample's.
const RESERVED: usize = 9;
/// Within the padding, just beyond it, and all that can overflow.
const TOO_LONG: [usize; 7] = [10, 16, 17, 1 << 24, 1 << 31, u32::MAX as usize, usize::MAX];

/// What is tried on a reserved sample's bytes.
type Within = fn(&mut dyn Bytes) -> Vec<Answer>;

/// A payload over whatever memory.
trait Bytes {
    fn write(&mut self, at: usize, bytes: &[u8]) -> Answer;
    fn fill_range(&mut self, at: usize, len: usize) -> Answer;
    fn shorten(&mut self, len: usize) -> Answer;
}

/// A payload has no size: it is only ever borrowed from its sample.
struct Borrowed<'p, M: ContiguousMemory>(&'p mut Payload<M>);

impl<M: ContiguousMemory> Bytes for Borrowed<'_, M> {
    fn write(&mut self, at: usize, bytes: &[u8]) -> Answer {
        Answer::of(self.0.write(at, bytes))
    }

    fn fill_range(&mut self, at: usize, len: usize) -> Answer {
        Answer::of(self.0.fill_range(at, len, 0xee))
    }

    fn shorten(&mut self, len: usize) -> Answer {
        Answer::of(self.0.shorten(len))
    }
}

/// A sample of each kind, handed to `within` and then dropped, or submitted with a length that it does not have.
type SampleKind = (&'static str, fn(&TriedRing, Within) -> Vec<Answer>, fn(&TriedRing, usize) -> Answer);

const SAMPLES: [SampleKind; 6] = [
    (
        "Sample",
        |tried, within| within(&mut Borrowed(&mut *producer(tried).reserve(RESERVED).unwrap())),
        |tried, len| Answer::of(producer(tried).reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "BatchSample",
        |tried, within| within(&mut Borrowed(&mut *producer(tried).batch().reserve(RESERVED).unwrap())),
        |tried, len| Answer::of(producer(tried).batch().reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "DetachedSample",
        |tried, within| within(&mut Borrowed(&mut *producer(tried).reserve_detached(RESERVED).unwrap())),
        |tried, len| Answer::of(producer(tried).reserve_detached(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "LaneSample",
        |tried, within| within(&mut Borrowed(&mut *producer(tried).lane(100).unwrap().reserve(RESERVED).unwrap())),
        |tried, len| Answer::of(producer(tried).lane(100).unwrap().reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "AutoSample",
        |tried, within| within(&mut Borrowed(&mut *AutoLane::new(&shared(tried)).reserve(RESERVED).unwrap())),
        |tried, len| Answer::of(AutoLane::new(&shared(tried)).reserve(RESERVED).unwrap().submit_len(len)),
    ),
    (
        "DetachedSample (of a Shared)",
        |tried, within| within(&mut Borrowed(&mut *shared(tried).reserve(RESERVED).unwrap())),
        |tried, len| Answer::of(shared(tried).reserve(RESERVED).unwrap().submit_len(len)),
    ),
];

fn producer(tried: &TriedRing) -> Producer<&Mapping> {
    Producer::attach(&tried.mapping).unwrap()
}

fn shared(tried: &TriedRing) -> Shared<&Mapping> {
    producer(tried).into_shared()
}

pub(crate) fn rows() -> Vec<Row> {
    let too_long = "more than reserved: by 1, within the padding, beyond it, up to `usize::MAX`";
    let mut rows = Vec::new();
    for (name, within, submit_len) in SAMPLES {
        let submit = match name {
            "Sample" => "Sample::submit_len",
            "BatchSample" => "BatchSample::submit_len",
            "LaneSample" => "LaneSample::submit_len",
            "AutoSample" => "AutoSample::submit_len",
            "DetachedSample" => "DetachedSample::submit_len",
            _ => "DetachedSample::submit_len (of a Shared)",
        };
        let says = "do not lie within the 9 bytes reserved";
        rows.push(on_ring(submit, too_long, "BeyondSample", says, move |tried| {
            TOO_LONG.into_iter().map(|len| submit_len(tried, len)).collect()
        }));
        let payload = match name {
            "Sample" => "Payload::{write, fill_range, shorten} of a Sample",
            "BatchSample" => "Payload::{write, fill_range, shorten} of a BatchSample",
            "LaneSample" => "Payload::{write, fill_range, shorten} of a LaneSample",
            "AutoSample" => "Payload::{write, fill_range, shorten} of an AutoSample",
            "DetachedSample" => "Payload::{write, fill_range, shorten} of a DetachedSample",
            _ => "Payload::{write, fill_range, shorten} of a Shared's sample",
        };
        let value = "beyond its end, by offset, by length, by both, with an overflow";
        rows.push(on_ring(payload, value, "BeyondSample", says, move |tried| {
            within(tried, |bytes| {
                let mut answers: Vec<_> = TOO_LONG.into_iter().map(|len| bytes.shorten(len)).collect();
                answers.extend(TOO_LONG.into_iter().map(|at| bytes.write(at, b"")));
                answers.extend(TOO_LONG.into_iter().map(|at| bytes.write(at, b"x")));
                answers.extend(TOO_LONG.into_iter().map(|len| bytes.fill_range(0, len)));
                answers.extend(TOO_LONG.into_iter().map(|len| bytes.fill_range(5, len)));
                answers.extend(TOO_LONG.into_iter().map(|len| bytes.fill_range(usize::MAX, len)));
                answers.extend([bytes.write(0, &[0xee; 10]), bytes.write(9, b"x"), bytes.write(1, &[0xee; 9])]);
                answers
            })
        }));
    }
    rows
}
