//! Random numbers and bytes that repeat with their seed.

pub use fastrand::Rng;

/// `len` bytes that depend on `seed` and on their place.
pub fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::with_seed(u64::try_from(seed).unwrap_or(u64::MAX)).fill(&mut bytes);
    bytes
}
