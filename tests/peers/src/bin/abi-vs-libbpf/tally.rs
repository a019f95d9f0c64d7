//! What was done.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::abi::Call;

/// How the two libraries meet in an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Each has a ring of its own.
    Apart,
    /// Both work on both rings, in turn.
    Interleaved,
    /// Both work on both rings, from two processes in turn.
    TwoProcesses,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Calls on each of the two rings.
    pub(crate) calls: u64,
    pub(crate) episodes: u64,
    pub(crate) drained: u64,
    pub(crate) by_another_process: u64,
    by_call: BTreeMap<&'static str, u64>,
    by_mode: BTreeMap<&'static str, u64>,
    deviations: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn count(&mut self, call: Call, mode: Mode) {
        self.calls += 1;
        let name = match call {
            Call::Open { .. } => "new, free",
            Call::Reserve { .. } => "reserve",
            Call::ReserveBlocking { .. } => "reserve_blocking",
            Call::Submit { .. } => "submit",
            Call::Discard { .. } => "discard",
        };
        *self.by_call.entry(name).or_default() += 1;
        let mode = match mode {
            Mode::Apart => "a ring each",
            Mode::Interleaved => "interleaved",
            Mode::TwoProcesses => "two processes",
        };
        *self.by_mode.entry(mode).or_default() += 1;
    }

    /// A call in which ours differs from libbpf on purpose, and did.
    pub(crate) fn deviation(&mut self, name: &'static str) {
        self.calls += 1;
        *self.deviations.entry(name).or_default() += 1;
    }

    pub(crate) fn to_json(&self, seed: u64, difference: Option<&str>) -> Value {
        json!({
            "calls": self.calls,
            "seed": seed,
            "differences": u64::from(difference.is_some()),
            "difference": difference,
            "deviations": self.deviations,
            "by_call": self.by_call,
            "by_mode": self.by_mode,
            "by_another_process": self.by_another_process,
            "rings": 2 * self.episodes,
            "samples_drained": self.drained,
        })
    }
}
