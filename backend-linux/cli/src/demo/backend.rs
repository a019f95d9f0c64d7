//! The two consumers of a demo: the real kernel and the simulated one.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use user_ringbuf_linux::{DrainError, DrainOptions, DrainProgram, Map, MapError, Mapping, WakeupFlags, probe};
use user_ringbuf_sim::{FakeKernel, SimMemory};

use super::plan::Plan;

/// Takes from the ring what was published.
pub(super) trait Drain {
    /// Drains once, hands each sample to `each`, and returns how long the draining itself took.
    fn drain(&mut self, each: impl FnMut(&[u8])) -> anyhow::Result<Duration>;
}

/// The real kernel, by the drain program.
#[derive(Debug)]
pub(super) struct Linux {
    program: DrainProgram,
}

/// Why the real kernel can't be used, if only rights or support are missing.
pub(super) struct Unavailable(pub(super) String);

impl Linux {
    /// Creates the ring and loads the program. The simulation can be used in place of an inner error.
    pub(super) fn new(plan: &Plan) -> anyhow::Result<Result<(Mapping, Self), Unavailable>> {
        let map = match Map::create("urb_demo", u64::from(plan.ring)) {
            Ok(map) => map,
            Err(error @ (MapError::NotPermitted { .. } | MapError::Unsupported)) => {
                return Ok(Err(unavailable(&error)));
            }
            Err(error) => return Err(error).context("cannot create a ring"),
        };
        let program = match DrainProgram::load(&map, plan.log_bytes()) {
            Ok(program) => program,
            Err(error @ DrainError::NotPermitted { .. }) => return Ok(Err(unavailable(&error))),
            Err(error @ DrainError::NoJit { .. }) => return Ok(Err(Unavailable(error.to_string()))),
            Err(error) => return Err(error).context("cannot load the drain program"),
        };
        let mapping = Mapping::new(&map).context("cannot map the ring")?;
        Ok(Ok((mapping, Self { program })))
    }
}

/// The obstacle in the probe's words, which say more than a refused call.
fn unavailable(error: &dyn std::error::Error) -> Unavailable {
    Unavailable(match probe().create {
        Err(obstacle) => obstacle.to_string(),
        Ok(()) => error.to_string(),
    })
}

impl Drain for Linux {
    fn drain(&mut self, mut each: impl FnMut(&[u8])) -> anyhow::Result<Duration> {
        // No producer waits for room here, and a wake-up costs more than draining many samples.
        let options = DrainOptions::new().wakeup(WakeupFlags::NEVER);
        let begin = Instant::now();
        let drained = self.program.run(&options).context("cannot run the drain program")?;
        let time = begin.elapsed();
        drained.samples().for_each(&mut each);
        if drained.unlogged() > 0 {
            return Err(anyhow!("the log of the drain program could not take {} samples", drained.unlogged()));
        }
        drained.returned().context("the kernel refuses to drain")?;
        Ok(time)
    }
}

/// The simulated kernel.
#[derive(Debug)]
pub(super) struct Sim<'m> {
    kernel: FakeKernel<&'m SimMemory>,
    /// The samples of one drain, one behind the other, and where each ends: as the drain program's log does for the real
    /// kernel, so that the times are comparable.
    log: Vec<u8>,
    ends: Vec<usize>,
}

impl<'m> Sim<'m> {
    pub(super) fn new(memory: &'m SimMemory) -> Self {
        Self { kernel: FakeKernel::new(memory), log: Vec::new(), ends: Vec::new() }
    }
}

impl Drain for Sim<'_> {
    fn drain(&mut self, mut each: impl FnMut(&[u8])) -> anyhow::Result<Duration> {
        let Self { kernel, log, ends } = self;
        log.clear();
        ends.clear();
        let begin = Instant::now();
        let drained = kernel.drain(user_ringbuf_sim::kernel::NO_WAKEUP, |sample| {
            log.extend_from_slice(sample);
            ends.push(log.len());
            ControlFlow::Continue(())
        });
        let time = begin.elapsed();
        let mut start = 0;
        for end in ends {
            each(log.get(start..*end).unwrap_or_default());
            start = *end;
        }
        drained.returned.context("the simulated kernel refuses to drain")?;
        Ok(time)
    }
}
