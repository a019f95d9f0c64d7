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
#[expect(unsafe_code, reason = "passes the kernel's operations on")]
mod kernel;
mod observer;
#[expect(unsafe_code, reason = "keeps libbpf's contract with a lock of its own")]
mod raw;
#[expect(unsafe_code, reason = "damages rings, and states that their producers are gone")]
mod repair;
#[expect(unsafe_code, reason = "makes the stores of another producer")]
mod shared;
mod takeover;
mod verify;
mod waits;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use user_ringbuf_core::{Position, RingSize};

use crate::Orderings;
use crate::loom::LoomMemory;

/// A small concurrent program, to be run in all its interleavings; or several that differ in a number only, its cases.
pub struct Model {
    name: &'static str,
    about: &'static str,
    /// Most involuntary thread switches in one run, or `None` for any number. Where there is a bound, a comment says why.
    preemptions: Option<usize>,
    cases: u32,
    body: fn(Setup),
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
    &shared::RESUMED,
    &raw::HANDLES,
    &raw::ELSEWHERE,
    &raw::PUSH,
    &observer::LANE,
    &observer::BESIDE_DRAINER,
    &waits::ROOM,
    &waits::CONSUMED,
    &waits::REFILLED,
    &waits::BESIDE_OTHERS,
    &repair::BUSY,
    &repair::DAMAGED,
    &repair::MISPLACED,
    // The longest last.
    &shared::THREE,
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
struct Setup {
    orderings: Orderings,
    case: u32,
    reduced: bool,
}

impl Setup {
    /// A ring of `bytes`, filled and drained up to `position`.
    fn ring(self, bytes: u64, position: u64) -> Arc<LoomMemory> {
        Arc::new(self.memory(bytes, position))
    }

    fn memory(self, bytes: u64, position: u64) -> LoomMemory {
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
