//! The command line.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::affinity;

/// Rounds without `--rounds`.
const ROUNDS: usize = 101;
/// Rounds with `--quick`: enough to see that everything works, too few for a figure.
const QUICK_ROUNDS: usize = 3;

/// Measures user-ringbuf and its peers in alternating rounds on the same map. Needs CAP_BPF.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Only cases whose name contains this, such as `publish` or `publish/4KiB/push`. May be given several times.
    #[arg(long)]
    pub(crate) case: Vec<String>,
    /// Names the cases, and measures nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Rounds per case; a figure is their median. At least 3; figures worth quoting need 30.
    #[arg(long, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    rounds: Option<u32>,
    /// A few rounds only, to see that everything works.
    #[arg(long, conflicts_with = "rounds")]
    pub(crate) quick: bool,
    /// Prints JSON instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draws the picture of the figures page.
    #[arg(long, value_name = "PATH")]
    pub(crate) svg: Option<PathBuf>,
    /// Writes the tables of the figures page into it.
    #[arg(long, value_name = "PATH")]
    pub(crate) page: Option<PathBuf>,
    /// Draws a picture of the case `whole_way`.
    #[arg(long, value_name = "PATH")]
    pub(crate) whole_way_svg: Option<PathBuf>,
    /// The core to run on: the last one that this process may use, unless said otherwise.
    #[arg(long)]
    core: Option<usize>,
}

impl Options {
    pub(crate) fn rounds(&self) -> usize {
        match self.rounds {
            Some(rounds) => rounds as usize,
            None if self.quick => QUICK_ROUNDS,
            None => ROUNDS,
        }
    }

    /// Whether cases that take long are measured at length: only if cases were chosen, or for the page.
    pub(crate) fn at_length(&self) -> bool {
        (!self.case.is_empty() || self.page.is_some()) && !self.quick
    }

    /// Whether a case, or a row of it, was asked for. A case is wanted if one of its rows may be.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let lies_within = |name: &str, case: &str| name == case || name.starts_with(&format!("{case}/"));
        let asked = |filter: &String| {
            if filter.contains('/') {
                lies_within(name, filter) || lies_within(filter, name)
            } else {
                name.contains(filter.as_str())
            }
        };
        self.case.is_empty() || self.case.iter().any(asked)
    }

    pub(crate) fn core(&self) -> Result<usize> {
        let cores = affinity::cores()?;
        let core = self.core.or(cores.last().copied()).unwrap_or(0);
        ensure!(cores.contains(&core), "this process may run on the cores {cores:?}, not on core {core}");
        Ok(core)
    }

    /// Two cores for cases with two threads; the same one twice where there is only one.
    pub(crate) fn two_cores(&self) -> Result<[usize; 2]> {
        let first = self.core()?;
        let second = affinity::cores()?.into_iter().rev().find(|core| *core != first).unwrap_or(first);
        Ok([first, second])
    }
}
