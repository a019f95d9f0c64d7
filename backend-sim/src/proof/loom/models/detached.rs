//! Detached samples and lanes of one producer against a drainer: submitted out of order, from several threads.

use ::loom::thread;

use super::exclusive::{drain_all, push};
use super::{Model, kernel, verify};

/// Detached samples submitted in any order by several threads come out in the order of their reservations.
///
/// The first record waits busy while the second is submitted by another thread; what comes after takes their place.
pub(super) const OUT_OF_ORDER: Model = Model::new("detached", |setup| {
    const SENT: [&[u8]; 3] = [b"3 b", b"second..", b"in place"];
    let (memory, mut producer) = setup.with_producer(64, 24);
    let mut first = producer.reserve_detached(16).expect("an empty ring");
    let mut second = producer.reserve_detached(8).expect("half a ring");
    let late = thread::spawn(move || {
        first.write(0, b"3 bytes of these").expect("it fits");
        first.submit_len(3).expect("not longer");
    });
    let writer = thread::spawn(move || {
        second.write(0, SENT[1]).expect("it fits");
        second.submit();
        push(&mut producer, SENT[2]);
    });
    verify::same(&drain_all(&memory, SENT.len()), &SENT);
    late.join().expect("no panic");
    writer.join().expect("no panic");
});

/// A detached sample that is dropped is skipped, and holds up nothing.
///
/// Fills the ring twice, the second time over the first's samples.
pub(super) const DISCARDED: Model = Model::new("detached-discard", |setup| {
    const SENT: [&[u8]; 2] = [b"kept", b"later..."];
    let (memory, mut producer) = setup.with_producer(32, 0);
    let mut dropped = producer.reserve_detached(7).expect("an empty ring");
    let mut kept = producer.reserve_detached(4).expect("half a ring");
    let writer = thread::spawn(move || {
        dropped.fill_range(0, 7, b'!').expect("it fits");
        kept.write(0, SENT[0]).expect("it fits");
        kept.submit();
        drop(dropped);
        push(&mut producer, SENT[1]);
    });
    verify::same(&drain_all(&memory, SENT.len()), &SENT);
    writer.join().expect("no panic");
});

/// Each sample of a lane is visible when it is submitted, and what the lane leaves is skipped.
///
/// The lane is as long as the ring, and its place is taken by a sample when it is closed and drained.
pub(super) const LANE: Model = Model::new("lane", |setup| {
    const SENT: [&[u8]; 3] = [b"split", b"again...", b"over it"];
    let (memory, mut producer) = setup.with_producer(64, 40);
    let mut lane = producer.lane(56).expect("an empty ring");
    let writer = thread::spawn(move || {
        lane.push(SENT[0]).expect("the lane is empty");
        let mut given_back = lane.reserve(16).expect("it fits");
        given_back.fill_range(0, 16, b'!').expect("it fits");
        given_back.discard();
        lane.push(SENT[1]).expect("it fits");
        lane.close();
        push(&mut producer, SENT[2]);
    });
    verify::same(&drain_all(&memory, SENT.len()), &SENT);
    writer.join().expect("no panic");
    kernel::finds_nothing(&memory);
});
