//! A lane: a thread's own stretch of the ring, split into samples without touching any word that others write.
//!
//! Invariant: the stretch begins with a busy header that spans what is left of it. Kernel counterpart: the same walk
//! as ever; each submitted sample is a record, and a busy one follows until the lane is used up or closed.

use core::ops::{Deref, DerefMut};

use crate::error::ReserveError;
use crate::format::layout::record_extent;
use crate::format::position::Position;
use crate::produce::busy::BusyRecord;
use crate::produce::payload::{BeyondSample, Payload};
use crate::seam::memory::RingMemory;

/// A stretch of the ring for one thread at a time. Each sample is visible as soon as it is submitted.
///
/// **Everything reserved behind an open lane waits for it**, by whomever: keep lanes short, and close them (or drop
/// them) when there is nothing to send. What is left is discarded then. A lane that is forgotten, or whose process
/// dies, stops the ring until it is repaired.
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

    /// Reserves a sample of `len` bytes in the lane. Nothing of it is visible before submit.
    ///
    /// # Errors
    /// [`ReserveError::TooLarge`] if no ring of this size takes it, [`ReserveError::LaneUsedUp`] if the lane has not
    /// enough left: close it and take another one.
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

    /// Reserves, copies `bytes` and submits. The answer is the position at which the record ends.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Bytes left, of which each sample takes a header of 8 and padding up to a multiple of 8 besides its own.
    #[inline]
    pub fn left(&self) -> u32 {
        self.record.extent()
    }

    /// Gives up what is left, so that the kernel gets to what lies behind: the same as dropping the lane.
    #[inline]
    pub fn close(self) {}
}

/// Room for one sample in a lane, to be filled in place through [`Payload`] and then submitted. Dropping it gives the
/// room back to the lane.
#[derive(Debug)]
#[must_use = "a sample that is dropped is discarded: submit it"]
pub struct LaneSample<'l, M: RingMemory> {
    lane: &'l mut Lane<M>,
}

impl<M: RingMemory> LaneSample<'_, M> {
    /// Hands the sample to the kernel. The answer is the position at which its record ends.
    ///
    /// A release store of the header's length word, which pairs with the acquire load in `__bpf_user_ringbuf_peek`.
    #[inline]
    pub fn submit(self) -> Position {
        self.lane.record.commit_front()
    }

    /// Submits the first `len` bytes only; the rest stays with the lane.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample is discarded then.
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
