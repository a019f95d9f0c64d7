//! Positions that change under a working producer.
#![no_main]

use user_ringbuf_sim::proof::targets::hostile_positions;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile_positions::run(bytes);
});
