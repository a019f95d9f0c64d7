//! Every operation of every producer, on rings in several states, dies after each single memory operation. A drainer
//! then sees whole samples or nothing, and exactly those that were submitted; a new producer attaches and goes on.
//!
//! What publishes late leaves nothing behind. What publishes early, with the busy bit, may leave a busy record at which
//! the ring stops, and a repair frees it. A repair that dies itself is simply done again.
#![expect(unsafe_code, reason = "repairs rings, and vouches for the producer's death")]

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::Duration;

use user_ringbuf_sim::core::{Header, Producer, RecordState, Repair, RingSize, repair};
use user_ringbuf_sim::{
    Crash, FakeKernel, Fate, HeapMemory, Hook, Hooked, KernelMemory, RawAccess, RingImage, Script, ScriptedConsumer,
    Step,
};

const SIZE: u64 = 256;

/// A mortal producer's memory, and what it did before it died.
struct Journal {
    crash: Crash,
    done: RefCell<Vec<Step>>,
}

impl Hook for &Journal {
    fn before(&self, step: Step) -> Fate {
        let fate = self.crash.before(step);
        if fate == Fate::Happens {
            self.done.borrow_mut().push(step);
        }
        fate
    }
}

impl Journal {
    fn new(crash: Crash) -> Self {
        Self { crash, done: RefCell::default() }
    }

    /// Which of the operation's samples the kernel must get: those of busy records that were committed, and all
    /// others at once if their position was published.
    fn submitted(&self, samples: &[Vec<u8>], publishes_late: bool) -> Vec<Vec<u8>> {
        let done = self.done.borrow();
        if publishes_late {
            let published = done.iter().any(|step| matches!(step, Step::Publish(_)));
            return if published { samples.to_vec() } else { vec![] };
        }
        let committed = |sample: &&Vec<u8>| {
            done.iter().any(|step| match step {
                Step::CommitHeader { header, .. } => {
                    header.state() == RecordState::Submitted && header.len() as usize == sample.len()
                }
                _ => false,
            })
        };
        samples.iter().filter(committed).cloned().collect()
    }
}

type Memory<'a> = Hooked<&'a HeapMemory, &'a Journal>;

