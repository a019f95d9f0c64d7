//! The command's input framings.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| user_ringbuf_fuzz::framing::run(bytes));
