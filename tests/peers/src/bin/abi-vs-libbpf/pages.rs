//! A ring's bytes, as the comparison needs them: whole headers, and samples filled so that each byte tells its place.

use std::ops::Deref;
use std::sync::atomic::Ordering;

use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_linux::Map;

#[derive(Debug)]
pub(crate) struct Pages(RawRing);

impl Pages {
    pub(crate) fn new(map: &Map) -> Self {
        Self(RawRing::new(map))
    }

    /// The header at this offset: its length word, and its pad in the upper half.
    pub(crate) fn header(&self, offset: u32) -> u64 {
        let [len, pad] = [0, 4].map(|half| self.0.word(offset as usize + half).load(Ordering::Acquire));
        u64::from(len) | u64::from(pad) << 32
    }

    pub(crate) fn set_header(&self, offset: u32, header: u64) {
        let [a, b, c, d, pad @ ..] = header.to_le_bytes();
        self.0.word(offset as usize + 4).store(u32::from_le_bytes(pad), Ordering::Relaxed);
        self.0.word(offset as usize).store(u32::from_le_bytes([a, b, c, d]), Ordering::Release);
    }

    /// Fills `len` bytes of a sample with what `number` makes of their places.
    pub(crate) fn fill(&self, header: u32, len: u32, number: u64) {
        let bytes: Vec<u8> = (0..u64::from(len)).map(|at| (number ^ at).to_le_bytes()[0]).collect();
        self.0.write(u64::from(header) + 8, &bytes);
    }
}

impl Deref for Pages {
    type Target = RawRing;

    fn deref(&self) -> &RawRing {
        &self.0
    }
}
