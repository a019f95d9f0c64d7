//! Programs of the operation language against the reference model.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use user_ringbuf_sim::proof::targets::operations::run;

fuzz_target!(|bytes: &[u8]| -> Corpus { if run(bytes).is_ok() { Corpus::Keep } else { Corpus::Reject } });

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mutated = fuzzer_mutate(data, size, max_size);
    // The first byte is the ring's size. Small rings do most of the work, and are fast.
    if let Some(size) = data.first_mut().filter(|_| seed % 16 > 0) {
        *size %= 8;
    }
    mutated
});
