//! Records written by hand, one behind the other.

use std::ops::Deref;
use std::os::fd::AsFd;

use super::RawRing;

/// A producer that checks nothing, not even whether there is room, over a [`RawRing`] of its own.
#[derive(Debug)]
pub struct RawProducer {
    ring: RawRing,
    /// Where the next record goes: ahead of the producer position until [`publish`](Self::publish).
    pub next: u64,
}

impl RawProducer {
    /// Goes on at the ring's producer position.
    ///
    /// # Panics
    /// If the ring can't be mapped.
    pub fn new(map: impl AsFd) -> Self {
        let ring = RawRing::new(map);
        Self { next: ring.producer_pos(), ring }
    }

    /// Writes a record of `bits` and `sample` behind the last one and returns its position. Publishes nothing.
    ///
    /// # Panics
    /// If the ring is smaller than the record.
    pub fn write(&mut self, bits: u32, sample: &[u8]) -> u64 {
        let at = self.next;
        self.next = self.ring.write_record(at, bits, sample);
        at
    }

    /// Makes all written records visible.
    pub fn publish(&self) {
        self.ring.set_producer_pos(self.next);
    }

    /// Writes a record of `sample` and publishes it.
    ///
    /// # Panics
    /// If the ring is smaller than the record.
    pub fn send(&mut self, sample: &[u8]) {
        self.write(0, sample);
        self.publish();
    }

    /// Free bytes; records that are written and not yet published count as used.
    ///
    /// # Panics
    /// If the kernel has consumed more than was written.
    pub fn free(&self) -> usize {
        self.ring.size() - usize::try_from(self.next - self.ring.consumer_pos()).expect("at most the ring's size")
    }
}

impl Deref for RawProducer {
    type Target = RawRing;

    fn deref(&self) -> &RawRing {
        &self.ring
    }
}
