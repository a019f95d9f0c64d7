//! What the programs of this crate share: stamped samples, a ring in the real kernel, and how a program ends.

pub mod fidelity;
pub mod kernel;
pub mod outcome;
pub mod stamp;
pub mod tally;
