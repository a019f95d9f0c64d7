//! The map that everyone works on, and the kernel that empties it and checks what came.

use anyhow::{Context, Result, ensure};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, WakeupFlags};

/// Bytes of samples that one checked drain compares.
const LOG: usize = 256 * 1024;

/// A user ring buffer of the running kernel, with programs that drain it.
#[derive(Debug)]
pub(crate) struct TestRing {
    map: Map,
    /// Empties the ring and forgets.
    kick: DrainProgram,
    /// Empties the ring and hands back its first samples.
    log: DrainProgram,
}

impl TestRing {
    /// A new map of `bytes`, rounded up to what the kernel takes.
    pub(crate) fn new(bytes: u64) -> Result<Self> {
        let map = Map::create("peers", bytes).context("make a user ring buffer (needs CAP_BPF and Linux 6.1)")?;
        let kick = DrainProgram::load(&map, 0).context("load the program that drains")?;
        let log = DrainProgram::load(&map, LOG).context("load the program that drains and logs")?;
        Ok(Self { map, kick, log })
    }

    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    /// Records of samples of `len` bytes that the ring holds at once.
    pub(crate) fn holds(&self, len: u32) -> u64 {
        u64::from(self.map.size() / user_ringbuf_linux::record_extent(len))
    }

    /// Lets the kernel take everything, and checks that it was `expected` samples.
    pub(crate) fn empty(&mut self, expected: u64) -> Result<()> {
        let mut came = 0;
        loop {
            let drained = self.kick.run(&quietly())?.returned().context("the kernel refused to drain")?;
            came += u64::from(drained);
            if drained == 0 {
                break;
            }
        }
        ensure!(came == expected, "{expected} samples were submitted, and {came} came");
        Ok(())
    }

    /// As [`empty`](Self::empty), and shows the first samples to `check`.
    pub(crate) fn empty_checked(&mut self, expected: u64, check: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let drained = self.log.run(&quietly())?;
        let first = u64::from(drained.returned().context("the kernel refused to drain")?);
        let mut seen = 0_u64;
        for sample in drained.samples() {
            check(sample)?;
            seen += 1;
        }
        ensure!(seen > 0 || first == 0, "the log shows none of {first} samples");
        self.empty(expected - first.min(expected))
    }
}

/// Nothing waits here, and a wakeup is expensive.
fn quietly() -> DrainOptions {
    DrainOptions::new().wakeup(WakeupFlags::NEVER)
}
