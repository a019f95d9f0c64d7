//! Every operation of every producer, on rings in several states, dies after each single memory operation. A drainer
//! then sees whole samples or nothing, and exactly those that were submitted; a new producer attaches and goes on.
//!
//! What publishes late leaves nothing behind. What publishes early, with the busy bit, may leave a busy record at which
//! the ring stops, and a repair frees it. A repair that dies itself is simply done again.
#![cfg(feature = "proof")]
#![expect(unsafe_code, reason = "repairs rings, and states that their producers are dead")]

mod deeds;
mod journal;
mod repair;

use user_ringbuf_sim::proof::model::{Predictor, Queue};
use user_ringbuf_sim::{Crash, FakeKernel, HeapMemory, KernelMemory, RawAccess, RingImage};
use user_ringbuf_sim::{Header, Producer, Repair, RingSize, repair};

use deeds::{Deed, deeds};
use journal::{Journal, Memory, SIZE};

fn attach(memory: Memory<'_>) -> Producer<Memory<'_>> {
    Producer::attach(memory).expect("every state is a legal ring")
}

/// A ring as it was left by earlier producers: its positions, and what a drain of it gives.
struct RingState {
    name: &'static str,
    image: RingImage,
    holds: Vec<Vec<u8>>,
}

fn states() -> Vec<RingState> {
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
        // Bytes of earlier laps: every eight of them look like a submitted record.
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
        RingState { name, image, holds }
    })
    .collect()
}

fn ring(image: &RingImage) -> HeapMemory {
    let mut memory = HeapMemory::new(SIZE).unwrap();
    memory.restore(image).unwrap();
    memory
}

/// Repairs what a dead producer left. Returns how many busy records became discarded; nothing else may need a repair.
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

/// Returns how many steps were tried, and how many of them held up the ring.
fn die_at_each_step(deed: &Deed, state: &RingState) -> (u64, u64) {
    let before = Predictor::new(match deed.raw {
        None => Queue::from_image(&state.image).unwrap(),
        // What finds no room is left out one by one in a program, and together here.
        Some(_) => Queue::new(state.image.size(), 0),
    });
    let held = before.submitted().len();
    let after = deed.predicted(before);
    let samples = &after[held..];
    // Alive to the end, it leaves nothing to repair, and everything that found room arrives.
    let (memory, all) = (ring(&state.image), Journal::new(Crash::never()));
    deed.run(&memory, &all);
    assert_eq!(repair_busy_records(&memory), 0, "{} on a ring that is {}", deed.name, state.name);
    let has_room = state.image.producer - state.image.consumer < SIZE / 2;
    if has_room || deed.raw.is_none() {
        assert_eq!(all.submitted(samples, deed.publishes_late), samples, "{}", deed.name);
    }
    if has_room {
        assert_eq!(samples.len(), deed.submits, "{} on a ring that is {}", deed.name, state.name);
    }
    let steps = all.crash.steps();
    let mut held_up = 0;
    for k in 0..=steps {
        let memory = ring(&state.image);
        let journal = Journal::new(Crash::after(k));
        deed.run(&memory, &journal);
        let place = format!("{} on a ring that is {}, dead after step {k} of {steps}", deed.name, state.name);
        assert_eq!(journal.crash.has_died(), k < steps, "{place}");

        // The kernel comes by at once: whole samples, in order, and no error.
        let kernel = FakeKernel::new(&memory);
        let (drained, mut got) = kernel.collect(0);
        assert!(drained.returned.is_ok(), "{place}: {drained:?}");
        let before_repair = got.len();
        let released = repair_busy_records(&memory);
        assert!(released == 0 || !deed.publishes_late, "{place}: {released} busy records");
        let (drained, behind) = kernel.collect(0);
        assert!(drained.returned.is_ok(), "{place}: {drained:?}");
        got.extend(behind);

        let submitted = journal.submitted(samples, deed.publishes_late);
        assert_eq!(got, [state.holds.clone(), submitted.clone()].concat(), "{place}");
        assert!(released > 0 || before_repair == got.len(), "{place}: held up by nothing");
        if k == 0 {
            assert!(submitted.is_empty(), "{place}");
        }
        held_up += u64::from(released > 0);

        assert_eq!(memory.kernel_load_consumer(), memory.kernel_load_producer(), "{place}: jammed");
        a_new_producer_goes_on(&memory);
    }
    (steps + 1, held_up)
}

#[test]
fn a_producer_that_dies_after_any_step_leaves_whole_samples_or_nothing() {
    let (deeds, states) = (deeds(), states());
    let mut triples = 0;
    println!("{:<38} {:>7} {:>8}", "operation", "triples", "held up");
    for deed in &deeds {
        let tried = states.iter().map(|state| die_at_each_step(deed, state));
        let (of_this, held_up) = tried.fold((0, 0), |sum, tried| (sum.0 + tried.0, sum.1 + tried.1));
        println!("{:<38} {of_this:>7} {held_up:>8}", deed.name);
        assert_eq!(held_up > 0, !deed.publishes_late, "{}: only early publishing can hold up", deed.name);
        triples += of_this;
    }
    println!(
        "{} operations, {} states, {triples} triples (operation, state, step), all clean",
        deeds.len(),
        states.len()
    );
    assert!(triples > 1500, "{triples}");
}

#[test]
fn a_ring_that_crosses_two_to_the_64_keeps_its_records_whole_though_the_kernel_falls_silent() {
    let start = u64::MAX - 23;
    let image = RingImage::empty(RingSize::new(SIZE).unwrap(), start);
    let all = Journal::new(Crash::never());
    attach(Memory::new(&ring(&image), &all)).push(&[7; 40]).unwrap();
    for k in 0..=all.crash.steps() {
        let memory = ring(&image);
        let journal = Journal::new(Crash::after(k));
        attach(Memory::new(&memory, &journal)).push(&[7; 40]).unwrap();
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
