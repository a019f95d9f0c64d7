//! Waiting: timeouts, positions, waiters.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use user_ringbuf_linux::{EpollWaiter, MAX_TIMEOUT, Map, Mapping, Position, Producer, Spin, Wait, Yield};

use super::reservations::NO_WAIT;
use crate::answer::Answer;
use crate::row::{Row, answers, row};
use crate::tried_ring::TriedRing;

/// Every operation that waits, of both kinds of producer, on a ring that is full or has room.
fn every_wait<W: Wait>(tried: &TriedRing, full: bool, waiter: &mut W, timeout: Option<Duration>) -> Vec<Answer>
where
    W::Error: std::error::Error,
{
    let mut producer = Producer::attach(&tried.mapping).unwrap();
    if full {
        tried.fill(|bytes| producer.push(bytes).map(drop));
    }
    let end = producer.position();
    let mut answers = answers![
        producer.reserve_blocking(1, waiter, timeout),
        producer.push_blocking(&[1], waiter, timeout),
        producer.wait_consumed(end, waiter, timeout),
        producer.wait_room(1, waiter, timeout),
    ];
    let shared = producer.into_shared();
    answers.extend(answers![
        shared.reserve_blocking(1, waiter, timeout),
        shared.push_blocking(&[1], waiter, timeout),
        shared.wait_consumed(end, waiter, timeout),
        shared.wait_room(1, waiter, timeout),
    ]);
    answers
}

/// Waiting in vain until these positions are consumed, with both kinds of producer.
fn consumed<const N: usize>(producer: Producer<&Mapping>, positions: [Position; N]) -> Vec<Answer> {
    let exclusive = positions.map(|to| Answer::of(producer.wait_consumed(to, &mut Spin::new(), NO_WAIT)));
    let shared = producer.into_shared();
    let shared = positions.map(|to| Answer::of(shared.wait_consumed(to, &mut Spin::new(), NO_WAIT)));
    exclusive.into_iter().chain(shared).collect()
}

pub(crate) fn rows() -> Vec<Row> {
    let all = "{Producer, Shared}::{reserve_blocking, push_blocking, wait_consumed, wait_room}";
    vec![
        row(all, "a timeout of 136 years and 1 ns")
            .is("BlockingError::TimeoutTooLong", "4294967295s at most")
            .on_ring(|tried| every_wait(tried, false, &mut Spin::new(), Some(MAX_TIMEOUT + Duration::from_nanos(1)))),
        row(all, "the longest `Duration`")
            .is("BlockingError::TimeoutTooLong", "pass `None` to wait forever")
            .on_ring(|tried| every_wait(tried, false, &mut Spin::new(), Some(Duration::MAX))),
        row("{Producer, Shared}::wait_consumed", "positions ahead, by 1 and by 2^63 - 1")
            .is("BlockingError::NotSubmitted", "was not submitted yet")
            .on_ring(|tried| {
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = producer.position();
                consumed(producer, [end.advance(1), end.advance((1 << 63) - 1)])
            }),
        row("{Producer, Shared}::wait_consumed", "no time for what is not drained")
            .is("BlockingError::TimedOut", "not drained enough within 0ns")
            .on_ring(|tried| {
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = producer.position();
                consumed(producer, [end])
            }),
        row(all, "a waiter that was cancelled").is("BlockingError::Cancelled", "was cancelled").on_ring(|tried| {
            let flag = AtomicBool::new(true);
            let mut waiter = EpollWaiter::new(&tried.ring.map).unwrap();
            waiter.canceller().unwrap().cancel().unwrap();
            [
                every_wait(tried, true, &mut waiter, None),
                every_wait(tried, true, &mut Spin::until_cancelled(&flag), None),
                every_wait(tried, true, &mut Yield::until_cancelled(&flag), None),
            ]
            .concat()
        }),
        row("{Producer, Shared}::wait_consumed", "a consumer that a foreign producer has led astray")
            .is("BlockingError::Reserve", "the ring is corrupted")
            .on_ring(|_| {
                let mut tried = TriedRing::new(1);
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = tried.raw.write_record(tried.raw.producer_pos(), 0, b"foreign");
                tried.raw.set_producer_pos(end);
                assert_eq!(tried.ring.drain().len(), 2);
                let end = producer.position();
                consumed(producer, [end])
            }),
        row(all, "a waiter for another map")
            .is("BlockingError::OtherRing", "make a waiter from the producer's own map")
            .on_ring(|tried| {
                let other = Map::create("other", 1).unwrap();
                every_wait(tried, false, &mut EpollWaiter::new(&other).unwrap(), None)
            }),
        row("{Producer, Shared}::wait_room", "one byte more than the ring has, `usize::MAX`")
            .is("BlockingError::BeyondRing", "the ring has")
            .on_ring(|tried| {
                let more = tried.ring.map.size() as usize + 1;
                let producer = Producer::attach(&tried.mapping).unwrap();
                let mut answers = answers![
                    producer.wait_room(more, &mut Spin::new(), NO_WAIT),
                    producer.wait_room(usize::MAX, &mut Spin::new(), NO_WAIT),
                ];
                let shared = producer.into_shared();
                answers.extend(answers![
                    shared.wait_room(more, &mut Spin::new(), NO_WAIT),
                    shared.wait_room(usize::MAX, &mut Spin::new(), NO_WAIT),
                ]);
                answers
            }),
    ]
}
