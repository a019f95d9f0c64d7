//! What dies: every operation of every producer. Each may find the ring full, and then does what is left to do.
//!
//! The producers of this process are programs for the one interpreter. libbpf's contract has no such programs, and is
//! called as from C.

use user_ringbuf_sim::proof::Actor;
use user_ringbuf_sim::proof::Finish::{Discard, Submit, SubmitLen};
use user_ringbuf_sim::proof::Operation::{self, *};
use user_ringbuf_sim::proof::model::{Predictor, Queue};
use user_ringbuf_sim::{HeapMemory, Raw, ReserveError, RingMemory, RingPositions, RingSize};

use super::journal::{Journal, Memory, SIZE};

type RawCalls = fn(&RawHandle<'_>, &RawHandle<'_>, &[Vec<u8>]);

pub(super) struct Deed {
    pub(super) name: &'static str,
    /// Published late, in one step: a crash leaves no trace.
    pub(super) publishes_late: bool,
    /// Samples that it submits where there is room, each of another length, so that a header tells which it is.
    pub(super) submits: usize,
    operations: Vec<Operation>,
    /// Calls on two handles that do as the operations do with its samples, in their place. One thread is the lock.
    pub(super) raw: Option<RawCalls>,
}

/// The exclusive producer's, published late.
fn late(name: &'static str, submits: usize, operations: &[Operation]) -> Deed {
    let operations = [&[Attach { shared: false }], operations].concat();
    Deed { name, publishes_late: true, submits, operations, raw: None }
}

/// The exclusive producer's, published at once.
fn early(name: &'static str, submits: usize, operations: &[Operation]) -> Deed {
    Deed { publishes_late: false, ..late(name, submits, operations) }
}

/// A shared producer's.
fn shared(name: &'static str, submits: usize, operations: &[Operation]) -> Deed {
    let operations = [&[Attach { shared: true }], operations].concat();
    Deed { operations, ..early(name, submits, &[]) }
}

