//! What the cases share: the ring, what waits were like, and a consumer.

use std::hint::spin_loop;
use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use user_ringbuf_kit::usage::thread_cpu;
use user_ringbuf_linux::{DrainOptions, DrainProgram, WakeupFlags};

use crate::report::{Goal, Row, Table, Unit};

pub(super) const RING: u64 = 64 * 1024;
/// Leaves a quarter of the ring free.
pub(super) const IN_THE_WAY: usize = 48 * 1024 - 8;
/// Does not fit into that quarter.
pub(super) const WANTED: u32 = 32 * 1024;
/// Half a percent of a core, in nanoseconds of CPU time per second.
pub(super) const CPU_GOAL: f64 = 0.005 * 1e9;

pub(super) const MODES: [(&str, WakeupFlags); 2] =
    [("waking", WakeupFlags::IF_CONSUMED), ("no_wakeup", WakeupFlags::NEVER)];

/// What the waits of one contender were like.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// From the drain to the wake-up.
    delays: Vec<f64>,
    cpu: Duration,
    waited: Duration,
}

impl Waits {
    /// Waits, and learns afterwards when the drain was.
    pub(super) fn wait(&mut self, wait: impl FnOnce() -> Result<()>, drained: &Receiver<Instant>) -> Result<()> {
        let (cpu, began) = (thread_cpu(), Instant::now());
        wait()?;
        let woken = Instant::now();
        self.cpu += thread_cpu().saturating_sub(cpu);
        self.waited += woken - began;
        self.delays.push(woken.saturating_duration_since(drained.recv()?).as_secs_f64() * 1e9);
        Ok(())
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.delays.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }

    fn cpu_per_second(&self) -> f64 {
        self.cpu.as_secs_f64() / self.waited.as_secs_f64() * 1e9
    }
}

/// A row for each figure of ours beside the peer's.
pub(super) fn add_rows(table: &mut Table, case: &str, peer: &'static str, ours: &Waits, theirs: &Waits, goals: Goals) {
    let mut add = |figure: &str, of: &dyn Fn(&Waits) -> f64, goal| {
        let (case, unit) = (format!("{case}/{figure}"), Unit::Nanoseconds);
        table.add(Row { case, peer, unit, ours: of(ours), theirs: of(theirs), goal, floor: None });
    };
    add("p50", &|waits| waits.percentile(50), goals.p50);
    add("p99", &|waits| waits.percentile(99), None);
    add("cpu_per_second", &Waits::cpu_per_second, goals.cpu);
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Goals {
    pub(super) p50: Option<Goal>,
    pub(super) cpu: Option<Goal>,
}

/// A consumer that drains after each pause that it is sent, and says when that was.
///
/// It spins through pauses below a millisecond, so that they are what was asked for.
pub(super) fn drain_when_asked(
    mut drain: DrainProgram,
    flags: WakeupFlags,
    pauses: &Receiver<Duration>,
    tell: &Sender<Instant>,
) -> Result<()> {
    let options = DrainOptions::new().wakeup(flags);
    for pause in pauses {
        let began = Instant::now();
        until(began + pause, pause);
        let at = Instant::now();
        let drained = drain.run(&options)?.returned().map_err(io::Error::from)?;
        ensure!(drained == 1, "one sample was submitted, and {drained} came");
        if tell.send(at).is_err() {
            break;
        }
    }
    Ok(())
}

/// Returns at this moment. The last pause decides how: below a millisecond it spins.
pub(super) fn until(moment: Instant, pause: Duration) {
    if pause >= Duration::from_millis(1) {
        sleep(moment.saturating_duration_since(Instant::now()));
    }
    while Instant::now() < moment {
        spin_loop();
    }
}
