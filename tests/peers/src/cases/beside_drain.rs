//! Producer and kernel at once, on two cores. The drains wake, as they do by default; nothing waits.
//!
//! *Roomy*: the ring holds everything, so the producer never waits, and its own time counts: the kernel is not the
//! limit. *Full*: the ring is small, the producer retries until there is room, and the time until the kernel has taken
//! the last sample counts: the kernel is the limit.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use user_ringbuf_linux::{DrainProgram, Mapping, Producer, ReserveError, WakeupFlags};

use crate::options::Options;
use crate::pair::{Patience, drain_until, together};
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Row, Table};
use crate::ring::TestRing;
use crate::rounds::medians;
use crate::stats::nanoseconds_each;

const SIZE: u32 = 40;
const SAMPLES: u64 = 50_000;

const RINGS: [(&str, u64); 2] = [("roomy", 4 * 1024 * 1024), ("full", 64 * 1024)];

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (room, bytes) in RINGS {
        let case = format!("beside_drain/{room}");
        if options.wants(&case) {
            let times = measure(options, bytes, room == "roomy")?;
            table.add(Row::new(case, "libbpf", times[0], times[1]));
        }
    }
    Ok(())
}

/// Nanoseconds a sample, ours and libbpf's.
fn measure(options: &Options, bytes: u64, roomy: bool) -> Result<Vec<f64>> {
    let mut ring = TestRing::new(bytes)?;
    ensure!(!roomy || ring.holds(SIZE) >= SAMPLES, "the ring is meant to hold everything");
    let memory = Mapping::new(ring.map())?;
    let mut theirs = LibbpfRing::new(ring.map())?;
    let mut drain = DrainProgram::load(ring.map(), 0)?;
    let times = medians(options.rounds(), 2, |_, which| {
        let drain_all = || drain_until(&mut drain, WakeupFlags::IF_CONSUMED, SAMPLES);
        let (whole, produced, _) = if which == 0 {
            let mut producer = Producer::attach(&memory)?;
            together(options.two_cores()?, move || ours_all(&mut producer), drain_all)?
        } else {
            together(options.two_cores()?, || libbpf_all(&mut theirs), drain_all)?
        };
        ring.empty(0)?;
        Ok([nanoseconds_each(if roomy { produced } else { whole }, SAMPLES)])
    })?;
    Ok(times.concat())
}

fn ours_all(producer: &mut Producer<&Mapping>) -> Result<Duration> {
    let start = Instant::now();
    for number in 0..SAMPLES {
        let mut patience = Patience::default();
        let mut sample = loop {
            match producer.reserve(SIZE as usize) {
                Ok(sample) => break sample,
                Err(ReserveError::Full { .. }) => patience.wait(),
                Err(why) => return Err(why.into()),
            }
        };
        sample[..8].copy_from_slice(&number.to_ne_bytes());
        sample.submit();
    }
    Ok(start.elapsed())
}

fn libbpf_all(ring: &mut LibbpfRing) -> Result<Duration> {
    let start = Instant::now();
    for number in 0..SAMPLES {
        let mut patience = Patience::default();
        let sample = loop {
            match ring.reserve(SIZE) {
                Ok(sample) => break sample,
                Err(why) if why.raw_os_error() == Some(libc::ENOSPC) => patience.wait(),
                Err(why) => return Err(why.into()),
            }
        };
        // SAFETY: the sample has 8 bytes or more and is ours, and it is submitted once.
        unsafe {
            sample.cast::<u64>().write(number);
            ring.submit(sample);
        }
    }
    Ok(start.elapsed())
}
