//! Two threads on one ring: a shared producer, lanes of it, and what else one does: a mutex around an exclusive producer,
//! ours or libbpf's. The floor is what any ring must do that two threads write to record by record.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use user_ringbuf_linux::{AutoLane, Mapping, Producer, Shared};

use super::rows::{OTHERWISE, SMALL_RING, add_row, add_rows, check_number};
use crate::options::Options;
use crate::pair::together;
use crate::peers::floor::{Floor, FloorPages};
use crate::peers::libbpf::{Libbpf, LibbpfRing};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::stats::{median, nanoseconds_each};

const RING: u64 = 1024 * 1024;
const SIZE: u32 = 40;
/// Bytes that a thread takes at once for a lane: 64 records of a header and 40 bytes, less the first header.
const LANE: usize = IN_LANE * (8 + SIZE as usize) - 8;
const IN_LANE: usize = 64;

type Work<'a> = Box<dyn Fn(u64, u64) -> Result<()> + Sync + 'a>;

/// A shared producer that no other thread uses, beside libbpf's calls with one atomic exchange more a sample, and beside
/// the stores that it must make with the two exchanges of one word by which it takes room and publishes.
pub(crate) fn alone(options: &Options, table: &mut Table) -> Result<()> {
    let case = "one_thread/shared";
    if !options.wants(case) {
        return Ok(());
    }
    let mut ring = TestRing::new(SMALL_RING)?;
    let memory = Mapping::new(ring.map())?;
    let word = AtomicU64::new(0);
    let mut contenders: Vec<Box<dyn Contender + '_>> = vec![
        Box::new(Alone { memory: &memory, shared: None }),
        Box::new(Floor::new(ring.map(), |pages, first, count| {
            let mut number = first;
            let exchange = |current, new| word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed);
            word.store(0, Ordering::Relaxed);
            // SAFETY: a burst is what the ring holds; contenders take turns; samples have `SIZE` bytes.
            unsafe {
                pages.publish::<1>(SIZE, count, |sample| {
                    let _ = exchange(0, 1);
                    sample.cast::<u64>().write(number);
                    let _ = exchange(1, 0);
                    number += 1;
                });
            }
        })?),
        Box::new(Libbpf::new(ring.map(), |ring, first, count| {
            for number in first..first + count {
                let sample = ring.reserve(SIZE)?;
                word.swap(number, Ordering::AcqRel);
                // SAFETY: the sample has 8 bytes or more, is ours, and is submitted once.
                unsafe {
                    sample.cast::<u64>().write(number);
                    ring.submit(sample);
                }
            }
            Ok(())
        })?),
    ];
    let plan = Plan { rounds: options.rounds(), burst: ring.holds(SIZE), bursts: 1 };
    let times = compare(&mut ring, plan, &mut contenders, &check_number)?;
    add_rows(table, case, &contenders, &times, Goal::OfFloor(OTHERWISE));
    Ok(())
}

struct Alone<'m> {
    memory: &'m Mapping,
    /// From `begin` on.
    shared: Option<Shared<&'m Mapping>>,
}

impl Contender for Alone<'_> {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn begin(&mut self) -> Result<()> {
        // A ring has one producer at a time.
        self.shared = None;
        self.shared = Some(Shared::attach(self.memory)?);
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        // Dropped at the end, so that the next contender finds the ring without a producer.
        let shared = self.shared.take().context("there is a producer after `begin`")?;
        send_shared(&shared, first, count)
    }
}

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let cases = ["two_threads/lanes", "two_threads/auto_lanes", "two_threads/shared"];
    if !cases.iter().any(|case| options.wants(case)) {
        return Ok(());
    }
    let mut ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    // A lane of each thread may be left half empty at the end of a burst.
    let each = ring.holds(SIZE) / 2 - 2 * IN_LANE as u64;
    let floor = FloorPages::new(ring.map())?;
    let place = Word(AtomicU64::new(0));
    let mut times = [const { Vec::new() }; 6];
    for round in 0..options.rounds() + 1 {
        for turn in 0..times.len() {
            let which = (turn + round) % times.len();
            let work: Work<'_> = match which {
                0 => lanes(&memory)?,
                1 => auto_lanes(&memory)?,
                2 => shared(&memory)?,
                3 => libbpf_locked(&ring)?,
                4 => ours_locked(&memory)?,
                _ => contended_floor(&floor, &place),
            };
            let half = |thread: u64| {
                let work = &work;
                move || work(thread << 32, each)
            };
            let (time, (), ()) = together(options.two_cores()?, half(0), half(1))?;
            drop(work);
            if which == 5 {
                // SAFETY: both threads have written what they took, and the other producers are gone.
                unsafe { floor.publish_up_to(place.0.load(Ordering::Relaxed)) };
            }
            let mut next = [0, 1 << 32];
            ring.empty_checked(2 * each, &mut |sample| check_order(sample, &mut next))?;
            if round > 0 {
                times[which].push(nanoseconds_each(time, 2 * each));
            }
        }
    }
    let [lanes, auto_lanes, shared, libbpf, locked, floor] = times.map(|times| median(&times));
    for (case, ours) in cases.into_iter().zip([lanes, auto_lanes, shared]) {
        if !options.wants(case) {
            continue;
        }
        add_row(table, case, ours, ("libbpf, mutex", libbpf), Some(floor), Some(Goal::Times(3.0)));
        add_row(table, case, ours, ("ours, mutex", locked), Some(floor), None);
    }
    Ok(())
}

