//! A ring and the kernel that drains it, real or fake, as a trial sees them.

use std::sync::Arc;

use user_ringbuf_sim::{RingImage, RingMemory};

use super::image::Call;

/// One of the two that are compared.
pub trait Side {
    /// What the core works on.
    type Memory: RingMemory;

    /// Bytes in the data area.
    fn size(&self) -> u32;

    /// The same ring, for producers and repairs.
    fn memory(&self) -> Arc<Self::Memory>;

    /// `consumer_pos`.
    fn consumer(&self) -> u64;

    /// `producer_pos`.
    fn producer(&self) -> u64;

    /// Stores `producer_pos`.
    fn set_producer(&mut self, position: u64);

    /// Writes `bytes`, at most the ring's size, from `position` on. Nothing else may be at work on the ring.
    fn write(&mut self, position: u64, bytes: &[u8]);

    /// Writes `len` zeros, at most the ring's size, from `position` on.
    fn zero(&mut self, position: u64, len: u32);

    /// The length word of the header at `offset`, a multiple of 8 below the size.
    fn word(&self, offset: u32) -> u32;

    /// Positions and bytes as they stand.
    fn snapshot(&self) -> RingImage;

    /// Moves both positions on to `target`, a multiple of 8 that is not behind the consumer. The data area is zero
    /// before and afterwards.
    ///
    /// # Errors
    /// If the consumer can't be brought there.
    fn move_to(&mut self, target: u64) -> anyhow::Result<()>;

    /// Drains once. Replaces what `answer` held, except whether it woke.
    ///
    /// # Errors
    /// If the drain can't be tried.
    fn drain(&mut self, call: &Call, answer: &mut Answer) -> anyhow::Result<()>;

    /// Whether the last drain woke the waiters, of which the other side expects `expected`.
    ///
    /// # Errors
    /// If that can't be found out.
    fn woke(&mut self, expected: bool) -> anyhow::Result<bool>;

    /// Whether [`woke`](Self::woke) waits each time until no wakeup can be under way, which takes time on a real kernel.
    fn be_thorough(&mut self, _thorough: bool) {}

    /// Whether a wakeup came that no call of [`woke`](Self::woke) reported.
    ///
    /// # Errors
    /// If that can't be found out.
    fn woke_late(&mut self) -> anyhow::Result<bool> {
        Ok(false)
    }
}

/// What a drain did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What the helper returned.
    pub returned: i64,
    /// What the last nested drain returned, 0 if there was none.
    pub nested: i64,
    /// `consumer_pos` afterwards.
    pub consumer: u64,
    /// What the callback got.
    pub samples: Samples,
    /// Whether it woke the waiters.
    pub woke: bool,
}

/// Samples, one behind the other, as many as fit in a log of some size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// How many came after the log was full.
    pub unlogged: u32,
}

impl Samples {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.unlogged = 0;
    }

    /// Adds a sample.
    pub fn push(&mut self, sample: &[u8]) {
        self.bytes.extend_from_slice(sample);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The samples in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were_put_in() {
        let mut samples = Samples::default();
        for _ in 0..2 {
            samples.clear();
            for sample in [&b"one"[..], b"", b"three"] {
                samples.push(sample);
            }
            assert!(samples.iter().eq([&b"one"[..], b"", b"three"]));
        }
        assert_eq!((samples.len(), samples.is_empty()), (3, false));
    }
}
