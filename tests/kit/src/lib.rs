//! The test kit: one copy of what the tests of every crate need around a ring.
//!
//! It depends on none of our crates, so each of them can have it as a dev-dependency, and nothing in it can share a
//! mistake with what it tests. All of it panics where the kernel refuses: a test has no use for the error.
//!
//! - [`rights`] decides whether a test may run against the real kernel, and takes rights away; [`seccomp`] takes system
//!   calls away, and [`interpreter`] the BPF JIT.
//! - [`raw`] is a ring's bytes through a second mapping, and a producer that writes them by hand.
//! - [`bpffs`] is a place for pins, and [`objects`] are BPF objects of other kinds.
//! - [`fork`] runs work in another process; [`usage`] tells what this one holds and uses.
//! - [`patience()`] is how long a test waits for what must happen, and [`soon`] waits for it.
//! - [`stamp`] marks samples so that any mix-up shows, and [`random`] makes bytes that repeat with a seed.

pub mod bpffs;
pub mod fork;
pub mod interpreter;
pub mod objects;
mod patience;
pub mod random;
pub mod raw;
pub mod rights;
pub mod seccomp;
pub mod stamp;
pub mod usage;

pub use patience::{patience, soon, soon_found};
