//! What a fuzzer's bytes mean: numbers that reach the limits, and rings.

#[expect(unsafe_code, reason = "paints into rings of its own")]
mod picture;
mod source;

pub use picture::{Judge, Picture};
pub use source::Source;
