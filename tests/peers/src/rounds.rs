//! Alternating rounds: everybody does the same work in turn, and the ring is emptied in between, off the clock.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::ring::TestRing;
use crate::stats::{clock_cost, median, nanoseconds_each};

/// Each so many rounds the samples' bytes are compared, and not only counted.
const COMPARE_EVERY: usize = 16;
/// Samples of a contender in a round, at least: then the clock is exact.
const ENOUGH: u64 = 4000;
/// Rounds before the first that counts: caches and branch predictors.
pub(crate) const WARM_UP: usize = 1;

/// Round by round, whose turn it is: no contender is always the first, or always finds what the same neighbour left in
/// the caches.
pub(crate) fn turns(rounds: usize, contenders: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rounds).flat_map(move |round| (0..contenders).map(move |turn| (round, (turn + round) % contenders)))
}

/// Medians of what each contender's turns bring. `turn` is told the round and the contender.
pub(crate) fn medians<const FIGURES: usize>(
    rounds: usize,
    contenders: usize,
    mut turn: impl FnMut(usize, usize) -> Result<[f64; FIGURES]>,
) -> Result<Vec<[f64; FIGURES]>> {
    let mut seen = vec![[const { Vec::new() }; FIGURES]; contenders];
    for (round, which) in turns(WARM_UP + rounds, contenders) {
        let figures = turn(round, which)?;
        if round >= WARM_UP {
            for (seen, figure) in seen[which].iter_mut().zip(figures) {
                seen.push(figure);
            }
        }
    }
    Ok(seen.iter().map(|seen| seen.each_ref().map(|seen| median(seen))).collect())
}

/// One way of doing a case's work, by its name.
pub(crate) struct Contender<'c> {
    pub(crate) name: &'static str,
    way: Box<dyn Way + 'c>,
}

trait Way {
    /// Off the clock: looks where the ring stands, since somebody else has worked on it. The kernel empties the ring only
    /// after this, so a producer that remembers how much room there is has to look for it on the clock, once per burst,
    /// as it does in a ring that fills.
    fn begin(&mut self) -> Result<()>;

    /// On the clock: publishes the samples of these numbers.
    fn burst(&mut self, numbers: Range<u64>) -> Result<()>;
}

struct OnHandle<H, B, W> {
    handle: H,
    begin: B,
    burst: W,
}

impl<H, B, W> Way for OnHandle<H, B, W>
where
    B: FnMut(&mut H) -> Result<()>,
    W: FnMut(&mut H, Range<u64>) -> Result<()>,
{
    fn begin(&mut self) -> Result<()> {
        (self.begin)(&mut self.handle)
    }

    fn burst(&mut self, numbers: Range<u64>) -> Result<()> {
        (self.burst)(&mut self.handle, numbers)
    }
}

impl<'c> Contender<'c> {
    /// Works on `handle`, which loads both positions for each sample.
    pub(crate) fn new<H: 'c>(
        name: &'static str,
        handle: H,
        burst: impl FnMut(&mut H, Range<u64>) -> Result<()> + 'c,
    ) -> Self {
        Self::beginning(name, handle, |_| Ok(()), burst)
    }

    /// Works on `handle`, which has to look where the ring stands before each burst.
    pub(crate) fn beginning<H: 'c>(
        name: &'static str,
        handle: H,
        begin: impl FnMut(&mut H) -> Result<()> + 'c,
        burst: impl FnMut(&mut H, Range<u64>) -> Result<()> + 'c,
    ) -> Self {
        Self { name, way: Box::new(OnHandle { handle, begin, burst }) }
    }
}

/// Says whether a sample is the one of this number.
pub(crate) type Check<'c> = &'c dyn Fn(&[u8], u64) -> Result<()>;

/// Runs all contenders in turn, and says how many nanoseconds a sample of `len` bytes takes, in the contenders' order.
///
/// Each fills the ring, and the kernel empties it, until enough samples were published.
pub(crate) fn compare(
    ring: &mut TestRing,
    rounds: usize,
    len: u32,
    contenders: &mut [Contender<'_>],
    check: Check<'_>,
) -> Result<Vec<f64>> {
    let clock = clock_cost();
    let holds = ring.holds(len);
    let bursts = ENOUGH.div_ceil(holds);
    let (mut number, mut waiting) = (1, 0);
    let times = medians(rounds, contenders.len(), |round, which| {
        let Contender { name, way } = &mut contenders[which];
        let mut time = Duration::ZERO;
        for burst in 0..bursts {
            way.begin().with_context(|| format!("{name} begins"))?;
            let compared = burst == 0 && round % COMPARE_EVERY == 0;
            take(ring, number, waiting, compared.then_some(check))
                .with_context(|| format!("what was there before {name}"))?;
            number += waiting;
            let start = Instant::now();
            way.burst(number..number + holds).with_context(|| format!("{name} works"))?;
            time += start.elapsed().saturating_sub(clock);
            waiting = holds;
        }
        Ok([nanoseconds_each(time, bursts * holds)])
    })?;
    take(ring, number, waiting, Some(check))?;
    Ok(times.concat())
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
