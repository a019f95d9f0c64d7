//! What the tests and programs that cross the crates share.
//!
//! - [`rights`] is the one place that decides whether a test may run against the real kernel.
//! - [`ring`] is a ring with a consumer in the kernel; [`raw`] is the same ring's bytes through mappings of its own, which
//!   trusts nothing of ours.
//! - [`bpffs`], [`objects`] and [`usage`] are the surroundings: pins, BPF objects of other kinds, what a process holds;
//!   [`fork`] is another process.
//! - [`send`] sends [`stamp`]ed samples through every interface, [`kernel`] drains them and [`tally`] counts what arrived;
//!   [`crash`] kills the sender, [`jam`] jams the ring, [`fidelity`] asks the real kernel and the fake one. [`outcome`] is
//!   how a program ends, [`percentiles`] what it says of many times.

pub mod bpffs;
pub mod crash;
pub mod fidelity;
pub mod fork;
pub mod interpreter;
pub mod jam;
pub mod kernel;
pub mod objects;
pub mod outcome;
pub mod percentiles;
pub mod raw;
pub mod rights;
pub mod ring;
pub mod send;
pub mod stamp;
pub mod tally;
pub mod usage;

/// The Rust of the manual, which `cargo test` compiles and runs here, where all crates that it speaks of are at hand.
#[cfg(doctest)]
#[doc = include_str!("../../GUIDE.md")]
pub mod guide {}
