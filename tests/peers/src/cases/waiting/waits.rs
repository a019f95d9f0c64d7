//! What the cases share: the ring, what waits were like, and a consumer.

use std::hint::spin_loop;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use user_ringbuf_kit::usage::thread_cpu;
use user_ringbuf_linux::{DrainOptions, DrainProgram, WakeupFlags};

use crate::affinity;
use crate::report::{Goal, Row, Table};
use crate::stats::percentile;

pub(super) const RING: u64 = 64 * 1024;
/// Leaves a quarter of the ring free.
pub(super) const IN_THE_WAY: usize = 48 * 1024 - 8;
/// Does not fit into that quarter.
pub(super) const WANTED: u32 = 32 * 1024;
/// Half a percent of a core, in nanoseconds of CPU time per second.
pub(super) const CPU_GOAL: Goal = Goal::AtMost(0.005 * 1e9);

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

    fn cpu_per_second(&self) -> f64 {
        self.cpu.as_secs_f64() / self.waited.as_secs_f64() * 1e9
    }
}

/// A row for each figure of ours beside the peer's. The goals are for the median delay and for CPU time.
pub(super) fn add_rows(
    table: &mut Table,
    case: &str,
    peer: &'static str,
    [ours, theirs]: [&Waits; 2],
    [p50_goal, cpu_goal]: [Option<Goal>; 2],
) {
    let mut add = |figure: &str, of: &dyn Fn(&Waits) -> f64, goal| {
        table.add(Row { goal, ..Row::new(format!("{case}/{figure}"), peer, of(ours), of(theirs)) });
    };
    add("p50", &|waits| percentile(&waits.delays, 50), p50_goal);
    add("p99", &|waits| percentile(&waits.delays, 99), None);
    add("cpu_per_second", &Waits::cpu_per_second, cpu_goal);
}

/// Runs `work` beside a consumer, which has a core of its own and ends when `work` has.
pub(super) fn beside<T>(
    core: usize,
    consume: impl FnOnce() -> Result<()> + Send,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    scope(|scope| {
        let consumer = scope.spawn(move || {
            affinity::pin(core)?;
            consume()
        });
        let worked = work();
        consumer.join().map_err(|panic| anyhow!("the consumer panicked: {panic:?}"))??;
        worked
    })
}

/// The line to a consumer that drains when it is asked to.
#[derive(Debug)]
pub(super) struct Asking {
    /// In microseconds.
    pauses: Range<u64>,
    random: fastrand::Rng,
    ask: Sender<Duration>,
    drained: Receiver<Instant>,
}

impl Asking {
    /// Waits for a drain, which comes after a pause.
    pub(super) fn wait(&mut self, measured: &mut Waits, wait: impl FnOnce() -> Result<()>) -> Result<()> {
        self.ask.send(Duration::from_micros(self.random.u64(self.pauses.clone())))?;
        measured.wait(wait, &self.drained)
    }
}

/// Runs `work` beside a consumer on `core` that drains so many microseconds after it was asked to.
pub(super) fn beside_asked<T>(
    core: usize,
    drain: DrainProgram,
    flags: WakeupFlags,
    pauses: Range<u64>,
    work: impl FnOnce(&mut Asking) -> Result<T>,
) -> Result<T> {
    let ((ask, asked), (tell, drained)) = (channel(), channel());
    let mut asking = Asking { pauses, random: fastrand::Rng::with_seed(7), ask, drained };
    // The line ends with the work, and the consumer with the line.
    beside(core, move || drain_when_asked(drain, flags, &asked, &tell), move || work(&mut asking))
}

/// Drains after each pause that it is sent, and says when that was.
///
/// It spins through pauses below a millisecond, so that they are what was asked for.
fn drain_when_asked(
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
