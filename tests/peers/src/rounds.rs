//! Alternating rounds: everybody does the same work in turn, and the ring is emptied in between, off the clock.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::ring::TestRing;
use crate::stats::{clock_cost, median, nanoseconds_each};

/// Each so many rounds the samples' bytes are compared, and not only counted.
const COMPARE_EVERY: usize = 16;
/// Rounds before the first that counts: caches and branch predictors.
const WARM_UP: usize = 2;

/// One way of doing a case's work.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Off the clock: looks where the ring stands, since somebody else has worked on it.
    fn begin(&mut self) -> Result<()>;

    /// On the clock: publishes `count` samples, numbered from `first` on.
    fn burst(&mut self, first: u64, count: u64) -> Result<()>;

    /// Whether the kernel gets to see samples of it: a plain memcpy publishes none.
    fn publishes(&self) -> bool {
        true
    }
}

/// How often, how much at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Samples a round and contender; the ring must hold so many.
    pub(crate) burst: u64,
}

/// Runs all contenders in turn, and says how many nanoseconds a sample takes, in the contenders' order.
pub(crate) fn compare(
    ring: &mut TestRing,
    plan: Plan,
    contenders: &mut [Box<dyn Contender + '_>],
    check: &dyn Fn(&[u8], u64) -> Result<()>,
) -> Result<Vec<f64>> {
    let clock = clock_cost();
    let mut times = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    let mut number = 1;
    for round in 0..WARM_UP + plan.rounds {
        for turn in 0..contenders.len() {
            // No contender is always the first, or always finds what the same neighbour left in the caches.
            let at = (turn + round) % contenders.len();
            let contender = &mut contenders[at];
            contender.begin().with_context(|| format!("{} begins", contender.name()))?;
            let start = Instant::now();
            contender.burst(number, plan.burst).with_context(|| format!("{} works", contender.name()))?;
            let time = start.elapsed().saturating_sub(clock);
            if round >= WARM_UP {
                times[at].push(nanoseconds_each(time, plan.burst));
            }
            let expected = if contender.publishes() { plan.burst } else { 0 };
            let arrived = if round % COMPARE_EVERY == 0 {
                let mut next = number;
                ring.empty_checked(expected, &mut |sample| {
                    next += 1;
                    check(sample, next - 1)
                })
            } else {
                ring.empty(expected)
            };
            arrived.with_context(|| format!("the samples of {}", contender.name()))?;
            number += plan.burst;
        }
    }
    Ok(times.iter().map(|times| median(times)).collect())
}