struct Operation {
    name: &'static str,
    /// Published late, in one step: a crash leaves no trace.
    publishes_late: bool,
    /// How many of [`samples`] it submits, in ring order.
    submits: usize,
    run: fn(Memory<'_>, &[Vec<u8>]),
}

/// Samples of different lengths, so that each can be told by its header.
fn samples() -> [Vec<u8>; 4] {
    [21, 8, 0, 3].map(|len| (0..len).map(|i| u8::try_from(0x80 + len * 3 + i).unwrap()).collect())
}

fn attached(memory: Memory<'_>) -> Producer<Memory<'_>> {
    Producer::attach(memory).expect("every state is a legal ring")
}

// Each may find the ring full, and then has nothing to do.
const OPERATIONS: &[Operation] = &[
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
                batch.submit();
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
];

/// The samples of `operation`, in ring order.
fn samples_of(operation: &Operation) -> Vec<Vec<u8>> {
    let [first, second, empty, small] = samples();
    match operation.name {
        "shared, out of order beside a lane" => vec![first, second, small],
        _ => [first, second, empty].into_iter().take(operation.submits).collect(),
    }
}

/// A ring as it was left by earlier producers: its positions, and what a drain of it gives.
struct State {
    name: &'static str,
    image: RingImage,
    holds: Vec<Vec<u8>>,
}

fn states() -> Vec<State> {
    let old = |n: u8, len: usize| vec![n; len];
    let near_the_end_of_positions = u64::MAX - 5 * SIZE + 1;
    [
        ("empty", 0, vec![]),
        ("empty, a later lap", 5 * SIZE + 64, vec![]),
        ("partly full", 16, vec![(Some(1), 13), (Some(2), 40)]),
        ("wrapped", SIZE - 8, vec![(Some(1), 13)]),
        ("the next header is the last of the area", SIZE - 24, vec![(Some(1), 8)]),
        ("discarded in front and behind", 3 * SIZE - 32, vec![(None, 9), (Some(1), 0), (None, 30)]),
        ("room for one small record", 40, vec![(Some(1), 100), (Some(2), 80), (None, 8)]),
        ("full", 8, vec![(Some(1), 120), (Some(2), 120)]),
        ("full of discarded", SIZE - 16, vec![(None, 120), (None, 120)]),
        ("near 2^64", near_the_end_of_positions, vec![(Some(1), 13)]),
        ("near 2^64 and wrapped", near_the_end_of_positions + SIZE - 40, vec![(Some(1), 16)]),
    ]
    .into_iter()
    .map(|(name, start, records)| {
        // Bytes of earlier laps: wherever one looks, something like a submitted record.
        let stale = [Header::submitted(5).word().to_ne_bytes(), [0x5a; 4]].concat();
        let mut image = RingImage::from_bytes(RingSize::new(SIZE).unwrap(), start, start, &stale);
        let mut holds = vec![];
        for (n, len) in records {
            let sample = old(n.unwrap_or(0xdd), len as usize);
            let header = if n.is_some() { Header::submitted(len) } else { Header::discarded(len) };
            image.append(header, &sample);
            if n.is_some() {
                holds.push(sample);
            }
        }
        State { name, image, holds }
    })
    .collect()
}

fn ring(image: &RingImage) -> HeapMemory {
    let mut memory = HeapMemory::new(SIZE).unwrap();
    memory.restore(image).unwrap();
    memory
}

/// Repairs what a dead producer left. The answer is how many busy records became discarded; nothing else may need it.
fn repair_busy_records(memory: &HeapMemory) -> usize {
    let mut released = 0;
    let count = |repair| match repair {
        Repair::Discarded { .. } => released += 1,
        other => panic!("a crash left {other:?}"),
    };
    // SAFETY: the producer is dead.
    unsafe { repair(&memory, count) }.unwrap();
    released
}

/// Another process takes over, and uses every byte of the ring.
fn a_new_producer_goes_on(memory: &HeapMemory) {
    let kernel = FakeKernel::new(memory);
    let mut producer = Producer::attach(memory).unwrap();
    for lap in 0..2_u8 {
        let mut sent = vec![];
        for n in 0.. {
            let sample = vec![lap * 64 + n; usize::from(n) * 5];
            match producer.push(&sample) {
                Ok(_) => sent.push(sample),
                Err(why) => {
                    assert!(why.is_full(), "{why}");
                    break;
                }
            }
        }
        assert!(sent.len() > 3);
        let (drained, got) = kernel.collect(0);
        assert!(drained.returned.is_ok());
        assert_eq!(got, sent);
        // The kernel takes nothing across 2^64.
        if memory.kernel_load_producer() > u64::MAX - 2 * SIZE {
            break;
        }
    }
}

struct Seen {
    triples: usize,
    held_up: usize,
}

fn die_at_each_step(operation: &Operation, state: &State) -> Seen {
    let samples = samples_of(operation);
    let all = Journal::new(Crash::never());
    (operation.run)(Memory::new(&ring(&state.image), &all), &arguments(operation));
    let steps = all.crash.steps();
    let mut held_up = 0;
    for k in 0..=steps {
        let memory = ring(&state.image);
        let journal = Journal::new(Crash::after(k));
        (operation.run)(Memory::new(&memory, &journal), &arguments(operation));
        let place = format!("{} on a ring that is {}, dead after step {k} of {steps}", operation.name, state.name);
        assert_eq!(journal.crash.has_died(), k < steps, "{place}");

        // The kernel comes by at once: whole samples, in order, and no error.
        let kernel = FakeKernel::new(&memory);
        let (drained, mut got) = kernel.collect(0);
        assert!(drained.returned.is_ok(), "{place}: {drained:?}");
        let before_repair = got.len();
        let released = repair_busy_records(&memory);
        assert!(released == 0 || !operation.publishes_late, "{place}: {released} busy records");
        let (drained, behind) = kernel.collect(0);
        assert!(drained.returned.is_ok(), "{place}: {drained:?}");
        got.extend(behind);

        let submitted = journal.submitted(&samples, operation.publishes_late);
        assert_eq!(got, [state.holds.clone(), submitted.clone()].concat(), "{place}");
        assert!(released > 0 || before_repair == got.len(), "{place}: held up by nothing");
        if k == 0 {
            assert!(submitted.is_empty(), "{place}");
        }
        held_up += usize::from(released > 0);

        assert_eq!(memory.kernel_load_consumer(), memory.kernel_load_producer(), "{place}: jammed");
        a_new_producer_goes_on(&memory);
    }
    // With room, the whole operation leaves nothing to repair, and its samples arrive.
    let memory = ring(&state.image);
    let journal = Journal::new(Crash::never());
    (operation.run)(Memory::new(&memory, &journal), &arguments(operation));
    assert_eq!(repair_busy_records(&memory), 0, "{} on a ring that is {}", operation.name, state.name);
    if state.image.producer - state.image.consumer < SIZE / 2 {
        assert_eq!(journal.submitted(&samples, operation.publishes_late), samples, "{}", operation.name);
    }
    Seen { triples: usize::try_from(steps).unwrap() + 1, held_up }
}

/// What the operation writes: its samples, where it takes any.
fn arguments(operation: &Operation) -> Vec<Vec<u8>> {
    match operation.submits {
        0 => samples().to_vec(),
        _ => samples_of(operation),
    }
}

#[test]
fn a_producer_that_dies_after_any_step_leaves_whole_samples_or_nothing() {
    let states = states();
    let mut triples = 0;
    println!("{:<38} {:>7} {:>8}", "operation", "triples", "held up");
    for operation in OPERATIONS {
        let seen = states.iter().map(|state| die_at_each_step(operation, state));
        let (of_this, held_up) = seen.fold((0, 0), |(t, h), seen| (t + seen.triples, h + seen.held_up));
        println!("{:<38} {of_this:>7} {held_up:>8}", operation.name);
        assert_eq!(held_up > 0, !operation.publishes_late, "{}: only early publishing can hold up", operation.name);
        triples += of_this;
    }
    println!(
        "{} operations, {} states, {triples} triples (operation, state, step), all clean",
        OPERATIONS.len(),
        states.len()
    );
    assert!(triples > 1500, "{triples}");
}

#[test]
fn a_ring_that_crosses_two_to_the_64_keeps_its_records_whole_though_the_kernel_falls_silent() {
    let start = u64::MAX - 23;
    let image = RingImage::empty(RingSize::new(SIZE).unwrap(), start);
    let all = Journal::new(Crash::never());
    attached(Memory::new(&ring(&image), &all)).push(&[7; 40]).unwrap();
    for k in 0..=all.crash.steps() {
        let memory = ring(&image);
        let journal = Journal::new(Crash::after(k));
        attached(Memory::new(&memory, &journal)).push(&[7; 40]).unwrap();
        let after = memory.snapshot();
        if k < all.crash.steps() {
            assert_eq!(after.producer, start);
        } else {
            assert_eq!((after.producer, after.header_at(start)), (24, Header::submitted(40)));
        }
        assert_eq!(FakeKernel::new(&memory).collect(0).1.len(), 0, "the kernel compares positions as numbers");
        Producer::attach(&memory).unwrap().push(b"goes on").unwrap();
    }
}

/// Rings that need a repair: what lies in them, and what of it must arrive in the end.
fn jams() -> Vec<(&'static str, RingImage, Vec<Vec<u8>>)> {
    let size = RingSize::new(SIZE).unwrap();
    let kept = |n: u8| vec![n; 9];
    let with = |start, words: &[Header]| {
        let mut image = RingImage::empty(size, start);
        image.append(Header::submitted(9), &kept(1));
        words.iter().for_each(|header| image.append(*header, &[0xbb; 24]));
        image.append(Header::submitted(9), &kept(2));
        image
    };
    let mut beyond = with(SIZE - 16, &[]);
    beyond.append(Header::submitted(9), &kept(3));
    beyond.write(8, &Header::busy(200).word().to_ne_bytes()).unwrap();
    let mut unaligned = with(64, &[Header::busy(24)]);
    unaligned.producer += 3;
    let mut far_ahead = RingImage::empty(size, 3 * SIZE);
    (0..4).for_each(|n| far_ahead.append(Header::submitted(56), &[n; 56]));
    let all = (0..4).map(|n| vec![n; 56]).collect();
    far_ahead.producer += 40 * SIZE;
    vec![
        ("a busy head", with(8, &[Header::busy(24)]), vec![kept(1), kept(2)]),
        ("busy in two places", with(SIZE - 40, &[Header::busy(24), Header::busy(24)]), vec![kept(1), kept(2)]),
        ("a length beyond the position", beyond, vec![kept(1)]),
        ("an unaligned position", unaligned, vec![kept(1), kept(2)]),
        ("a position beyond the ring", far_ahead, all),
    ]
}

#[test]
fn a_repair_that_dies_after_any_step_is_done_again_and_keeps_what_can_be_reached() {
    let mut pairs = 0;
    for (name, image, kept) in jams() {
        for drains_between in [false, true] {
            let all = Journal::new(Crash::never());
            // SAFETY: there is no producer.
            unsafe { repair(&Memory::new(&ring(&image), &all), |_| ()) }.unwrap();
            for k in 0..=all.crash.steps() {
                let memory = ring(&image);
                let journal = Journal::new(Crash::after(k));
                // SAFETY: as above.
                unsafe { repair(&Memory::new(&memory, &journal), |_| ()) }.unwrap();
                let kernel = FakeKernel::new(&memory);
                // A drain of a ring whose position is far ahead takes old bytes for records: a few are enough.
                let got = |most: usize| {
                    let mut got = vec![];
                    let drained = kernel.drain(0, |sample| {
                        got.push(sample.to_vec());
                        if got.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    });
                    (drained.returned, got)
                };
                let mut taken = if drains_between { got(1).1 } else { vec![] };
                // SAFETY: as above.
                unsafe { repair(&&memory, |_| ()) }.unwrap();
                let (returned, rest) = got(usize::MAX);
                assert!(returned.is_ok(), "{name}: {returned:?} after a repair that died at step {k}");
                taken.extend(rest);
                // What lies behind a lost end can't be told from an earlier lap, so there may be more.
                assert_eq!(taken[..kept.len()], kept, "{name}, repair dead at step {k}");
                assert!(taken.len() == kept.len() || name == "a position beyond the ring", "{name}: {taken:?}");
                assert_eq!(memory.kernel_load_consumer(), memory.kernel_load_producer(), "{name}: jammed");
                a_new_producer_goes_on(&memory);
                pairs += 1;
            }
        }
    }
    println!("{pairs} (jam, step) pairs of dying repairs, all clean");
    assert!(pairs > 50, "{pairs}");
}
