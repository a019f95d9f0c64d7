//! Behind a consumer that drains steadily with `BPF_RB_NO_WAKEUP`: how late, as a share of its period, and at what cost.
//!
//! The peer is the floor: a thread that knows the consumer's timetable, sleeps until a twentieth of the period after each
//! drain is due, and looks once. Less than one look per drain finds no drain in time, so no policy costs less. The
//! consumer's own jitter is in both figures.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use user_ringbuf_linux::{DrainOptions, DrainProgram, EpollWaiter, Mapping, Producer, RingId, Wait, Wake, WakeupFlags};

use super::waits::{CPU_GOAL, IN_THE_WAY, RING, WANTED, Waits, add_rows, beside, until};
use crate::options::Options;
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::turns;

/// In microseconds.
pub(crate) const PERIODS: [u64; 7] = [100, 1000, 2000, 4000, 8000, 10_000, 100_000];
/// Turns of each contender.
const TURNS: usize = 3;
/// Waits per turn, at least: long stretches, so that there is a rhythm to follow.
const LEAST_WAITS: u32 = 10;
/// How long a period is measured, in short and at length.
const BUDGETS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(6)];
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for micros in PERIODS {
        let case = format!("waiting/pace/{micros}us");
        if options.wants(&case) {
            let period = Duration::from_micros(micros);
            let [ours, floor] = measure(options, period)?;
            let p50_goal = Goal::AtMost(period.as_secs_f64() * 1e9 / 10.0);
            add_rows(table, &case, "one look per drain", [&ours, &floor], [Some(p50_goal), Some(CPU_GOAL)]);
        }
    }
    Ok(())
}

fn measure(options: &Options, period: Duration) -> Result<[Waits; 2]> {
    let ring = TestRing::new(RING)?;
    let mut producer = Producer::attach(Mapping::new(ring.map())?)?;
    let mut waiter = EpollWaiter::new(ring.map())?;
    let drain = DrainProgram::load(ring.map(), 0)?;
    let (tell, drained) = channel();
    let [_, core] = options.two_cores()?;
    let budget = BUDGETS[usize::from(options.at_length())];
    let turn = budget.as_nanos() / period.as_nanos() / (2 * TURNS as u128);
    let waits = u32::try_from(turn)?.max(LEAST_WAITS);
    let mut knows = Knows { start: Instant::now() + Duration::from_millis(10), period };
    let (over, timetable) = (AtomicBool::new(false), knows);
    beside(
        core,
        || drain_steadily(drain, timetable, &over, &tell),
        || {
            let mut measured = [Waits::default(), Waits::default()];
            let mut wait_all = || {
                for (_, which) in turns(TURNS, 2) {
                    for _ in 0..waits {
                        producer.reserve(IN_THE_WAY)?.submit();
                        let wait = || {
                            if which == 0 {
                                drop(producer.reserve_blocking(WANTED as usize, &mut waiter, Some(TIMEOUT))?);
                            } else {
                                drop(producer.reserve_blocking(WANTED as usize, &mut knows, Some(TIMEOUT))?);
                            }
                            Ok(())
                        };
                        measured[which].wait(wait, &drained)?;
                    }
                }
                Ok(())
            };
            let waited = wait_all();
            // Relaxed: the thread is joined.
            over.store(true, Ordering::Relaxed);
            waited.map(|()| measured)
        },
    )
}

fn drain_steadily(mut drain: DrainProgram, at: Knows, over: &AtomicBool, tell: &Sender<Instant>) -> Result<()> {
    let options = DrainOptions::new().wakeup(WakeupFlags::NEVER);
    let mut due = at.start;
    while !over.load(Ordering::Relaxed) {
        until(due, at.period);
        let now = Instant::now();
        let drained = drain.run(&options)?.returned().map_err(io::Error::from)?;
        if drained > 0 {
            tell.send(now)?;
        }
        due = at.next(Instant::now());
    }
    Ok(())
}

/// The floor: a waiter that knows the timetable.
#[derive(Clone, Copy, Debug)]
struct Knows {
    start: Instant,
    period: Duration,
}

impl Knows {
    /// The first moment on the timetable after `now`.
    fn next(&self, now: Instant) -> Instant {
        let since = now.saturating_duration_since(self.start);
        let turns = u32::try_from(since.as_nanos() / self.period.as_nanos()).unwrap_or(u32::MAX);
        self.start + self.period * (turns + 1)
    }
}

impl Wait for Knows {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        None
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&mut self, round: u32, _until: Option<Duration>) -> Result<Wake, Infallible> {
        let now = Instant::now();
        let late = self.period / 20;
        // Not there yet: the consumer is late itself.
        let pause = if round == 0 { (self.next(now) + late).saturating_duration_since(now) } else { late };
        sleep(pause);
        Ok(Wake::Look)
    }
}
