//! Bodies of the fuzz targets, apart from libFuzzer: what one input does, and what must hold.
//!
//! Each target is a function of bytes that panics where something is wrong. The binaries in `fuzz_targets` hand it
//! what libFuzzer makes up; a test of the project replays the committed corpora through the same function.
//!
//! | target | input |
//! |---|---|
//! | [`operations`] | a program of the operation language, in its binary form |
//! | [`ring_image`] | a [`picture`] of a ring and how it is drained |
//! | [`hostile_positions`] | what a producer does, and how the positions change under it |
//! | [`repair`] | a [`picture`] of a ring |
//! | [`framing`] | standard input of the command, and the pieces in which it comes |

pub mod framing;
pub mod hostile_positions;
pub mod operations;
pub mod picture;
pub mod repair;
pub mod ring_image;
pub mod second_reading;
mod source;
