//! The bodies of the fuzz targets, without libFuzzer: what one input does, and what must hold.
//!
//! Each target is a function of bytes that panics where something is wrong. The binaries in `fuzz` hand it what libFuzzer
//! makes up; tests replay the committed corpora through the same function.
//!
//! | target | input |
//! |---|---|
//! | [`operations`] | a [`Program`](super::Program) in its binary form |
//! | [`ring_image`] | how a ring is drained, and a [`Picture`](super::input::Picture) of it |
//! | [`hostile_positions`] | a program, and how the positions change under it |
//! | [`repair`] | a picture of a ring |

#[expect(unsafe_code, reason = "works on a memory that lends no slices")]
pub mod hostile_positions;
pub mod operations;
#[expect(unsafe_code, reason = "repairs rings, and moves their positions")]
pub mod repair;
#[expect(unsafe_code, reason = "moves positions between the lives of producers")]
pub mod ring_image;