/// The word from which the floor's threads take their places, on a cache line of its own.
#[repr(align(128))]
struct Word(AtomicU64);

/// A fetch-and-add on one word, and the record's header and first bytes: records of two threads share cache lines.
fn contended_floor<'a>(pages: &'a FloorPages, Word(place): &'a Word) -> Work<'a> {
    place.store(pages.published(), Ordering::Relaxed);
    Box::new(move |first, count| {
        // SAFETY: both threads' samples fit the ring, which is empty; samples have `SIZE` bytes.
        unsafe { pages.write_contended(place, SIZE, first..first + count) };
        Ok(())
    })
}

/// Each thread's samples come in its own order.
fn check_order(sample: &[u8], next: &mut [u64; 2]) -> Result<()> {
    let number = sample.first_chunk().copied().map(u64::from_ne_bytes).ok_or_else(|| anyhow!("a sample too short"))?;
    let next = next.get_mut(usize::try_from(number >> 32)?).ok_or_else(|| anyhow!("a sample of no thread"))?;
    ensure!(number == *next, "sample {number} came where {next} was next");
    *next += 1;
    Ok(())
}

fn lanes(memory: &Mapping) -> Result<Work<'_>> {
    let shared = Shared::attach(memory)?;
    Ok(Box::new(move |first, count| {
        let mut numbers = first..first + count;
        while !numbers.is_empty() {
            let mut lane = shared.lane(LANE)?;
            for number in numbers.by_ref().take(IN_LANE) {
                let mut sample = lane.reserve(SIZE as usize)?;
                sample[..8].copy_from_slice(&number.to_ne_bytes());
                sample.submit();
            }
        }
        Ok(())
    }))
}

fn auto_lanes(memory: &Mapping) -> Result<Work<'_>> {
    let shared = Shared::attach(memory)?;
    Ok(Box::new(move |first, count| {
        let mut handle = AutoLane::new(&shared);
        for number in first..first + count {
            let mut sample = handle.reserve(SIZE as usize)?;
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            sample.submit();
        }
        Ok(())
    }))
}

fn shared(memory: &Mapping) -> Result<Work<'_>> {
    let shared = Shared::attach(memory)?;
    Ok(Box::new(move |first, count| send_shared(&shared, first, count)))
}

fn send_shared(shared: &Shared<&Mapping>, first: u64, count: u64) -> Result<()> {
    for number in first..first + count {
        let mut sample = shared.reserve(SIZE as usize)?;
        sample[..8].copy_from_slice(&number.to_ne_bytes());
        sample.submit();
    }
    Ok(())
}

fn ours_locked(memory: &Mapping) -> Result<Work<'_>> {
    let producer = Mutex::new(Producer::attach(memory)?);
    Ok(Box::new(move |first, count| {
        for number in first..first + count {
            let mut locked = producer.lock().map_err(|_| anyhow!("the other thread panicked"))?;
            let mut sample = locked.reserve(SIZE as usize)?;
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            sample.submit();
        }
        Ok(())
    }))
}

/// Reserving needs the lock; submitting does not, as libbpf promises.
fn libbpf_locked(ring: &TestRing) -> Result<Work<'static>> {
    let ring = Mutex::new(LibbpfRing::new(ring.map())?);
    Ok(Box::new(move |first, count| {
        for number in first..first + count {
            let mut locked = ring.lock().map_err(|_| anyhow!("the other thread panicked"))?;
            let sample = locked.reserve(SIZE)?;
            let submitter = locked.submitter();
            drop(locked);
            // SAFETY: the sample has 8 bytes or more and is this thread's, it is submitted once, and the ring lives.
            unsafe {
                sample.cast::<u64>().write(number);
                submitter.submit(sample);
            }
        }
        Ok(())
    }))
}
