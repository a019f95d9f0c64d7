//! A ring in the real kernel and a program that drains it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use user_ringbuf_linux::{DrainError, DrainOptions, DrainProgram, Map, MapError, WakeupFlags};

use user_ringbuf_kit::stamp::MIN_LEN;

/// Most samples that one drain of a [`Drainer`] takes: its log has room for as many.
const SAMPLES_A_DRAIN: u32 = 4096;

/// This process lacks the rights, or the kernel the support, to make a ring and a program that drains it.
#[derive(Debug)]
pub struct Unavailable {
    why: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this needs a kernel that lets us make a user ring buffer and drain it: {}", self.why)
    }
}

impl std::error::Error for Unavailable {}

/// A new ring of `bytes` bytes.
///
/// # Errors
/// [`Unavailable`], with what is missing, and what else the kernel refused.
pub fn ring(bytes: u64) -> anyhow::Result<Map> {
    Map::create("urb_tests", bytes).map_err(|error| match error {
        MapError::NotPermitted { .. } | MapError::Unsupported => Unavailable { why: error.to_string() }.into(),
        _ => anyhow::Error::new(error).context(format!("making a ring of {bytes} bytes")),
    })
}

/// A program that drains `map` and logs `log_bytes` bytes per run; with 0 it keeps no samples.
///
/// # Errors
/// [`Unavailable`], with what is missing, and what else the kernel refused.
pub fn drain_program(map: &Map, log_bytes: usize) -> anyhow::Result<DrainProgram> {
    DrainProgram::load(map, log_bytes).map_err(|error| match error {
        DrainError::NotPermitted { .. } | DrainError::NoJit { .. } => Unavailable { why: error.to_string() }.into(),
        _ => anyhow::Error::new(error).context("loading the drain program"),
    })
}

/// A ring's consumer: drains on demand and hands over every sample.
#[derive(Debug)]
pub struct Drainer {
    program: DrainProgram,
    options: DrainOptions,
}

impl Drainer {
    /// A consumer of `map`, whose samples have at most `longest` bytes each.
    ///
    /// # Errors
    /// As [`drain_program`].
    pub fn new(map: &Map, longest: usize) -> anyhow::Result<Self> {
        let samples = usize::try_from(SAMPLES_A_DRAIN).unwrap_or(usize::MAX);
        let program = drain_program(map, DrainProgram::log_bytes(samples, longest.max(MIN_LEN)))?;
        Ok(Self { program, options: DrainOptions::new().stop_after(SAMPLES_A_DRAIN) })
    }

    /// Sets which waiters its drains wake.
    #[must_use]
    pub fn wakeup(mut self, flags: WakeupFlags) -> Self {
        self.options = self.options.wakeup(flags);
        self
    }

    /// Drains once, hands each sample to `see`, and returns how many there were.
    ///
    /// # Errors
    /// What the kernel refused, or samples too long for the log.
    pub fn drain(&mut self, mut see: impl FnMut(&[u8])) -> anyhow::Result<u32> {
        let drained = self.program.run(&self.options).context("running the drain program")?;
        let count = drained.returned().context("draining")?;
        anyhow::ensure!(drained.unlogged() == 0, "{} samples were longer than expected", drained.unlogged());
        drained.samples().for_each(&mut see);
        Ok(count)
    }

    /// Drains repeatedly until `stop` is set and nothing is left, with a pause after a drain that found nothing:
    /// zero yields the core instead.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub fn drain_until(
        &mut self,
        stop: &AtomicBool,
        pause: Duration,
        mut see: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        loop {
            // Read before the drain, which then sees what was submitted before the flag was set: acquire, pairs with
            // the release store that sets it.
            let last = stop.load(Ordering::Acquire);
            let count = self.drain(&mut see)?;
            if count == 0 && last {
                return Ok(());
            }
            if count == 0 && pause.is_zero() {
                std::thread::yield_now();
            } else if count == 0 {
                std::thread::sleep(pause);
            }
        }
    }
}
