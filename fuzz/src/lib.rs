//! Bodies of the fuzz targets, apart from libFuzzer: what one input does, and what must hold.
//!
//! Each target is a function of bytes that panics where something is wrong. The binaries in `fuzz_targets` hand them
//! what libFuzzer makes up; a test of the project replays the committed corpora through the same functions.

pub mod second_reading;
