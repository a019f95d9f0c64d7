//! Waiting: timeouts, positions, waiters.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use user_ringbuf_linux::{BlockingError, EpollWaiter, MAX_TIMEOUT, Map, Producer, Shared, Spin, Yield};

use super::reservations::NO_WAIT;
use crate::answer::Answer;
use crate::row::{Row, on_ring};
use crate::tried_ring::TriedRing;

/// Every operation that waits, of both kinds of producer, with a timeout.
fn every_wait(tried: &TriedRing, timeout: Duration) -> Vec<Answer> {
    let timeout = Some(timeout);
    let mut producer = Producer::attach(&tried.mapping).unwrap();
    let reserved = Answer::of(producer.reserve_blocking(1, &mut Spin::new(), timeout));
    let pushed = Answer::of(producer.push_blocking(&[1], &mut Spin::new(), timeout));
    let consumed = Answer::of(producer.wait_consumed(producer.position(), &mut Spin::new(), timeout));
    let room = Answer::of(producer.wait_room(1, &mut Spin::new(), timeout));
    let shared = producer.into_shared();
    let end = shared.position();
    vec![
        reserved,
        pushed,
        consumed,
        room,
        Answer::of(shared.reserve_blocking(1, &mut Spin::new(), timeout)),
        Answer::of(shared.push_blocking(&[1], &mut Spin::new(), timeout)),
        Answer::of(shared.wait_room(1, &mut Spin::new(), timeout)),
        Answer::of(shared.wait_consumed(end, &mut Spin::new(), timeout)),
    ]
}

/// Every operation that waits, of both kinds of producer, with this waiter.
fn with_waiter<W: user_ringbuf_linux::Wait>(tried: &TriedRing, waiter: &mut W) -> Vec<Answer>
where
    W::Error: std::error::Error,
{
    let mut producer = Producer::attach(&tried.mapping).unwrap();
    let mut answers = vec![
        Answer::of(producer.reserve_blocking(1, waiter, None)),
        Answer::of(producer.push_blocking(&[1], waiter, None)),
        Answer::of(producer.wait_consumed(producer.position(), waiter, None)),
        Answer::of(producer.wait_room(1, waiter, None)),
    ];
    let shared = producer.into_shared();
    answers.extend([
        Answer::of(shared.reserve_blocking(1, waiter, None)),
        Answer::of(shared.push_blocking(&[1], waiter, None)),
        Answer::of(shared.wait_consumed(shared.position(), waiter, None)),
        Answer::of(shared.wait_room(1, waiter, None)),
    ]);
    answers
}

/// Reserving in a full ring with a waiter that was cancelled.
fn cancelled<W: user_ringbuf_linux::Wait>(tried: &TriedRing, waiter: &mut W) -> Vec<Answer>
where
    W::Error: std::error::Error,
{
    let mut producer = Producer::attach(&tried.mapping).unwrap();
    tried.fill(|bytes| producer.push(bytes).map(drop));
    let reserved = Answer::of(producer.reserve_blocking(1, waiter, None));
    let pushed = Answer::of(producer.push_blocking(&[1], waiter, None));
    let consumed = Answer::of(producer.wait_consumed(producer.position(), waiter, None));
    let room = Answer::of(producer.wait_room(1, waiter, None));
    let shared: Shared<_> = producer.into_shared();
    vec![
        reserved,
        pushed,
        consumed,
        room,
        Answer::of(shared.reserve_blocking(1, waiter, None)),
        Answer::of(shared.push_blocking(&[1], waiter, None)),
        Answer::of(shared.wait_room(1, waiter, None)),
    ]
}