pub(super) fn deeds() -> Vec<Deed> {
    let detached = [Detach { place: 0, len: 21 }, Finish { place: 0, finish: Submit }];
    let shortened = [Detach { place: 0, len: 48 }, Finish { place: 0, finish: SubmitLen(21) }];
    let out_of_order = [
        Detach { place: 0, len: 21 },
        Detach { place: 1, len: 16 },
        Detach { place: 2, len: 8 },
        Finish { place: 2, finish: Submit },
        Close { place: 1 },
        Finish { place: 0, finish: Submit },
    ];
    let batch = [Batch { lens: vec![21, 8, 0], submit: true }];
    let lane_sample = |place, len| LaneSample { place, len, finish: Submit };
    vec![
        late("attach", 0, &[]),
        late("push", 1, &[Push { len: 21 }]),
        late("reserve, write, submit", 1, &[Sample { len: 21, at: 3, count: 10, finish: Submit }]),
        late("reserve, submit shorter", 1, &[Sample { len: 40, at: 0, count: 21, finish: SubmitLen(21) }]),
        late("reserve, discard", 0, &[Sample { len: 24, at: 0, count: 24, finish: Discard }]),
        late("resume", 0, &[Resume, Ask]),
        late("batch", 3, &batch),
        late("batch, discard", 0, &[Batch { lens: vec![21, 8], submit: false }]),
        late("reserve blocking", 1, &[Wait { len: 21, timeout_ms: 1, drain_after_ms: None }]),
        early("detached, submit", 1, &detached),
        early("detached, submit shorter", 1, &shortened),
        early("detached, out of order, one dropped", 2, &out_of_order),
        early(
            "lane, closed",
            3,
            &[Lane { place: 0, len: 80 }, lane_sample(0, 21), lane_sample(0, 8), lane_sample(0, 0), Close { place: 0 }],
        ),
        early(
            "lane, used up",
            2,
            &[
                Lane { place: 0, len: 40 },
                lane_sample(0, 21),
                LaneSample { place: 0, len: 8, finish: Discard },
                lane_sample(0, 8),
            ],
        ),
        shared("shared, push", 2, &[Push { len: 21 }, Push { len: 8 }]),
        shared(
            "shared, out of order beside a lane",
            3,
            &[
                Detach { place: 0, len: 21 },
                Lane { place: 1, len: 16 },
                Detach { place: 2, len: 3 },
                Finish { place: 2, finish: Submit },
                lane_sample(1, 8),
                Finish { place: 0, finish: Submit },
                Close { place: 1 },
            ],
        ),
        Deed {
            raw: Some(|handle, _, samples| {
                let Ok(sample) = handle.reserve(&samples[0]) else { return };
                handle.submit(sample);
            }),
            ..early("raw, reserve, submit", 1, &detached)
        },
        Deed {
            raw: Some(|one, other, samples| {
                let (first, dropped) = (one.reserve(&samples[0]), other.reserve(&[0xdd; 16]));
                if let Ok(second) = one.reserve(&samples[1]) {
                    other.submit(second);
                }
                if let Ok(dropped) = dropped {
                    // SAFETY: reserved above.
                    unsafe { one.0.discard(dropped) };
                }
                if let Ok(first) = first {
                    one.submit(first);
                }
            }),
            ..early("raw, two handles, out of order", 2, &out_of_order)
        },
        Deed {
            raw: Some(|handle, _, samples| {
                let Ok(sample) = handle.reserve(&[0xee; 48]) else { return };
                // SAFETY: reserved above, with room for the bytes.
                unsafe {
                    handle.0.memory().write_payload(sample, 0, &samples[0]);
                    handle.0.submit_len(sample, samples[0].len()).unwrap();
                }
            }),
            ..early("raw, submit shorter", 1, &shortened)
        },
        Deed {
            raw: Some(|handle, _, samples| {
                // SAFETY: one thread, and the samples lie elsewhere.
                let _ =
                    unsafe { handle.0.push_all(samples.iter().map(|sample| Ok::<_, ReserveError>(sample.as_slice()))) };
            }),
            ..late("raw, push all", 3, &batch)
        },
    ]
}

impl Deed {
    /// Does it on `memory`, as far as the journal lets it live.
    pub(super) fn run(&self, memory: &HeapMemory, journal: &Journal) {
        if let Some(raw) = self.raw {
            let handle = || RawHandle(Raw::new(Memory::new(memory, journal)));
            let samples = self.predicted(Predictor::new(Queue::new(RingSize::new(SIZE).unwrap(), 0)));
            return raw(&handle(), &handle(), &samples);
        }
        // SAFETY: this memory lends no slices.
        let mut actor = unsafe { Actor::new(memory, journal) };
        for (n, operation) in (0..).zip(&self.operations) {
            actor.step(n, operation, &mut |_, _| panic!("the consumer comes afterwards"));
        }
    }

    /// All samples in the ring afterwards, if the producer lives.
    pub(super) fn predicted(&self, mut ring: Predictor) -> Vec<Vec<u8>> {
        for (n, operation) in (0..).zip(&self.operations) {
            ring.step(n, operation);
        }
        ring.submitted()
    }
}

/// A handle as in C.
pub(super) struct RawHandle<'a>(Raw<Memory<'a>>);

impl RawHandle<'_> {
    /// Reserves and fills a sample. Returns its offset.
    fn reserve(&self, bytes: &[u8]) -> Result<u32, ReserveError> {
        let size = self.0.memory().size();
        // SAFETY: one thread; what was reserved has room for the bytes.
        unsafe {
            let offset = self.0.reserve(bytes.len())?.offset(size);
            self.0.memory().write_payload(offset, 0, bytes);
            Ok(offset)
        }
    }

    fn submit(&self, offset: u32) {
        // SAFETY: reserved here. What a dead producer reserved is not there.
        unsafe { self.0.submit(offset) };
    }
}
