//! Samples that outlive the call that reserved them: several at once, submitted in any order, from any thread.
//!
//! Published at once with the busy bit, so the kernel stops in front of the oldest that is not submitted. Kernel
//! counterpart: `BPF_RINGBUF_BUSY_BIT` in `__bpf_user_ringbuf_peek`.

use core::ops::{Deref, DerefMut};

use crate::format::position::Position;
use crate::produce::busy::BusyRecord;
use crate::produce::lane::Lane;
use crate::produce::payload::{BeyondSample, Payload};
use crate::seam::memory::RingMemory;

/// Room for one sample that is not bound to its producer: fill it through [`Payload`], then submit it.
///
/// It holds its memory by value: a reference, or an `Arc` if it must outlive the place where the memory lives. It is
/// `Send`: another thread may fill and submit it. Everything reserved after it waits until it is submitted, discarded
/// or dropped (which discards). One that is forgotten, or whose process dies, stops the ring until it is repaired.
#[derive(Debug)]
#[must_use = "a sample that is dropped is discarded: submit it"]
pub struct DetachedSample<M: RingMemory> {
    record: BusyRecord<M>,
}

impl<M: RingMemory> DetachedSample<M> {
    #[inline]
    pub(crate) fn new(record: BusyRecord<M>) -> Self {
        Self { record }
    }

    /// Hands the sample to the kernel. The answer is the position at which its record ends.
    ///
    /// A release store of the header's length word, which pairs with the acquire load in `__bpf_user_ringbuf_peek`.
    #[inline]
    pub fn submit(mut self) -> Position {
        self.record.commit_last()
    }

    /// Submits the first `len` bytes only. The rest of the record becomes a discarded one, which the kernel skips.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample is discarded then; where that is not
    /// wanted, call [`Payload::shorten`] first.
    #[inline]
    pub fn submit_len(mut self, len: usize) -> Result<Position, BeyondSample> {
        self.record.shorten(len)?;
        Ok(self.submit())
    }

    /// Makes the kernel skip the record: the same as dropping the sample. Its bytes are free once the kernel has
    /// drained past them.
    #[inline]
    pub fn discard(self) {}

    /// Makes a lane of the sample's place: many samples in it, one after the other.
    #[inline]
    pub fn into_lane(self) -> Lane<M> {
        Lane::new(self.record)
    }
}

impl<M: RingMemory> Deref for DetachedSample<M> {
    type Target = Payload<M>;

    #[inline]
    fn deref(&self) -> &Payload<M> {
        &self.record
    }
}

impl<M: RingMemory> DerefMut for DetachedSample<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Payload<M> {
        &mut self.record
    }
}
