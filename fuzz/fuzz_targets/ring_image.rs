//! Any ring image: the fake kernel against the second reading.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| user_ringbuf_sim::proof::targets::ring_image::run(bytes));
