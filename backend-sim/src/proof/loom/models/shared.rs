//! Several producers that share a ring, against a drainer.

use std::sync::Arc;

use ::loom::thread;
use user_ringbuf_core::{
    AttachError, AutoLane, Header, ReserveError, RingMemory, RingPositions, Role, Shared, record_extent,
};

use super::exclusive::{drain_all, until_room};
use super::{Model, kernel, verify};
use crate::loom::LoomMemory;

fn push(producer: &Shared<Arc<LoomMemory>>, sample: &[u8]) {
    until_room(|| producer.push(sample));
}

/// Each of these is pushed by a thread of its own, beside a drain.
fn all_at_once<const N: usize>(memory: &Arc<LoomMemory>, sent: [&'static [u8]; N]) {
    let producer = Arc::new(Shared::attach(Arc::clone(memory)).expect("a drained ring"));
    let writers = sent.map(|sample| {
        let producer = Arc::clone(&producer);
        thread::spawn(move || {
            producer.push(sample).unwrap_or_else(|error| panic!("refused sample: {error}"));
        })
    });
    let (taken, _) = kernel::drain_beside(memory, writers);
    verify::same_in_any_order(&taken, &sent);
}

/// Two producers at once: every sample comes out whole and once.
///
/// The ring is full of an earlier lap's samples, drained already: both producers write over them.
pub(super) const TWO: Model = Model::new("shared", |setup| all_at_once(&setup.ring(32, 16), [b"of one..", b"other"]));

/// Three producers at once: the last one out publishes for the others.
///
/// The ring is full of an earlier lap's samples, drained already: each producer writes over one, and who publishes may
/// publish for two others.
///
/// At most 1 preemption, which stops one thread in flight while two others come and go; with more, four threads take too
/// long.
pub(super) const THREE: Model =
    Model::bounded("shared-three", 1, |setup| all_at_once(&setup.ring(64, 48), [b"of one..", b"other", b"third"]));

/// Two producers at a full ring: one takes the room that the kernel has left, whichever found it.
///
/// One record fills the ring. Both producers try once for its place while it is drained, so that each may find the room
/// that the other one takes.
///
/// At most 3 preemptions: without a bound the model takes longer than five minutes, and it takes one preemption to let
/// the drainer in between the two producers, and one more to let each of these into the other.
pub(super) const FULL: Model = Model::bounded("shared-full", 3, |setup| {
    const SENT: [&[u8]; 2] = [b"of one..", b"other"];
    let (memory, producer) = setup.with_shared(16, 16);
    producer.push(b"there").expect("an empty ring");
    let writers = SENT.map(|sample| {
        let producer = Arc::clone(&producer);
        thread::spawn(move || match producer.push(sample) {
            Ok(_) => Some(sample),
            Err(error) if error.is_full() => None,
            Err(error) => panic!("refused sample: {error}"),
        })
    });
    let (taken, accepted) = kernel::drain_beside(&memory, writers);
    let accepted: Vec<&[u8]> = accepted.into_iter().flatten().collect();
    verify::same(&taken[..1], &[b"there"]);
    verify::same_in_any_order(&taken[1..], &accepted);
});

/// A lane beside another producer: both threads' samples come out, each thread's in order.
///
/// One thread works in a lane, the other pushes beside it.
///
/// At most 3 preemptions: without a bound the model takes half a minute, and finds no more.
pub(super) const LANE: Model = Model::bounded("shared-lane", 3, |setup| {
    const LANE: [&[u8]; 2] = [b"in lane", b"also"];
    const BESIDE: [&[u8]; 1] = [b"beside"];
    let (memory, producer) = setup.with_shared(64, 48);
    let mut lane = producer.lane_owned(32).expect("an empty ring");
    let writer = thread::spawn(move || {
        for sample in LANE {
            lane.push(sample).expect("it fits");
        }
    });
    let beside = thread::spawn(move || push(&producer, BESIDE[0]));
    let taken = drain_all(&memory, 3);
    verify::same(&taken, &[LANE[0], LANE[1], BESIDE[0]]);
    writer.join().expect("no panic");
    beside.join().expect("no panic");
});

/// Two threads whose handles take lanes by themselves: both threads' samples come out, each thread's in order.
///
/// Two threads have sent by turns, so each has a lane with room for one more sample. Each sends that, and one of them goes
/// on to its next record.
///
/// At most 2 preemptions, which take eight seconds: the models of a shared producer and of a lane, of which this is made,
/// have more.
pub(super) const AUTO_LANES: Model = Model::bounded("auto-lanes", 2, |setup| {
    const SENT: [&[&[u8]]; 2] = [&[b"a one", b"a two"], &[b"b one"]];
    let (memory, shared) = setup.with_shared(64, 48);
    let mut handles = [(); 2].map(|()| AutoLane::with_longest(Arc::clone(&shared), 32));
    let mut taken = Vec::new();
    for turn in [0, 1, 0, 1, 0] {
        handles[turn].push(b"opener").expect("a drained ring");
        kernel::drain(&memory, &mut taken);
    }
    assert_eq!(handles.each_ref().map(AutoLane::left), [16; 2], "each has a lane with room for one more");
    let writers = handles.into_iter().zip(SENT).map(|(mut handle, sent)| {
        thread::spawn(move || {
            for sample in sent {
                until_room(|| handle.push(sample));
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // The last opener lies behind the other handle's lane.
    let taken = drain_all(&memory, 4);
    for writer in writers {
        writer.join().expect("no panic");
    }
    for sent in SENT {
        let of_one: Vec<_> = taken.iter().filter(|sample| sample.first() == sent[0].first()).cloned().collect();
        verify::same(&of_one, sent);
    }
    verify::same_in_any_order(&taken, &[&[&b"opener"[..]], SENT[0], SENT[1]].concat());
});

/// A thread resumes behind another producer's record beside one that pushes: nothing is lost or overwritten.
///
/// Another producer has come and gone. One thread goes on from there while the other pushes.
///
/// At most 3 preemptions: without a bound there are 1.8 million interleavings, and they were all in order.
pub(super) const RESUMED: Model = Model::bounded("shared-resume", 3, |setup| {
    let (memory, producer) = setup.with_shared(64, 48);
    publish_as_another(&memory, b"foreign");
    let writer = {
        let producer = Arc::clone(&producer);
        thread::spawn(move || {
            while let Err(error) = producer.push(b"ours") {
                assert!(matches!(error, ReserveError::ForeignProducer { .. }), "refused sample: {error}");
                thread::yield_now();
            }
        })
    };
    while let Err(error) = producer.resume() {
        assert_eq!(error, AttachError::InFlight, "refused producer: {error}");
        thread::yield_now();
    }
    let taken = drain_all(&memory, 2);
    verify::same(&taken, &[&b"foreign"[..], b"ours"]);
    writer.join().expect("no panic");
});

/// Makes the stores of a producer that takes no claim.
fn publish_as_another(memory: &LoomMemory, sample: &[u8]) {
    let start = memory.load_producer(Role::ObserveProducer);
    let offset = start.offset(memory.size());
    let len = u32::try_from(sample.len()).expect("a short sample");
    // SAFETY: no other thread runs yet, and nothing is reserved.
    unsafe {
        memory.write_payload(offset, 0, sample);
        memory.write_header(offset, Header::submitted(len));
        memory.publish_producer(start.advance(record_extent(len).into()));
    }
}
