//! Rings whose positions are wrong: written through a mapping of our own, as a broken or foreign producer would.

use std::cell::Cell;

use user_ringbuf_kit::raw::BUSY;
use user_ringbuf_linux::{MappingView, Producer, Records, Shared};

use super::reservations::{BLOCKING, RESERVE, Reserve};
use crate::answer::Answer;
use crate::row::{Row, answers, row};
use crate::tried_ring::TriedRing;

/// A wrong producer position.
#[derive(Clone, Copy)]
struct Wrong {
    value: &'static str,
    /// From the right one and the ring's size, while the consumer stands at 0.
    position: fn(u64, u64) -> u64,
    says: &'static str,
    corruption: &'static str,
}

const UNALIGNED: (&str, &str) = ("is not a multiple of 8", "Corruption::UnalignedProducer");
const OUT_OF_RANGE: (&str, &str) = ("is not within the ring's", "Corruption::OutOfRange");

fn corrupted() -> [Wrong; 5] {
    let wrong = |value, (says, corruption), position| Wrong { value, position, says, corruption };
    [
        wrong("a producer position that is not a multiple of 8", UNALIGNED, |right, _| right - 4),
        wrong("a producer position of 2^64 - 1", UNALIGNED, |_, _| u64::MAX),
        wrong("a producer position behind the consumer's", OUT_OF_RANGE, |_, _| 0_u64.wrapping_sub(8)),
        wrong("a producer position 8 bytes too far ahead", OUT_OF_RANGE, |_, size| size + 8),
        wrong("a producer position of 2^63", OUT_OF_RANGE, |_, _| 1 << 63),
    ]
}

/// Puts the wrong position there, and says which was right.
fn put(tried: &TriedRing, wrong: Wrong) -> u64 {
    let right = tried.raw.producer_pos();
    tried.raw.set_producer_pos((wrong.position)(right, u64::try_from(tried.raw.size()).unwrap()));
    right
}

/// Tries while the wrong position stands there.
fn with(tried: &TriedRing, wrong: Wrong, attempt: impl FnOnce() -> Vec<Answer>) -> Vec<Answer> {
    let right = put(tried, wrong);
    let answers = attempt();
    tried.raw.set_producer_pos(right);
    answers
}

/// Each of these finds the position wrong, on a ring with room and on a full one.
fn at_work(tried: &TriedRing, wrong: Wrong, reservations: &[(&str, Reserve)]) -> Vec<Answer> {
    let right = Cell::new(0);
    let ways = [false, true].into_iter().flat_map(|full| reservations.iter().map(move |row| (full, row)));
    let answers = ways.map(|(full, (_, reserve))| {
        let prepare = |tried: &TriedRing, push: super::reservations::Push| {
            if full {
                tried.fill(push);
            }
            right.set(put(tried, wrong));
        };
        let answer = reserve(tried, &prepare, 1);
        tried.raw.set_producer_pos(right.get());
        answer
    });
    answers.collect()
}

/// Attaches while behind what is in the ring stands a record of 16 bytes whose header says this.
fn beside_record(tried: &TriedRing, word: u32) -> Vec<Answer> {
    let right = tried.raw.producer_pos();
    let end = tried.raw.write_record(right, 0, &[0; 8]);
    tried.raw.set_header(right, word);
    tried.raw.set_producer_pos(end);
    let answers = answers![Producer::attach(&tried.mapping), Shared::attach(&tried.mapping)];
    tried.raw.set_producer_pos(right);
    answers
}

/// Resumes after the ring was changed. Says which producer position is the right one.
fn resumed(tried: &TriedRing, change: impl FnOnce() -> u64) -> Vec<Answer> {
    let mut producer = Producer::attach(&tried.mapping).unwrap();
    let right = change();
    let exclusive = Answer::of(producer.resume());
    let answers = vec![exclusive, Answer::of(producer.into_shared().resume())];
    tried.raw.set_producer_pos(right);
    answers
}

