//! What dies: every operation of every producer.

use std::time::Duration;

use user_ringbuf_sim::{Producer, Raw, ReserveError, RingMemory, RingPositions};
use user_ringbuf_sim::{Script, ScriptedConsumer};

use super::Memory;

pub(super) struct Operation {
    pub(super) name: &'static str,
    /// Published late, in one step: a crash leaves no trace.
    pub(super) publishes_late: bool,
    /// How many of [`samples`] it submits, in ring order.
    pub(super) submits: usize,
    pub(super) run: fn(Memory<'_>, &[Vec<u8>]),
}

/// Samples of different lengths, so that each can be told by its header.
fn samples() -> [Vec<u8>; 4] {
    [21, 8, 0, 3].map(|len| (0..len).map(|i| u8::try_from(0x80 + len * 3 + i).unwrap()).collect())
}

pub(super) fn attached(memory: Memory<'_>) -> Producer<Memory<'_>> {
    Producer::attach(memory).expect("every state is a legal ring")
}

/// A handle as in C, of which there may be several; the one thread that uses them is the lock.
struct Handle<'a>(Raw<Memory<'a>>);

impl<'a> Handle<'a> {
    fn new(memory: Memory<'a>) -> Self {
        Self(Raw::new(memory))
    }

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

// Each may find the ring full, and then has nothing to do.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "attach",
        publishes_late: true,
        submits: 0,
        run: |memory, _| {
            attached(memory);
        },
    },
    Operation {
        name: "push",
        publishes_late: true,
        submits: 1,
        run: |memory, samples| {
            let _ = attached(memory).push(&samples[0]);
        },
    },
    Operation {
        name: "reserve, write, submit",
        publishes_late: true,
        submits: 1,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut sample) = producer.reserve(samples[0].len()) else { return };
            sample.write(10, &samples[0][10..]).unwrap();
            sample.write(0, &samples[0][..10]).unwrap();
            sample.submit();
        },
    },
    Operation {
        name: "reserve, submit shorter",
        publishes_late: true,
        submits: 1,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut sample) = producer.reserve(40) else { return };
            sample.fill_range(0, 40, 0xee).unwrap();
            sample.write(0, &samples[0]).unwrap();
            sample.submit_len(samples[0].len()).unwrap();
        },
    },
    Operation {
        name: "reserve, discard",
        publishes_late: true,
        submits: 0,
        run: |memory, _| {
            let mut producer = attached(memory);
            let Ok(mut sample) = producer.reserve(24) else { return };
            sample.fill_range(0, 24, 0xee).unwrap();
            sample.discard();
        },
    },
    Operation {
        name: "batch",
        publishes_late: true,
        submits: 3,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let mut batch = producer.batch();
            if samples[..3].iter().all(|sample| batch.push(sample).is_ok()) {
                _ = batch.submit();
            }
        },
    },
    Operation {
        name: "batch, discard",
        publishes_late: true,
        submits: 0,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let mut batch = producer.batch();
            let _ = batch.push(&samples[0]);
            batch.discard();
        },
    },
    Operation {
        name: "reserve blocking",
        publishes_late: true,
        submits: 1,
        run: |memory, samples| {
            let consumer = ScriptedConsumer::new(*memory.inner(), Script::never());
            let mut producer = attached(memory);
            let waited = producer.reserve_blocking(21, &mut consumer.waiter(), Some(Duration::from_millis(1)));
            let Ok(mut sample) = waited else { return };
            sample.write(0, &samples[0]).unwrap();
            sample.submit();
        },
    },
    Operation {
        name: "detached, submit",
        publishes_late: false,
        submits: 1,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut sample) = producer.reserve_detached(21) else { return };
            sample.write(0, &samples[0]).unwrap();
            sample.submit();
        },
    },
    Operation {
        name: "detached, submit shorter",
        publishes_late: false,
        submits: 1,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut sample) = producer.reserve_detached(48) else { return };
            sample.write(0, &samples[0]).unwrap();
            sample.submit_len(21).unwrap();
        },
    },
    Operation {
        name: "detached, out of order, one dropped",
        publishes_late: false,
        submits: 2,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut first) = producer.reserve_detached(21) else { return };
            let Ok(dropped) = producer.reserve_detached(16) else { return };
            let Ok(mut second) = producer.reserve_detached(8) else { return };
            second.write(0, &samples[1]).unwrap();
            second.submit();
            drop(dropped);
            first.write(0, &samples[0]).unwrap();
            first.submit();
        },
    },
    Operation {
        name: "lane, closed",
        publishes_late: false,
        submits: 3,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut lane) = producer.lane(80) else { return };
            for sample in &samples[..3] {
                lane.push(sample).unwrap();
            }
            lane.close();
        },
    },
    Operation {
        name: "lane, used up",
        publishes_late: false,
        submits: 2,
        run: |memory, samples| {
            let mut producer = attached(memory);
            let Ok(mut lane) = producer.lane(40) else { return };
            lane.push(&samples[0]).unwrap();
            lane.reserve(8).unwrap().discard();
            lane.push(&samples[1]).unwrap();
            assert_eq!(lane.left(), 0);
        },
    },
    Operation {
        name: "shared, push",
        publishes_late: false,
        submits: 2,
        run: |memory, samples| {
            let shared = attached(memory).into_shared();
            let _ = shared.push(&samples[0]).and_then(|_| shared.push(&samples[1]));
        },
    },
    Operation {
        name: "shared, out of order beside a lane",
        publishes_late: false,
        submits: 3,
        run: |memory, samples| {
            let shared = attached(memory).into_shared();
            let Ok(mut first) = shared.reserve(21) else { return };
            let Ok(mut lane) = shared.lane(16) else { return };
            let Ok(mut last) = shared.reserve(3) else { return };
            last.write(0, &samples[2]).unwrap();
            last.submit();
            first.write(0, &samples[0]).unwrap();
            lane.push(&samples[1]).unwrap();
            first.submit();
            lane.close();
        },
    },
    Operation {
        name: "raw, reserve, submit",
        publishes_late: false,
        submits: 1,
        run: |memory, samples| {
            let handle = Handle::new(memory);
            let Ok(sample) = handle.reserve(&samples[0]) else { return };
            handle.submit(sample);
        },
    },
    Operation {
        name: "raw, two handles, out of order",
        publishes_late: false,
        submits: 2,
        run: |memory, samples| {
            let (one, other) = (Handle::new(memory), Handle::new(memory));
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
        },
    },
    Operation {
        name: "raw, submit shorter",
        publishes_late: false,
        submits: 1,
        run: |memory, samples| {
            let handle = Handle::new(memory);
            let Ok(sample) = handle.reserve(&[0xee; 48]) else { return };
            // SAFETY: reserved above, with room for the bytes.
            unsafe {
                handle.0.memory().write_payload(sample, 0, &samples[0]);
                handle.0.submit_len(sample, samples[0].len()).unwrap();
            }
        },
    },
    Operation {
        name: "raw, push all",
        publishes_late: true,
        submits: 3,
        run: |memory, samples| {
            // SAFETY: one thread, and the samples lie elsewhere.
            let _ =
                unsafe { Handle::new(memory).0.push_all(samples.iter().map(|s| Ok::<_, ReserveError>(s.as_slice()))) };
        },
    },
];

/// The samples of `operation`, in ring order.
pub(super) fn samples_of(operation: &Operation) -> Vec<Vec<u8>> {
    let [first, second, empty, small] = samples();
    match operation.name {
        "shared, out of order beside a lane" => vec![first, second, small],
        _ => [first, second, empty].into_iter().take(operation.submits).collect(),
    }
}

/// What the operation writes: its samples, where it takes any.
pub(super) fn arguments(operation: &Operation) -> Vec<Vec<u8>> {
    match operation.submits {
        0 => samples().to_vec(),
        _ => samples_of(operation),
    }
}
