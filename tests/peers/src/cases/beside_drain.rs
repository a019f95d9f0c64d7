//! Producer and kernel at once, on two cores. The drains wake, as they do by default; nothing waits.
//!
//! *Roomy*: the ring holds everything, so the producer never waits, and its own time counts: the kernel is not the
//! limit. *Full*: the ring is small, the producer retries until there is room, and the time until the kernel has taken
//! the last sample counts: the kernel is the limit.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Mapping, Producer, ReserveError};

use super::rows::add_row;
use crate::options::Options;
use crate::pair::{Patience, together};
use crate::peers::libbpf::LibbpfRing;
use crate::report::Table;
use crate::ring::TestRing;
use crate::stats::{median, nanoseconds_each};

const SIZE: u32 = 40;
const SAMPLES: u64 = 50_000;
/// Longer than any round takes.
const STUCK: Duration = Duration::from_secs(20);

const RINGS: [(&str, u64); 2] = [("roomy", 4 * 1024 * 1024), ("full", 64 * 1024)];

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (room, bytes) in RINGS {
        let case = format!("beside_drain/{room}");
        if options.wants(&case) {
            let [ours, theirs] = measure(options, bytes, room == "roomy")?;
            add_row(table, &case, ours, ("libbpf", theirs), None, None);
        }
    }
    Ok(())
}

/// Nanoseconds a sample, ours and libbpf's.
fn measure(options: &Options, bytes: u64, roomy: bool) -> Result<[f64; 2]> {
    let mut ring = TestRing::new(bytes)?;
    ensure!(!roomy || ring.holds(SIZE) >= SAMPLES, "the ring is meant to hold everything");
    let memory = Mapping::new(ring.map())?;
    let mut theirs = LibbpfRing::new(ring.map())?;
    let mut drain = DrainProgram::load(ring.map(), 0)?;
    let mut times = [const { Vec::new() }; 2];
    for round in 0..options.rounds() + 1 {
        for turn in 0..times.len() {
            let which = (turn + round) % times.len();
            let mut drain_all = || drain_until(&mut drain, SAMPLES);
            let (whole, produced, ()) = if which == 0 {
                let mut producer = Producer::attach(&memory)?;
                together(options.two_cores()?, move || ours_all(&mut producer), &mut drain_all)?
            } else {
                together(options.two_cores()?, || libbpf_all(&mut theirs), &mut drain_all)?
            };
            ring.empty(0)?;
            if round > 0 {
                times[which].push(nanoseconds_each(if roomy { produced } else { whole }, SAMPLES));
            }
        }
    }
    Ok(times.map(|times| median(&times)))
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

fn drain_until(drain: &mut DrainProgram, samples: u64) -> Result<()> {
    let options = DrainOptions::new();
    let start = Instant::now();
    let mut came = 0;
    while came < samples {
        came += u64::from(drain.run(&options)?.returned().map_err(io::Error::from)?);
        if start.elapsed() > STUCK {
            bail!("{samples} samples were submitted, and only {came} came within {STUCK:?}");
        }
    }
    ensure!(came == samples, "{samples} samples were submitted, and {came} came");
    Ok(())
}
