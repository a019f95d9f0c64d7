//! The models: small programs over the core whose every interleaving, and every value that a load may give, loom runs
//! through.
//!
//! Each reuses ring space, so that what an earlier lap left can be mistaken for something, and compares the bytes that
//! come out with the bytes that went in. They are functions of the orderings, so that the tests, which use the
//! protocol's, and the ordering table, which weakens one at a time, run the same code.

mod batch;
mod detached;
mod drainers;
mod exclusive;
mod kernel;
mod shared;
mod takeover;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use user_ringbuf_core::{Position, RingSize};

use super::LoomMemory;
use crate::Orderings;

/// A small concurrent program, to be run in all its interleavings; or several that differ in a number only, its cases.
pub struct Model {
    name: &'static str,
    about: &'static str,
    preemptions: Option<usize>,
    cases: u32,
    body: fn(Orderings, u32),
}

/// Every model, in the order in which the ordering table tries them.
pub const ALL: &[&Model] = &[
    &exclusive::SUBMIT,
    &exclusive::FULL_RING,
    &exclusive::DISCARD,
    &exclusive::CRASH,
    &batch::WHOLE,
    &drainers::TWO,
    &takeover::ATTACH,
    &takeover::WRAP,
    &detached::OUT_OF_ORDER,
    &detached::DISCARDED,
    &detached::LANE,
    &shared::TWO,
    &shared::FULL,
    &shared::LANE,
];

impl Model {
    /// The model called `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|model| model.name == name)
    }

    /// The model's name on a command line and in reports.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the model shows.
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// Most involuntary thread switches that are explored in one run, or `None` if all are. The model's source says
    /// why, where there is a bound.
    pub const fn preemption_bound(&self) -> Option<usize> {
        self.preemptions
    }

    /// Runs the model in all its interleavings with these orderings, and says how many those were.
    ///
    /// # Panics
    /// At the first interleaving in which something is wrong: a data race, a lost, torn or invented sample, a deadlock.
    pub fn check(&self, orderings: Orderings) -> u64 {
        let runs = Arc::new(AtomicU64::new(0));
        for case in 0..self.cases {
            let mut builder = ::loom::model::Builder::new();
            builder.preemption_bound = self.preemptions;
            builder.max_branches = 20_000;
            let (body, counter) = (self.body, Arc::clone(&runs));
            builder.check(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                body(orderings, case);
            });
        }
        runs.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("preemptions", &self.preemptions)
            .finish_non_exhaustive()
    }
}

/// A ring of `bytes`, filled and drained up to `position`.
fn ring(bytes: u64, position: u64, orderings: Orderings) -> Arc<LoomMemory> {
    let size = RingSize::new(bytes).expect("the models' rings are powers of two");
    Arc::new(LoomMemory::starting_at(size, Position::new(position), orderings))
}
