//! A ring on which something is tried that has to fail, and the proof that it did no harm.

use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_linux::{Mapping, Producer, ReserveError};
use user_ringbuf_tests::ring::Ring;

/// A ring that holds one sample and has no producer.
pub(crate) struct TriedRing {
    pub(crate) ring: Ring,
    pub(crate) raw: RawRing,
    pub(crate) mapping: Mapping,
}

const BEFORE: &[u8] = b"in the ring before";
const AFTER: &[u8] = b"sent afterwards";
/// What attempts may fill a ring with.
const FILL: u8 = 0xf1;

impl TriedRing {
    pub(crate) fn new(size: u64) -> Self {
        let ring = Ring::with_log(size, 2 << 20);
        let (raw, mapping) = (ring.raw(), ring.mapping());
        Producer::attach(&mapping).unwrap().push(BEFORE).unwrap();
        Self { ring, raw, mapping }
    }

    /// Fills what is left of the ring through `push`, so that the next reservation has to look at the positions.
    pub(crate) fn fill(&self, mut push: impl FnMut(&[u8]) -> Result<(), ReserveError>) {
        let mut len = 4096;
        loop {
            match push(&vec![FILL; len]) {
                Ok(()) => {}
                Err(_) if len > 0 => len /= 2,
                Err(error) => {
                    assert!(error.is_full(), "{error}");
                    return;
                }
            }
        }
    }

    /// What was in the ring arrives, and the next sample goes in and arrives.
    pub(crate) fn still_works(&mut self, entry: &str, value: &str) {
        let mut producer = Producer::attach(&self.mapping).unwrap();
        let mut seen = self.ring.drain();
        producer.push(AFTER).unwrap();
        seen.extend(self.ring.drain());
        let harmless = |sample: &Vec<u8>| sample.iter().all(|byte| *byte == FILL);
        assert!(seen.len() >= 2 && seen[0] == BEFORE && seen[seen.len() - 1] == AFTER, "after {entry} with {value}");
        assert!(seen[1..seen.len() - 1].iter().all(harmless), "after {entry} with {value}: {seen:?}");
    }
}
