//! Two threads on one ring: a shared producer, lanes of it, and what else one does: a mutex around an exclusive producer,
//! ours or libbpf's.

use std::sync::Mutex;

use anyhow::{Result, anyhow, ensure};
use user_ringbuf_linux::{Mapping, Producer, Shared};

use crate::options::Options;
use crate::pair::together;
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Goal, Row, Table, Unit};
use crate::ring::TestRing;
use crate::stats::{median, nanoseconds_each};

const RING: u64 = 1024 * 1024;
const SIZE: u32 = 40;
/// Bytes that a thread takes at once for a lane: 64 records of a header and 40 bytes, less the first header.
const LANE: usize = IN_LANE * (8 + SIZE as usize) - 8;
const IN_LANE: usize = 64;

type Work<'a> = Box<dyn Fn(u64, u64) -> Result<()> + Sync + 'a>;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let cases = [("two_threads/lanes", 10.0), ("two_threads/shared", 1.5)];
    if !cases.iter().any(|(case, _)| options.wants(case)) {
        return Ok(());
    }
    let mut ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    // A lane of each thread may be left half empty at the end of a burst.
    let each = ring.holds(SIZE) / 2 - 2 * IN_LANE as u64;
    let mut times = [const { Vec::new() }; 4];
    for round in 0..options.rounds() + 1 {
        for turn in 0..times.len() {
            let which = (turn + round) % times.len();
            let work: Work<'_> = match which {
                0 => lanes(&memory)?,
                1 => shared(&memory)?,
                2 => libbpf_locked(&ring)?,
                _ => ours_locked(&memory)?,
            };
            let half = |thread: u64| {
                let work = &work;
                move || work(thread << 32, each)
            };
            let (time, (), ()) = together(options.two_cores()?, half(0), half(1))?;
            let mut next = [0, 1 << 32];
            ring.empty_checked(2 * each, &mut |sample| check_order(sample, &mut next))?;
            if round > 0 {
                times[which].push(nanoseconds_each(time, 2 * each));
            }
        }
    }
    let [lanes, shared, libbpf, locked] = times.map(|times| median(&times));
    for ((case, times), ours) in cases.into_iter().zip([lanes, shared]) {
        if !options.wants(case) {
            continue;
        }
        let goal = Some(Goal::Times(times));
        for (peer, theirs, goal) in [("libbpf, mutex", libbpf, goal), ("ours, mutex", locked, None)] {
            table.add(Row { case: case.to_owned(), peer, unit: Unit::Nanoseconds, ours, theirs, goal, floor: None });
        }
    }
    Ok(())
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

fn shared(memory: &Mapping) -> Result<Work<'_>> {
    let shared = Shared::attach(memory)?;
    Ok(Box::new(move |first, count| {
        for number in first..first + count {
            let mut sample = shared.reserve(SIZE as usize)?;
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            sample.submit();
        }
        Ok(())
    }))
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
