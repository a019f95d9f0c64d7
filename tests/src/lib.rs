//! What the tests and programs that cross the crates share, beyond the [test kit](user_ringbuf_kit).
//!
//! - [`ring`] is a ring with a consumer in the kernel.
//! - [`send`] sends stamped samples through every interface, [`kernel`] drains them and [`tally`] counts what arrived;
//!   [`crash`] kills the sender, [`jam`] jams the ring, [`fidelity`] asks the real kernel and the fake one. [`framing`] is
//!   the body of a fuzz target. [`outcome`] turns a result into an exit code, [`percentiles`] sums up many times.

pub mod crash;
pub mod fidelity;
pub mod framing;
pub mod jam;
pub mod kernel;
pub mod outcome;
pub mod percentiles;
pub mod ring;
pub mod send;
pub mod tally;

/// The Rust of the manual, which `cargo test` compiles and runs here, where all crates that it speaks of are at hand.
#[cfg(doctest)]
#[doc = include_str!("../../GUIDE.md")]
pub mod guide {}
