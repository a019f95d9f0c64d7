//! Positions that change under a working producer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| user_ringbuf_fuzz::hostile_positions::run(bytes));
