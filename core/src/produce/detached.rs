//! Samples that are not bound to their producer: several at once, submitted in any order, from any thread.
//!
//! Invariant: each is published at once with the busy bit, so the kernel stops in front of the oldest one that is not
//! submitted. Kernel counterpart: `BPF_RINGBUF_BUSY_BIT` in `__bpf_user_ringbuf_peek`.

use core::ops::{Deref, DerefMut};

use crate::format::position::Position;
use crate::produce::busy::BusyRecord;
use crate::produce::lane::Lane;
use crate::produce::payload::{BeyondSample, Payload};
use crate::seam::memory::RingMemory;

/// Room for one sample that is not bound to its producer: fill it through [`Payload`], then submit it.
///
/// It holds its memory by value: a reference, or an `Arc` if it must outlive the owner of the memory. It is `Send`:
/// another thread may fill and submit it.
///
/// Everything reserved after it waits until it is submitted or discarded; dropping it discards it. If it is forgotten
/// (`mem::forget`), or its process dies, the ring is stuck until it is [repaired](crate::repair()).
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

    /// Submits the sample. Returns the position at which its record ends.
    ///
    /// This is a release store of the header's length word, which pairs with the acquire load in
    /// `__bpf_user_ringbuf_peek`.
    #[inline]
    pub fn submit(mut self) -> Position {
        self.record.commit_last()
    }

    /// Submits only the first `len` bytes. The rest becomes a discarded record, which the kernel skips.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample is then discarded; to keep it,
    /// call [`Payload::shorten`] first.
    #[inline]
    pub fn submit_len(mut self, len: usize) -> Result<Position, BeyondSample> {
        self.record.shorten(len)?;
        Ok(self.submit())
    }

    /// Discards the sample, as dropping it does: the kernel skips the record. Its bytes are free once the kernel has
    /// drained past it.
    #[inline]
    pub fn discard(self) {}

    /// Turns the sample's room into a lane, for many samples one after the other.
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
