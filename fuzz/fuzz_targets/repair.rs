//! Any ring image, repaired and drained.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| user_ringbuf_sim::proof::targets::repair::run(bytes));
