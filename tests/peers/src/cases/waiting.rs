//! Waiting for room on a ring that is partly full: CPU time for each second of waiting.
//!
//! The ring has room, but not for the sample: a level-triggered wait, such as libbpf's, finds the map writable at once
//! and again, and so spins.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rustix::time::{ClockId, clock_gettime};
use user_ringbuf_linux::{BlockingError, EpollWaiter, Mapping, Producer};

use crate::options::Options;
use crate::peers::libbpf::Ring;
use crate::report::{Goal, Row, Table, Unit};
use crate::ring::TestRing;
use crate::stats::median;

const RING: u64 = 64 * 1024;
/// Leaves a quarter of the ring free.
const IN_THE_WAY: usize = 48 * 1024 - 8;
/// Does not fit into that quarter.
const WANTED: u32 = 32 * 1024;
const WAIT: Duration = Duration::from_millis(200);
/// Waits are long and need no hundred rounds.
const MOST_ROUNDS: usize = 31;
/// Half a percent of a core, in nanoseconds of CPU time a second.
const GOAL: f64 = 0.005 * 1e9;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let case = "waiting/cpu_per_second";
    if !options.wants(case) {
        return Ok(());
    }
    let ring = TestRing::new(RING)?;
    let mut theirs = Ring::new(ring.map())?;
    let mut producer = Producer::attach(Mapping::new(ring.map())?)?;
    let mut waiter = EpollWaiter::new(ring.map())?;
    producer.reserve(IN_THE_WAY)?.submit();
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..options.rounds().min(MOST_ROUNDS) {
        times[0].push(cpu_per_second(|| match producer.reserve_blocking(WANTED as usize, &mut waiter, Some(WAIT)) {
            Err(BlockingError::TimedOut { .. }) => Ok(()),
            other => bail!("ours did not wait: {other:?}"),
        })?);
        times[1].push(cpu_per_second(|| {
            let answer = theirs.reserve_blocking(WANTED, i32::try_from(WAIT.as_millis())?);
            ensure!(answer.is_err(), "libbpf found room where there is none");
            Ok(())
        })?);
    }
    let [ours, theirs] = times.map(|times| median(&times));
    let goal = Some(Goal::AtMost(GOAL));
    table.add(Row { case: case.into(), peer: "libbpf", unit: Unit::Nanoseconds, ours, theirs, goal });
    Ok(())
}

/// This thread's CPU time during `wait`, in nanoseconds for each second.
fn cpu_per_second(wait: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (cpu, wall) = (now(ClockId::ThreadCPUTime)?, now(ClockId::Monotonic)?);
    wait()?;
    let (cpu, wall) = (now(ClockId::ThreadCPUTime)? - cpu, now(ClockId::Monotonic)? - wall);
    ensure!(wall >= WAIT / 2, "the wait was over after {wall:?}");
    Ok(cpu.as_secs_f64() / wall.as_secs_f64() * 1e9)
}

fn now(clock: ClockId) -> Result<Duration> {
    let now = clock_gettime(clock);
    Ok(Duration::new(u64::try_from(now.tv_sec)?, u32::try_from(now.tv_nsec)?))
}