pub(crate) fn rows() -> Vec<Row> {
    let all = "{Producer, Shared}::{reserve_blocking, push_blocking, wait_consumed, wait_room}";
    vec![
        on_ring(
            all,
            "a timeout of 136 years and 1 ns",
            "BlockingError::TimeoutTooLong",
            "4294967295s at most",
            |tried| every_wait(tried, MAX_TIMEOUT + Duration::from_nanos(1)),
        ),
        on_ring(
            all,
            "the longest `Duration`",
            "BlockingError::TimeoutTooLong",
            "pass `None` to wait forever",
            |tried| every_wait(tried, Duration::MAX),
        ),
        on_ring(
            "{Producer, Shared}::wait_consumed",
            "positions ahead, by 1 and by 2^63 - 1",
            "BlockingError::NotSubmitted",
            "was not submitted yet",
            |tried| {
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = producer.position();
                let ahead = [end.advance(1), end.advance((1 << 63) - 1)];
                let [one, far] = ahead.map(|to| Answer::of(producer.wait_consumed(to, &mut Spin::new(), NO_WAIT)));
                let shared = producer.into_shared();
                let [two, farther] = ahead.map(|to| Answer::of(shared.wait_consumed(to, &mut Spin::new(), NO_WAIT)));
                vec![one, far, two, farther]
            },
        ),
        on_ring(
            "{Producer, Shared}::wait_consumed",
            "no time for what is not drained",
            "BlockingError::TimedOut",
            "not drained enough within 0ns",
            |tried| {
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = producer.position();
                let exclusive = Answer::of(producer.wait_consumed(end, &mut Spin::new(), NO_WAIT));
                vec![exclusive, Answer::of(producer.into_shared().wait_consumed(end, &mut Spin::new(), NO_WAIT))]
            },
        ),
        on_ring(all, "a waiter that was cancelled", "BlockingError::Cancelled", "was cancelled", |tried| {
            let flag = AtomicBool::new(true);
            let mut waiter = EpollWaiter::new(&tried.ring.map).unwrap();
            waiter.canceller().unwrap().cancel().unwrap();
            let mut answers = cancelled(tried, &mut waiter);
            answers.extend(cancelled(tried, &mut Spin::until_cancelled(&flag)));
            answers.extend(cancelled(tried, &mut Yield::until_cancelled(&flag)));
            answers
        }),
        on_ring(
            "{Producer, Shared}::wait_consumed",
            "a consumer that a foreign producer has led astray",
            "BlockingError::Reserve",
            "the ring is corrupted",
            |_| {
                let mut tried = TriedRing::new(1);
                let producer = Producer::attach(&tried.mapping).unwrap();
                let end = tried.raw.write_record(tried.raw.producer_pos(), 0, b"foreign");
                tried.raw.set_producer_pos(end);
                assert_eq!(tried.ring.drain().len(), 2);
                let exclusive: Result<_, BlockingError<_>> =
                    producer.wait_consumed(producer.position(), &mut Spin::new(), NO_WAIT);
                let shared = producer.into_shared();
                let end = shared.position();
                vec![Answer::of(exclusive), Answer::of(shared.wait_consumed(end, &mut Spin::new(), NO_WAIT))]
            },
        ),
        on_ring(
            all,
            "a waiter for another map",
            "BlockingError::OtherRing",
            "make a waiter from the producer's own map",
            |tried| {
                let other = Map::create("other", 1).unwrap();
                with_waiter(tried, &mut EpollWaiter::new(&other).unwrap())
            },
        ),
        on_ring(
            "{Producer, Shared}::wait_room",
            "one byte more than the ring has, `usize::MAX`",
            "BlockingError::BeyondRing",
            "the ring has",
            |tried| {
                let more = tried.ring.map.size() as usize + 1;
                let producer = Producer::attach(&tried.mapping).unwrap();
                let mut answers: Vec<_> = [more, usize::MAX]
                    .map(|bytes| Answer::of(producer.wait_room(bytes, &mut Spin::new(), NO_WAIT)))
                    .into();
                let shared = producer.into_shared();
                answers.extend(
                    [more, usize::MAX].map(|bytes| Answer::of(shared.wait_room(bytes, &mut Spin::new(), NO_WAIT))),
                );
                answers
            },
        ),
    ]
}
