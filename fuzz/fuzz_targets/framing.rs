//! The command's input framings.
#![no_main]

#[path = "../../tests/src/framing.rs"]
pub mod framing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| framing::run(bytes));
