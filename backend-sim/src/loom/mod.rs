//! The ring under loom.
mod access;
mod finding;
#[expect(unsafe_code, reason = "reads and writes the tracked cells")]
mod memory;
pub mod models;
pub mod table;

pub use finding::{Finding, NoOutcome, Outcome, run_and_exit};
pub use memory::{LoomMemory, LoomWord, STALE_BYTE, STALE_LEN};
