//! What a model is, and how loom explores it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use user_ringbuf_core::{Position, RingSize};

use crate::Orderings;
use crate::loom::LoomMemory;

/// A small concurrent program, to be run in all its interleavings; or several that differ in a number only, its cases.
pub struct Model {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Most involuntary thread switches in one run, or `None` for any number. Where there is a bound, a comment says why.
    pub(super) preemptions: Option<usize>,
    pub(super) cases: u32,
    pub(super) body: fn(Setup),
}

impl Model {
    /// The model's name on a command line and in reports.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the model shows.
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// Runs the model in all its interleavings with these orderings, as far as `depth` says. Returns how many those were.
    ///
    /// # Panics
    /// At the first interleaving in which something is wrong: a data race, a lost, torn or invented sample, a deadlock.
    pub fn check(&self, orderings: Orderings, depth: Depth) -> u64 {
        let few = Some(self.preemptions.unwrap_or(usize::MAX).min(FEW_PREEMPTIONS));
        (0..self.cases)
            .map(|case| {
                let reduced = Setup { orderings, case, reduced: true };
                match depth {
                    Depth::Quick => self.explore(reduced, few),
                    Depth::Full => {
                        self.explore(reduced, self.preemptions) + self.explore(Setup { reduced: false, ..reduced }, few)
                    }
                }
            })
            .sum()
    }

    fn explore(&self, setup: Setup, preemptions: Option<usize>) -> u64 {
        let runs = Arc::new(AtomicU64::new(0));
        let mut builder = ::loom::model::Builder::new();
        builder.preemption_bound = preemptions;
        builder.max_branches = 20_000;
        let (body, counter) = (self.body, Arc::clone(&runs));
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            body(setup);
        });
        runs.load(Ordering::Relaxed)
    }
}

/// Preemptions that are tried where not all are. A weakened ordering takes one or two to show.
const FEW_PREEMPTIONS: usize = 2;

/// How far a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// With 2 preemptions: a second at most, to find what is easily found.
    Quick,
    /// Twice: as loom explores, up to the model's own preemption bound if it has one; and with 2 preemptions,
    /// [without the reduction](LoomMemory::without_reduction) that loom applies.
    Full,
}

/// How one run of a model is set up.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) orderings: Orderings,
    pub(super) case: u32,
    pub(super) reduced: bool,
}

impl Setup {
    /// A ring of `bytes`, filled and drained up to `position`.
    pub(super) fn ring(self, bytes: u64, position: u64) -> Arc<LoomMemory> {
        Arc::new(self.memory(bytes, position))
    }

    pub(super) fn memory(self, bytes: u64, position: u64) -> LoomMemory {
        let size = RingSize::new(bytes).expect("the models' rings are powers of two");
        let memory = LoomMemory::starting_at(size, Position::new(position), self.orderings);
        if self.reduced { memory } else { memory.without_reduction() }
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
