//! A second reading of the protocol's rules.
//!
//! It shares no code with the fake kernel or the core, and has another shape: numbers are wide enough that nothing wraps,
//! and a drain is a list of rules asked in turn. Where the two readings differ, one of them is wrong; the real kernel says
//! which.

mod drain;
mod repair;

pub use drain::{DrainCall, End, Reading, Ring, read};
pub use repair::expect_of_repair;
