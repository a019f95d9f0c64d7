//! Two threads on one ring: a shared producer, lanes of it, and what else one does: a mutex around an exclusive producer,
//! ours or libbpf's. The floor is what any ring must do that two threads write to record by record.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow, ensure};
use user_ringbuf_linux::{AutoLane, ContiguousMemory, Map, Mapping, Producer, Shared};

use super::rows::{OTHERWISE, beside_libbpf, check_number};
use crate::options::Options;
use crate::pair::together;
use crate::peers::floor::{self, FloorPages};
use crate::peers::libbpf::{self, LibbpfRing};
use crate::peers::ours::ours;
use crate::report::{Floors, Goal, Row, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, medians};
use crate::stats::nanoseconds_each;

const RING: u64 = 1024 * 1024;
const SIZE: u32 = 40;
/// Bytes that a thread takes at once for a lane: 64 records of a header and 40 bytes, less the first header.
const LANE: usize = IN_LANE * (8 + SIZE as usize) - 8;
const IN_LANE: usize = 64;

type Work<'a> = Box<dyn Fn(Range<u64>) -> Result<()> + Sync + 'a>;

/// A shared producer that no other thread uses, beside libbpf's calls with one atomic exchange more a sample, and beside
/// the stores that it must make with the two exchanges of one word by which it takes room and publishes.
pub(crate) fn alone(options: &Options, table: &mut Table) -> Result<()> {
    beside_libbpf(options, table, "one_thread/shared", SIZE, OTHERWISE, &check_number, |map, memory| {
        Ok(vec![
            ours("ours", memory.by_value(), Shared::attach, |shared, numbers| send_shared(shared, numbers)),
            exchanging::<false>(map)?,
            exchanging::<true>(map)?,
            libbpf::contender(map, |ring, numbers| {
                for number in numbers {
                    let sample = ring.reserve(SIZE)?;
                    EXCHANGED.swap(number, Ordering::AcqRel);
                    // SAFETY: the sample has 8 bytes or more, is ours, and is submitted once.
                    unsafe {
                        sample.cast::<u64>().write(number);
                        ring.submit(sample);
                    }
                }
                Ok(())
            })?,
        ])
    })
}

/// The word that the peers of [`alone`] exchange.
static EXCHANGED: AtomicU64 = AtomicU64::new(0);

fn exchanging<const CHECKED: bool>(map: &Map) -> Result<Contender<'static>> {
    floor::contender::<CHECKED>(map, |producer, numbers| {
        let (mut number, count) = (numbers.start, numbers.end - numbers.start);
        let exchange = |current, new| EXCHANGED.compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed);
        EXCHANGED.store(0, Ordering::Relaxed);
        // SAFETY: a burst is what the ring holds; contenders take turns; samples have `SIZE` bytes.
        unsafe {
            producer.publish::<1, CHECKED>(SIZE, count, |sample| {
                let _ = exchange(0, 1);
                sample.cast::<u64>().write(number);
                let _ = exchange(1, 0);
                number += 1;
            })
        }
    })
}

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let cases = ["two_threads/lanes", "two_threads/auto_lanes", "two_threads/shared"];
    if !cases.iter().any(|case| options.wants(case)) {
        return Ok(());
    }
    let mut ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    // A lane of each thread may be left half empty at the end of a burst, and an automatic one whenever the other thread has
    // reserved 8 times its length meanwhile: room for 9 samples is enough for 8.
    let each = ring.holds(SIZE) / 2 * 8 / 9 - 2 * IN_LANE as u64;
    let floor = FloorPages::new(ring.map())?;
    let place = Word(AtomicU64::new(0));
    let times = medians(options.rounds(), 6, |_, which| {
        let work: Work<'_> = match which {
            0 => lanes(&memory)?,
            1 => auto_lanes(&memory)?,
            2 => {
                let shared = Shared::attach(&memory)?;
                Box::new(move |numbers| send_shared(&shared, numbers))
            }
            3 => libbpf_locked(ring.map())?,
            4 => ours_locked(&memory)?,
            _ => contended_floor(&floor, &place),
        };
        let half = |thread: u64| {
            let (work, first) = (&work, thread << 32);
            move || work(first..first + each)
        };
        let (time, (), ()) = together(options.two_cores()?, half(0), half(1))?;
        drop(work);
        if which == 5 {
            // SAFETY: both threads have written what they took, and the other producers are gone.
            unsafe { floor.publish_up_to(place.0.load(Ordering::Relaxed)) };
        }
        let mut next = [0, 1 << 32];
        ring.empty_checked(2 * each, &mut |sample| check_order(sample, &mut next))?;
        Ok([nanoseconds_each(time, 2 * each)])
    })?;
    let times = times.concat();
    let (libbpf, locked, floor) = (times[3], times[4], times[5]);
    for (case, ours) in cases.into_iter().zip(times).filter(|(case, _)| options.wants(case)) {
        let floors = Floors { stores: Some(floor), checked: None };
        let goal = Some(Goal::TimesOrOfFloor(3.0, 1.25));
        table.add(Row { goal, floors, ..Row::new(case, "libbpf, mutex", ours, libbpf) });
        table.add(Row { floors, ..Row::new(case, "ours, mutex", ours, locked) });
    }
    Ok(())
}

/// The word from which the floor's threads take their places, on a cache line of its own.
#[repr(align(128))]
struct Word(AtomicU64);

/// A fetch-and-add on one word, and the record's header and first bytes: records of two threads share cache lines.
fn contended_floor<'a>(pages: &'a FloorPages, Word(place): &'a Word) -> Work<'a> {
    place.store(pages.published(), Ordering::Relaxed);
    Box::new(move |numbers| {
        // SAFETY: both threads' samples fit the ring, which is empty; samples have `SIZE` bytes.
        unsafe { pages.write_contended(place, SIZE, numbers) };
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
    Ok(Box::new(move |mut numbers| {
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
    Ok(Box::new(move |numbers| {
        let mut handle = AutoLane::new(&shared);
        for number in numbers {
            let mut sample = handle.reserve(SIZE as usize)?;
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            sample.submit();
        }
        Ok(())
    }))
}

fn send_shared<M: ContiguousMemory>(shared: &Shared<M>, numbers: Range<u64>) -> Result<()> {
    for number in numbers {
        let mut sample = shared.reserve(SIZE as usize)?;
        sample[..8].copy_from_slice(&number.to_ne_bytes());
        sample.submit();
    }
    Ok(())
}

fn ours_locked(memory: &Mapping) -> Result<Work<'_>> {
    let producer = Mutex::new(Producer::attach(memory)?);
    Ok(Box::new(move |numbers| {
        for number in numbers {
            let mut locked = producer.lock().map_err(|_| anyhow!("the other thread panicked"))?;
            let mut sample = locked.reserve(SIZE as usize)?;
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            sample.submit();
        }
        Ok(())
    }))
}

/// Reserving needs the lock; submitting does not, as libbpf promises.
fn libbpf_locked(map: &Map) -> Result<Work<'static>> {
    let ring = Mutex::new(LibbpfRing::new(map)?);
    Ok(Box::new(move |numbers| {
        for number in numbers {
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
