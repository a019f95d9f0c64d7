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
mod model;
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

pub use model::{Depth, Model};

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
    &shared::AUTO_LANES,
    &shared::RESUMED,
    &raw::HANDLES,
    &raw::ELSEWHERE,
    &raw::PUSH,
    &observer::LANE,
    &observer::BESIDE_DRAINER,
    &waits::ROOM,
    &waits::IN_TURN,
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
}
