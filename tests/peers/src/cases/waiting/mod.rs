//! Waiting for room: what it costs, and how late room is found.
//!
//! - [`cpu`]: CPU time while no room comes.
//! - [`wake`]: from the drain to the wake-up, beside libbpf, on a full and on a partly full ring, with drains that wake and
//!   drains that don't.
//! - [`spin`]: what spinning before each sleep brings and costs.
//! - [`pace`]: behind a consumer that drains steadily and wakes nobody.
//!
//! Every figure is in nanoseconds: a delay as such, CPU time for each second of waiting.

mod cpu;
mod pace;
mod spin;
mod waits;
mod wake;

pub(crate) use pace::PERIODS;
pub(crate) use spin::SPINS;

use anyhow::Result;

use crate::options::Options;
use crate::report::Table;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    cpu::run(options, table)?;
    wake::run(options, table)?;
    spin::run(options, table)?;
    pace::run(options, table)
}
