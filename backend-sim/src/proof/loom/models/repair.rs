//! Repair of a ring whose producer is gone, while the kernel drains all the time.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::{Header, Position, Producer, Repair, RingMemory, RingPositions, repair};

use super::exclusive::push;
use super::{Model, kernel, verify};
use crate::loom::LoomMemory;

/// Repairs `memory` while another thread drains it, twice, and returns what was drained and what was done. Before the
/// repair has got there, drains may be refused; afterwards a new producer takes over.
fn repair_beside_drainer(memory: &Arc<LoomMemory>) -> (Vec<Vec<u8>>, Vec<Repair>) {
    let drainer = {
        let memory = Arc::clone(memory);
        thread::spawn(move || {
            let mut taken = Vec::new();
            for _ in 0..2 {
                let _ = kernel::drain_jammed(&memory, &mut taken);
            }
            taken
        })
    };
    let mut done = mend(memory);
    let mut taken = drainer.join().expect("no panic");
    if done.iter().any(|step| matches!(step, Repair::ProducerMoved { .. })) {
        // A drain may have loaded the old position before the repair, and have consumed up to there after it. No repair
        // can see that coming; the next one, when that drain is over, finds the positions the wrong way round.
        done.extend(mend(memory));
    }
    kernel::drain(memory, &mut taken);
    let mut heir = Producer::attach(Arc::clone(memory)).expect("a repaired ring");
    push(&mut heir, b"heir");
    drop(heir);
    kernel::drain(memory, &mut taken);
    assert!(taken.pop().is_some_and(|last| last == b"heir"), "lost sample: the next producer's");
    (taken, done)
}

fn mend(memory: &Arc<LoomMemory>) -> Vec<Repair> {
    let mut done = Vec::new();
    // SAFETY: the ring's producer has been dropped.
    unsafe { repair(&**memory, |step| done.push(step)) }.expect("false alarm: the consumer position is sound");
    done
}

fn leak_busy(producer: &mut Producer<Arc<LoomMemory>>, len: usize) {
    // What a killed process does with its samples.
    std::mem::forget(producer.reserve_detached(len).expect("there is room"));
}

/// Busy records of a dead producer are skipped, and the submitted ones come out.
///
/// A busy record in front, and one between submitted ones.
pub(super) const BUSY: Model = Model::new("repair-busy", |setup| {
    let (memory, mut producer) = setup.with_producer(64, 40);
    leak_busy(&mut producer, 3);
    producer.push(b"between").expect("there is room");
    leak_busy(&mut producer, 0);
    producer.push(b"behind").expect("there is room");
    drop(producer);
    let (taken, done) = repair_beside_drainer(&memory);
    verify::same(&taken, &[b"between".as_slice(), b"behind"]);
    let busy = done.iter().filter(|step| matches!(step, Repair::Discarded { .. })).count();
    assert!(busy == 2 && done.len() == 2, "lost repair: {done:?}");
});

/// A damaged stretch becomes filler and a crooked producer position straight, with the kernel at the door.
///
/// A length that reaches beyond the producer position, and a producer position that is not a multiple of 8.
pub(super) const DAMAGED: Model = Model::new("repair-damage", |setup| {
    let (memory, mut producer) = setup.with_producer(64, 40);
    producer.push(b"sound").expect("there is room");
    let second = producer.push(b"damaged").expect("there is room");
    drop(producer);
    let damaged = Position::new(56).offset(RingPositions::size(&memory));
    // SAFETY: the producer is gone, and the offset is that of its second record.
    unsafe { memory.write_header(damaged, Header::submitted(4000)) };
    if setup.case == 1 {
        // SAFETY: no producer has the claim.
        unsafe { memory.publish_producer(second.advance(3)) };
    }
    let (taken, done) = repair_beside_drainer(&memory);
    verify::same(&taken, &[b"sound"]);
    assert!(done.len() == if setup.case == 1 { 2 } else { 1 }, "lost repair: {done:?}");
})
.cases(2);

/// A producer position beyond the ring is brought back while the kernel runs after it.
///
/// A producer position further ahead than the ring is large: the kernel would take old bytes for records forever.
pub(super) const MISPLACED: Model = Model::new("repair-position", |setup| {
    let memory = setup.ring(32, 64);
    // SAFETY: no producer has the claim.
    unsafe { memory.publish_producer(Position::new(64 + 48)) };
    let (_, done) = repair_beside_drainer(&memory);
    // The kernel may have come to the end before the repair did.
    assert!(done.iter().all(|step| matches!(step, Repair::ProducerMoved { .. })), "invented repair: {done:?}");
});
