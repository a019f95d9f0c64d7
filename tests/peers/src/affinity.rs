//! Cores: a measured thread stays on one.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::OnceLock;

static AT_START: OnceLock<Vec<usize>> = OnceLock::new();

/// The cores that this process was given, in order.
pub(crate) fn cores() -> Result<Vec<usize>> {
    if let Some(cores) = AT_START.get() {
        return Ok(cores.clone());
    }
    let set = sched_getaffinity(None).context("which cores may this process use")?;
    let cores = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
    Ok(AT_START.get_or_init(|| cores).clone())
}

/// Keeps the calling thread on `core`.
pub(crate) fn pin(core: usize) -> Result<()> {
    cores()?;
    stay_on(&[core])
}

/// Lets the calling thread run on every core that this process was given.
pub(crate) fn unpin() -> Result<()> {
    stay_on(&cores()?)
}

fn stay_on(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).with_context(|| format!("stay on the cores {cores:?}"))
}