/// Submits a batch under which the position was moved: one that a reservation has met, and one that none has.
fn in_batch(tried: &TriedRing, wrong: Wrong) -> Vec<Answer> {
    let submitted = [true, false].map(|met| {
        let mut producer = Producer::attach(&tried.mapping).unwrap();
        let mut batch = producer.batch();
        batch.push(b"lost").unwrap();
        let right = put(tried, wrong);
        if met {
            batch.push(b"lost").unwrap_err();
            // Also when the position is right again.
            tried.raw.set_producer_pos(right);
        }
        let answer = Answer::of(batch.submit());
        tried.raw.set_producer_pos(right);
        answer
    });
    submitted.into()
}

pub(crate) fn rows() -> Vec<Row> {
    let attach = "{Producer, Shared}::attach";
    let reserving = "every reservation, with a producer at work";
    let blocking = "every blocking reservation, with a producer at work";
    let mut rows =
        vec![row(attach, "memory that has a producer").is("AttachError::AlreadyAttached", "share it").on_ring(
            |tried| {
                let _first = Producer::attach(&tried.mapping).unwrap();
                answers![Producer::attach(&tried.mapping), Shared::attach(&tried.mapping)]
            },
        )];
    let busy = "is busy: another producer is at work, or died and left the ring to repair";
    rows.extend([
        row(attach, "a ring with a busy record")
            .is("AttachError::Busy", busy)
            .on_ring(|tried| beside_record(tried, BUSY | 5)),
        row(attach, "a ring with a record that reaches beyond the producer position")
            .is("AttachError::Damaged", "the ring is to be repaired")
            .on_ring(|tried| beside_record(tried, 9)),
    ]);
    for wrong in corrupted() {
        let Wrong { value, says, corruption, .. } = wrong;
        rows.push(row(attach, value).is("AttachError::Corrupted", says).on_ring(move |tried| {
            with(tried, wrong, || answers![Producer::attach(&tried.mapping), Shared::attach(&tried.mapping)])
        }));
        rows.push(
            row(reserving, value)
                .is("ReserveError::Corrupted", says)
                .on_ring(move |tried| at_work(tried, wrong, RESERVE)),
        );
        rows.push(
            row(blocking, value)
                .is("BlockingError::Reserve", says)
                .on_ring(move |tried| at_work(tried, wrong, BLOCKING)),
        );
        rows.push(
            row("{Producer, Shared}::resume", value)
                .is("AttachError::Corrupted", says)
                .on_ring(move |tried| resumed(tried, || put(tried, wrong))),
        );
        rows.push(
            row("Batch::submit", value)
                .is("ReserveError::Corrupted", says)
                .on_ring(move |tried| in_batch(tried, wrong)),
        );
        rows.push(row("Records::new", value).is(corruption, says).on_ring(move |tried| {
            with(tried, wrong, || answers![Records::new(MappingView::new(&tried.ring.map).unwrap())])
        }));
    }
    let (value, says) = ("a position that another producer moved", "another producer moved the producer position");
    rows.push(row("{Producer, Shared}::resume", "a ring with a busy record").is("AttachError::Busy", busy).on_ring(
        |tried| {
            resumed(tried, || {
                let right = tried.raw.producer_pos();
                tried.raw.set_producer_pos(tried.raw.write_record(right, BUSY, b"busy"));
                right
            })
        },
    ));
    let foreign = Wrong { value, position: |right, _| right - 8, says, corruption: "" };
    rows.extend([
        row(reserving, value)
            .is("ReserveError::ForeignProducer", says)
            .on_ring(move |tried| at_work(tried, foreign, RESERVE)),
        row(blocking, value).is("BlockingError::Reserve", says).on_ring(move |tried| at_work(tried, foreign, BLOCKING)),
        row("Batch::submit", value)
            .is("ReserveError::ForeignProducer", says)
            .on_ring(move |tried| in_batch(tried, foreign)),
        row("{Producer, Shared}::{used, free}", "a consumer that a foreign producer has led beyond what was submitted")
            .is(OUT_OF_RANGE.1, OUT_OF_RANGE.0)
            .plain(|| {
                let mut tried = TriedRing::new(1);
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = tried.raw.write_record(tried.raw.producer_pos(), 0, b"foreign");
                tried.raw.set_producer_pos(end);
                assert_eq!(tried.ring.drain().len(), 2);
                let mut answers = answers![producer.used(), producer.free()];
                let shared = producer.into_shared();
                answers.extend([Answer::of(shared.used()), Answer::of(shared.free())]);
                answers
            }),
    ]);
    rows
}
