//! What a model is, and how loom explores it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use user_ringbuf_core::{Position, Producer, RingSize, Shared};

use crate::Orderings;
use crate::loom::LoomMemory;

/// A small concurrent program, to be run in all its interleavings; or several that differ in a number only, its cases.
#[derive(Debug)]
pub struct Model {
    pub(super) name: &'static str,
    preemptions: Option<usize>,
    cases: u32,
    body: fn(Setup),
}

impl Model {
    pub(super) const fn new(name: &'static str, body: fn(Setup)) -> Self {
        Self { name, preemptions: None, cases: 1, body }
    }

    /// With so many involuntary thread switches in one run at most. A comment says why.
    pub(super) const fn bounded(name: &'static str, preemptions: usize, body: fn(Setup)) -> Self {
        Self { preemptions: Some(preemptions), ..Self::new(name, body) }
    }

    /// In so many cases, which the body tells apart by their number.
    pub(super) const fn cases(self, cases: u32) -> Self {
        Self { cases, ..self }
    }

    /// The model's name on a command line and in reports.
    pub const fn name(&self) -> &'static str {
        self.name
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

    /// Such a ring, and a producer of it.
    pub(super) fn with_producer(self, bytes: u64, position: u64) -> (Arc<LoomMemory>, Producer<Arc<LoomMemory>>) {
        let memory = self.ring(bytes, position);
        let producer = Producer::attach(Arc::clone(&memory)).expect("a drained ring");
        (memory, producer)
    }

    /// Such a ring, and a shared producer of it.
    pub(super) fn with_shared(self, bytes: u64, position: u64) -> (Arc<LoomMemory>, Arc<Shared<Arc<LoomMemory>>>) {
        let memory = self.ring(bytes, position);
        let producer = Shared::attach(Arc::clone(&memory)).expect("a drained ring");
        (memory, Arc::new(producer))
    }

    pub(super) fn memory(self, bytes: u64, position: u64) -> LoomMemory {
        let size = RingSize::new(bytes).expect("the models' rings are powers of two");
        let memory = LoomMemory::starting_at(size, Position::new(position), self.orderings);
        if self.reduced { memory } else { memory.without_reduction() }
    }
}
