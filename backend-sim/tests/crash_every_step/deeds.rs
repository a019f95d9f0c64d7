//! What dies: every operation of every producer. Each may find the ring full, and then does what is left to do.
//!
//! The producers of this process are programs for the one interpreter. libbpf's contract has no such programs, and is
//! called as from C.

use user_ringbuf_sim::proof::model::{Predictor, Queue};
use user_ringbuf_sim::proof::{Actor, Operation, Program};
use user_ringbuf_sim::{HeapMemory, Raw, ReserveError, RingMemory, RingPositions, RingSize};

use super::journal::{Journal, Memory, SIZE};

type RawCalls = fn(&RawHandle<'_>, &RawHandle<'_>, &[Vec<u8>]);

pub(super) struct Deed {
    pub(super) name: &'static str,
    /// Published late, in one step: a crash leaves no trace.
    pub(super) publishes_late: bool,
    /// Samples that it submits where there is room, each of another length, so that a header tells which it is.
    pub(super) submits: usize,
    /// Operations, as text.
    program: &'static str,
    /// Calls on two handles that do as the program does with its samples, in its place. One thread is the lock.
    pub(super) raw: Option<RawCalls>,
}

const fn late(name: &'static str, submits: usize, program: &'static str) -> Deed {
    Deed { name, publishes_late: true, submits, program, raw: None }
}

const fn early(name: &'static str, submits: usize, program: &'static str) -> Deed {
    Deed { name, publishes_late: false, submits, program, raw: None }
}

const DETACHED: &str = "attach exclusive\ndetach 0 21\nfinish 0 submit";
const SHORTENED: &str = "attach exclusive\ndetach 0 48\nfinish 0 len=21";
const OUT_OF_ORDER: &str =
    "attach exclusive\ndetach 0 21\ndetach 1 16\ndetach 2 8\nfinish 2 submit\nclose 1\nfinish 0 submit";
const BATCH: &str = "attach exclusive\nbatch 21 8 0 submit";

pub(super) const DEEDS: &[Deed] = &[
    late("attach", 0, "attach exclusive"),
    late("push", 1, "attach exclusive\npush 21"),
    late("reserve, write, submit", 1, "attach exclusive\nsample 21 write 3 10 submit"),
    late("reserve, submit shorter", 1, "attach exclusive\nsample 40 write 0 21 len=21"),
    late("reserve, discard", 0, "attach exclusive\nsample 24 write 0 24 discard"),
    late("resume", 0, "attach exclusive\nresume\nask"),
    late("batch", 3, BATCH),
    late("batch, discard", 0, "attach exclusive\nbatch 21 8 discard"),
    late("reserve blocking", 1, "attach exclusive\nwait 21 timeout=1 drain=never"),
    early("detached, submit", 1, DETACHED),
    early("detached, submit shorter", 1, SHORTENED),
    early("detached, out of order, one dropped", 2, OUT_OF_ORDER),
    early(
        "lane, closed",
        3,
        "attach exclusive\nlane 0 80\nlane-sample 0 21 submit\nlane-sample 0 8 submit\nlane-sample 0 0 submit\nclose 0",
    ),
    early(
        "lane, used up",
        2,
        "attach exclusive\nlane 0 40\nlane-sample 0 21 submit\nlane-sample 0 8 discard\nlane-sample 0 8 submit",
    ),
    early("shared, push", 2, "attach shared\npush 21\npush 8"),
    early(
        "shared, out of order beside a lane",
        3,
        "attach shared\ndetach 0 21\nlane 1 16\ndetach 2 3\nfinish 2 submit\nlane-sample 1 8 submit\nfinish 0 submit\n\
         close 1",
    ),
    Deed {
        raw: Some(|handle, _, samples| {
            let Ok(sample) = handle.reserve(&samples[0]) else { return };
            handle.submit(sample);
        }),
        ..early("raw, reserve, submit", 1, DETACHED)
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
        ..early("raw, two handles, out of order", 2, OUT_OF_ORDER)
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
        ..early("raw, submit shorter", 1, SHORTENED)
    },
    Deed {
        raw: Some(|handle, _, samples| {
            // SAFETY: one thread, and the samples lie elsewhere.
            let _ = unsafe { handle.0.push_all(samples.iter().map(|sample| Ok::<_, ReserveError>(sample.as_slice()))) };
        }),
        ..late("raw, push all", 3, BATCH)
    },
];

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
        for (n, operation) in self.operations() {
            actor.step(n, &operation, &mut |_, _| panic!("the consumer comes afterwards"));
        }
    }

    /// All samples in the ring afterwards, if the producer lives.
    pub(super) fn predicted(&self, mut ring: Predictor) -> Vec<Vec<u8>> {
        for (n, operation) in self.operations() {
            ring.step(n, &operation);
        }
        ring.submitted()
    }

    fn operations(&self) -> impl Iterator<Item = (u64, Operation)> + use<> {
        let program: Program = format!("ring 8 from 0\n{}", self.program).parse().expect("a program");
        (0..).zip(program.operations)
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
