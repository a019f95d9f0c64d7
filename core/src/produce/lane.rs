//! A lane: a thread's own stretch of the ring, split into samples without touching a word that other threads write.
//!
//! Invariant: the stretch begins with a busy header that spans what is left of it. Kernel counterpart:
//! `__bpf_user_ringbuf_peek`, to which each submitted sample is a record, followed by a busy one until the lane is used
//! up or closed.

use core::ops::{Deref, DerefMut};

use crate::error::ReserveError;
use crate::format::layout::record_extent;
use crate::format::position::Position;
use crate::produce::busy::BusyRecord;
use crate::produce::payload::{BeyondSample, Payload};
use crate::seam::memory::RingMemory;

/// A stretch of the ring for one thread at a time. Each sample is visible to the kernel as soon as it is submitted.
///
/// **Everything that any thread reserves behind an open lane waits for it.** Keep lanes short, and close or drop them
/// when there is nothing to send; what is left is then discarded. If a lane is forgotten (`mem::forget`), or its
/// process dies, the ring is stuck until it is [repaired](crate::repair()).
#[derive(Debug)]
#[must_use = "a lane that is dropped gives its stretch up"]
pub struct Lane<M: RingMemory> {
    record: BusyRecord<M>,
}

impl<M: RingMemory> Lane<M> {
    #[inline]
    pub(crate) fn new(record: BusyRecord<M>) -> Self {
        Self { record }
    }

    /// Reserves a sample of `len` bytes in the lane. The kernel sees nothing of it before it is submitted.
    ///
    /// # Errors
    /// [`ReserveError::TooLarge`] if the ring can never take it, [`ReserveError::LaneUsedUp`] if too little is left of the
    /// lane: close it and take another. Nothing has changed then.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<LaneSample<'_, M>, ReserveError> {
        let size = self.record.memory().size();
        let checked = size.sample_len(len).ok_or(ReserveError::TooLarge { len, max: size.max_sample_len() })?;
        if self.record.begin(checked) {
            Ok(LaneSample { lane: self })
        } else {
            Err(ReserveError::LaneUsedUp { needed: record_extent(checked.bytes()), left: self.left() })
        }
    }

    /// Reserves a sample, copies `bytes` into it and submits it. Returns the position at which its record ends.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Bytes left. Each sample takes [`record_extent`] of its length.
    #[inline]
    pub fn left(&self) -> u32 {
        self.record.extent()
    }

    /// Discards what is left, as dropping the lane does, so that the kernel reaches what lies behind.
    #[inline]
    pub fn close(self) {}
}

/// Room for one sample in a lane: fill it in place through [`Payload`], then submit it. Dropping it gives the room back
/// to the lane.
#[derive(Debug)]
#[must_use = "a sample that is dropped is discarded: submit it"]
pub struct LaneSample<'l, M: RingMemory> {
    lane: &'l mut Lane<M>,
}

impl<M: RingMemory> LaneSample<'_, M> {
    /// Submits the sample. Returns the position at which its record ends.
    ///
    /// This is a release store of the header's length word, which pairs with the acquire load in
    /// `__bpf_user_ringbuf_peek`.
    #[inline]
    pub fn submit(self) -> Position {
        self.lane.record.commit_front()
    }

    /// Submits only the first `len` bytes. The rest stays with the lane.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample's room then goes back to the lane.
    #[inline]
    pub fn submit_len(mut self, len: usize) -> Result<Position, BeyondSample> {
        self.shorten(len)?;
        Ok(self.submit())
    }

    /// Gives the room back to the lane: the same as dropping the sample.
    #[inline]
    pub fn discard(self) {}
}

impl<M: RingMemory> Deref for LaneSample<'_, M> {
    type Target = Payload<M>;

    #[inline]
    fn deref(&self) -> &Payload<M> {
        &self.lane.record
    }
}

impl<M: RingMemory> DerefMut for LaneSample<'_, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Payload<M> {
        &mut self.lane.record
    }
}
