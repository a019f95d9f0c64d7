//! What this project is tested with. It may change in any release.
//!
//! - A [`Program`] is a ring and a list of operations, which fuzzers make up as bytes.
//! - [`Actor`] is the one interpreter: it does what a program says with the core's producers, under a [`Witness`].
//! - [`model`] says what each operation results in, without any memory; [`run_on_heap`] and [`run`] hold a ring
//!   against it.
//! - [`second_reading`] says what a drain and a repair must do, written apart from the fake kernel and the core.
//! - [`Fault`] plants a difference in the fake kernel, to show that a comparison notices it.
//! - [`targets`] are the bodies of the fuzz targets, and [`input`] is what they make of a fuzzer's bytes.
//! - [`loom`](mod@loom) holds the loom models, and the table that weakens each ordering (feature `loom`).

mod actor;
mod fault;
pub mod input;
#[cfg(feature = "loom")]
pub mod loom;
pub mod model;
mod program;
#[expect(unsafe_code, reason = "repairs rings, and damages them")]
mod runner;
pub mod second_reading;
pub mod targets;

pub use actor::{Actor, DrainWith, Witness};
pub use fault::Fault;
pub use model::DrainResult;
pub use program::{Finish, Operation, PLACES, Program, Tampering};
pub use runner::{Bench, Totals, run, run_on, run_on_heap, stale_ring};

#[cfg(test)]
mod tests;
