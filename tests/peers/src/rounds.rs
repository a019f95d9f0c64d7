//! Alternating rounds: everybody does the same work in turn, and the ring is emptied in between, off the clock.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::ring::TestRing;
use crate::stats::{clock_cost, median, nanoseconds_each};

/// Each so many rounds the samples' bytes are compared, and not only counted.
const COMPARE_EVERY: usize = 16;
/// Samples of a contender in a round, at least.
const ENOUGH: u64 = 4000;
/// Rounds before the first that counts: caches and branch predictors.
const WARM_UP: usize = 2;

/// One way of doing a case's work.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Off the clock: looks where the ring stands, since somebody else has worked on it. The kernel empties the ring only
    /// after this, so a producer that remembers how much room there is has to look for it on the clock, once per burst,
    /// as it does in a ring that fills.
    fn begin(&mut self) -> Result<()>;

    /// On the clock: publishes `count` samples, numbered from `first` on.
    fn burst(&mut self, first: u64, count: u64) -> Result<()>;
}

/// How often, how much at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Samples that are published in a row; the ring must hold so many.
    pub(crate) burst: u64,
    /// Bursts per round and contender, with the kernel in between.
    pub(crate) bursts: u64,
}

impl Plan {
    /// The ring is filled and emptied, until so many samples were published that the clock is exact.
    pub(crate) fn filling(rounds: usize, holds: u64) -> Self {
        Self { rounds, burst: holds, bursts: ENOUGH.div_ceil(holds) }
    }
}

/// Says whether a sample is the one of this number.
pub(crate) type Check<'c> = &'c dyn Fn(&[u8], u64) -> Result<()>;

/// Runs all contenders in turn, and says how many nanoseconds a sample takes, in the contenders' order.
pub(crate) fn compare(
    ring: &mut TestRing,
    plan: Plan,
    contenders: &mut [Box<dyn Contender + '_>],
    check: Check<'_>,
) -> Result<Vec<f64>> {
    let clock = clock_cost();
    let mut times = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    let (mut number, mut waiting) = (1, 0);
    for round in 0..WARM_UP + plan.rounds {
        for turn in 0..contenders.len() {
            // No contender is always the first, or always finds what the same neighbour left in the caches.
            let at = (turn + round) % contenders.len();
            let contender = &mut contenders[at];
            let mut time = Duration::ZERO;
            for burst in 0..plan.bursts {
                contender.begin().with_context(|| format!("{} begins", contender.name()))?;
                let compared = burst == 0 && round % COMPARE_EVERY == 0;
                take(ring, number, waiting, compared.then_some(check))
                    .with_context(|| format!("what was there before {}", contender.name()))?;
                number += waiting;
                let start = Instant::now();
                contender.burst(number, plan.burst).with_context(|| format!("{} works", contender.name()))?;
                time += start.elapsed().saturating_sub(clock);
                waiting = plan.burst;
            }
            if round >= WARM_UP {
                times[at].push(nanoseconds_each(time, plan.bursts * plan.burst));
            }
        }
    }
    take(ring, number, waiting, Some(check))?;
    Ok(times.iter().map(|times| median(times)).collect())
}

/// Lets the kernel take the samples that wait, counts them, and compares their bytes if asked to.
fn take(ring: &mut TestRing, first: u64, waiting: u64, check: Option<Check<'_>>) -> Result<()> {
    let Some(check) = check else { return ring.empty(waiting) };
    let mut next = first;
    ring.empty_checked(waiting, &mut |sample| {
        next += 1;
        check(sample, next - 1)
    })
}
