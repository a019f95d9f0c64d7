//! The protocol's own models, and the table that weakens each of its orderings.
//!
//! - [`models`] are what the protocol promises, each a small program.
//! - [`table`] weakens each ordering of the protocol in turn, and says which model notices. The example
//!   `weakened-orderings` prints it.

mod alone;
mod finding;
pub mod models;
pub mod table;

pub use alone::{run_alone, run_if_asked};
pub use finding::{Ending, Finding};
