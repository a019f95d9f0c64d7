//! Two threads that begin together, each on a core of its own.

use std::hint::spin_loop;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use user_ringbuf_linux::{DrainOptions, DrainProgram, WakeupFlags};

use crate::affinity;

/// Longer than any round takes.
pub(crate) const STUCK: Duration = Duration::from_secs(20);

/// Runs `work` in two threads at once, and says how long it took from the first start to the last end.
///
/// Both have come this far, on their cores, before either begins: making threads is not on the clock.
pub(crate) fn together<A, B>(
    cores: [usize; 2],
    first: impl FnOnce() -> Result<A> + Send,
    second: impl FnOnce() -> Result<B> + Send,
) -> Result<(Duration, A, B)>
where
    A: Send,
    B: Send,
{
    let here = AtomicU32::new(0);
    thread::scope(|scope| {
        let second = scope.spawn(|| timed(&here, cores[1], second));
        let first = scope.spawn(|| timed(&here, cores[0], first));
        let join = |panic| anyhow!("a measured thread panicked: {panic:?}");
        let (first, second) = (first.join().map_err(join)?, second.join().map_err(join)?);
        let ((time, first), (other, second)) = (first?, second?);
        Ok((time.end.max(other.end).duration_since(time.start.min(other.start)), first, second))
    })
}

/// Waiting for the other thread: spinning first, and giving the core away where it lasts, since the other thread may be
/// in need of it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    spins: u32,
}

impl Patience {
    const SPINS: u32 = 1000;

    #[inline(always)]
    pub(crate) fn wait(&mut self) {
        self.spins += 1;
        if self.spins % Self::SPINS == 0 { thread::yield_now() } else { spin_loop() }
    }
}

/// Drains until so many samples came, and returns the time in drains that brought some.
pub(crate) fn drain_until(drain: &mut DrainProgram, flags: WakeupFlags, samples: u64) -> Result<Duration> {
    let options = DrainOptions::new().wakeup(flags);
    let start = Instant::now();
    let (mut came, mut draining) = (0, Duration::ZERO);
    while came < samples {
        let before = Instant::now();
        let drained = u64::from(drain.run(&options)?.returned().map_err(io::Error::from)?);
        if drained > 0 {
            draining += before.elapsed();
        } else if start.elapsed() > STUCK {
            bail!("{samples} samples were submitted, and only {came} came within {STUCK:?}");
        }
        came += drained;
    }
    ensure!(came == samples, "{samples} samples were submitted, and {came} came");
    Ok(draining)
}

fn timed<T>(here: &AtomicU32, core: usize, work: impl FnOnce() -> Result<T>) -> Result<(Range<Instant>, T)> {
    let pinned = affinity::pin(core);
    // Also a thread that failed comes here, or the other one would wait forever. Pairs with itself in the other thread.
    here.fetch_add(1, Ordering::AcqRel);
    while here.load(Ordering::Acquire) < 2 {
        // On one core the other thread needs it.
        thread::yield_now();
    }
    pinned?;
    let start = Instant::now();
    let answer = work()?;
    Ok((start..Instant::now(), answer))
}
