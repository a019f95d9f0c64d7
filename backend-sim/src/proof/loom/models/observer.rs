//! Somebody looks at a ring in use: each record that the walk names is one that was there.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::{Producer, Record, RecordState, Survey, Verdict};

use super::{Model, kernel};
use crate::loom::LoomMemory;

/// Walks the ring once. Panics if the walk finds anything wrong with it.
fn walk(memory: &LoomMemory) -> Vec<Record> {
    let mut records = Vec::new();
    let survey = Survey::walk(memory, |record| match record {
        Ok(record) => records.push(*record),
        Err(damage) => panic!("stale header: {damage}"),
    });
    if let Verdict::Misplaced { corruption } = survey.verdict {
        panic!("false alarm: {corruption}");
    }
    records
}

/// Panics unless each record is one of `known`, given as start, length and state.
fn known(found: &[Record], known: &[(u64, u32, RecordState)]) {
    for record in found {
        let this = (record.start.get(), record.len, record.state);
        assert!(known.contains(&this), "stale header: the walk finds {record:?}");
    }
}

use RecordState::{Busy, Discarded, Submitted};

/// A walk beside a lane finds a header wherever a record may begin.
///
/// Nothing drains. The lane lies over an earlier lap's records; the last sample is the exclusive producer's.
pub(super) const LANE: Model = Model::new("observe-lane", |setup| {
    let (memory, mut producer) = setup.with_producer(64, 48);
    let writer = thread::spawn(move || {
        let mut lane = producer.lane(40).expect("an empty ring");
        lane.push(b"in lane").expect("it fits");
        lane.push(b"2").expect("it fits");
        lane.close();
        producer.push(b"late").expect("16 bytes are left");
    });
    for _ in 0..2 {
        let found = walk(&memory);
        let possible = [
            (48, 40, Busy),
            (48, 7, Submitted),
            (64, 24, Busy),
            (64, 1, Submitted),
            (80, 8, Busy),
            (80, 8, Discarded),
            (96, 4, Submitted),
        ];
        known(&found, &possible);
    }
    writer.join().expect("no panic");
    let lengths: Vec<u32> = walk(&memory).iter().map(|record| record.len).collect();
    assert!(lengths == [7, 1, 8, 4], "lost sample: the walk finds lengths {lengths:?}");
});

/// A walk beside a producer and a drainer finds no record that never was.
///
/// The second sample takes the place of the first, in the next lap, while a thread walks and the kernel drains.
///
/// On memory on which a store becomes visible to all at once: on weaker one the walk may take the next lap's header for
/// one of this lap, as [`LoomMemory::multi_copy_atomic`] says.
pub(super) const BESIDE_DRAINER: Model = Model::new("observe-drain", |setup| {
    let memory = Arc::new(setup.memory(16, 16).multi_copy_atomic());
    let mut producer = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
    producer.push(b"eight...").expect("an empty ring");
    let writer = thread::spawn(move || producer.push(b"two").is_ok());
    let drainer = {
        let memory = Arc::clone(&memory);
        thread::spawn(move || kernel::drain(&memory, &mut Vec::new()))
    };
    known(&walk(&memory), &[(16, 8, Submitted), (32, 3, Submitted)]);
    writer.join().expect("no panic");
    drainer.join().expect("no panic");
});
