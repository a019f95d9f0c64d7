//! One sample that is drained at once by the thread that has published it: from submit to the BPF callback, and until the
//! drain has returned, which includes the wakeup.

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use user_ringbuf_linux::{Mapping, Producer, WakeupFlags};

use super::clocked::Clocked;
use crate::options::Options;
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Row, Table};
use crate::ring::TestRing;
use crate::rounds::{WARM_UP, turns};
use crate::stats::percentile;

const RING: u64 = 64 * 1024;
const SAMPLE: [u8; 40] = [7; 40];
/// Samples per round and contender.
const SAMPLES: usize = 20;

/// Nanoseconds until the callback and until the return, sample by sample.
type Delays = [Vec<f64>; 2];

pub(super) fn run(options: &Options, table: &mut Table, mode: &str, flags: WakeupFlags) -> Result<()> {
    let case = format!("whole_way/{mode}/one_sample");
    if !options.wants(&case) {
        return Ok(());
    }
    let [ours, theirs] = measure(options, flags)?;
    for (part, of) in [("callback", 0), ("return", 1)] {
        for percent in [50, 99] {
            let [ours, theirs] = [&ours, &theirs].map(|delays| percentile(&delays[of], percent));
            table.add(Row::new(format!("{case}/{part}/p{percent}"), "libbpf, drained at once", ours, theirs));
        }
    }
    Ok(())
}

fn measure(options: &Options, flags: WakeupFlags) -> Result<[Delays; 2]> {
    let ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    let mut libbpf = LibbpfRing::new(ring.map())?;
    let mut drain = Clocked::load(ring.map())?;
    let mut delays = [const { [Vec::new(), Vec::new()] }; 2];
    for (round, which) in turns(WARM_UP + options.rounds(), 2) {
        let mut producer = Producer::attach(&memory)?;
        for _ in 0..SAMPLES {
            let submitted = if which == 0 {
                let mut sample = producer.reserve(SAMPLE.len())?;
                sample.copy_from_slice(&SAMPLE);
                let now = nanoseconds()?;
                sample.submit();
                now
            } else {
                let sample = libbpf.reserve(u32::try_from(SAMPLE.len())?)?;
                // SAFETY: the sample is as long and ours, and it is submitted once.
                unsafe {
                    sample.cast::<[u8; SAMPLE.len()]>().write(SAMPLE);
                    let now = nanoseconds()?;
                    libbpf.submit(sample);
                    now
                }
            };
            let called = drain.drain(flags)?;
            let returned = nanoseconds()?;
            if round >= WARM_UP {
                for (delays, at) in delays[which].iter_mut().zip([called, returned]) {
                    let delay = u32::try_from(at.checked_sub(submitted).context("the clock went back")?)?;
                    delays.push(f64::from(delay));
                }
            }
        }
    }
    Ok(delays)
}

/// The clock that `bpf_ktime_get_ns` reads.
fn nanoseconds() -> Result<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}
