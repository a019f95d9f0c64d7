//! A batch: records that the kernel sees all at once, or not at all.
//!
//! Invariant: from the producer's position to `tail` there are whole records with written headers, none of them
//! visible. If `lost` is set, the room may belong to another producer, and the batch is never published. One release
//! store of `producer_pos` publishes all records. Kernel counterpart: one load of `producer_pos` in
//! `__bpf_user_ringbuf_peek` finds either none of them or all.

use core::ops::{Deref, DerefMut};

use crate::error::ReserveError;
use crate::format::position::Position;
use crate::produce::payload::{BeyondSample, OwnPayload, Payload};
use crate::produce::room::{Room, publish};
use crate::seam::memory::RingMemory;

/// Records that become visible together. Dropping the batch leaves nothing of them behind.
///
/// A drain may still stop between them, because its callback asks for that or after
/// [`MAX_RECORDS_PER_DRAIN`](crate::kernel::MAX_RECORDS_PER_DRAIN) records.
#[derive(Debug)]
#[must_use = "a batch that is dropped is discarded: submit it"]
pub struct Batch<'p, M: RingMemory> {
    room: &'p mut Room<M>,
    tail: Position,
    /// Why the batch can no longer be submitted.
    lost: Option<ReserveError>,
}

impl<'p, M: RingMemory> Batch<'p, M> {
    #[inline]
    pub(crate) fn new(room: &'p mut Room<M>) -> Self {
        let tail = room.position();
        Self { room, tail, lost: None }
    }

    /// Reserves the batch's next sample.
    ///
    /// # Errors
    /// As [`Producer::reserve`](crate::Producer::reserve), and [`ReserveError::BatchFull`] if the record and the batch
    /// together are larger than the ring. The batch is unchanged and may be submitted without the sample. But after
    /// [`ReserveError::ForeignProducer`] or [`ReserveError::Corrupted`] the batch is lost, and [`submit`](Self::submit)
    /// fails with the same error.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<BatchSample<'_, M>, ReserveError> {
        let len = self.room.make_room(self.tail, len).inspect_err(|why| {
            if why.is_loss() {
                self.lost = Some(*why);
            }
        })?;
        // SAFETY: `make_room` found the record's extent free from `tail` on; the batch borrows the ring's one
        // producer, and the sample borrows the batch, so nothing else takes these bytes.
        let payload = unsafe { OwnPayload::new(self.room.memory(), self.tail, len) };
        Ok(BatchSample { payload, tail: &mut self.tail })
    }

    /// Adds a sample with these bytes.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        sample.submit();
        Ok(())
    }

    /// Publishes the whole batch at once. Returns the position at which its last record ends. An empty batch stores
    /// nothing.
    ///
    /// This is a release store of `producer_pos`, which pairs with the acquire load in `__bpf_user_ringbuf_peek`. The
    /// position is checked once more before it, since a batch can take long to fill.
    ///
    /// # Errors
    /// [`ReserveError::ForeignProducer`] and [`ReserveError::Corrupted`] if a reservation of this batch met that, or if
    /// the position was moved since. Nothing of the batch is visible; push its samples again after
    /// [`Producer::resume`](crate::Producer::resume).
    #[inline]
    pub fn submit(self) -> Result<Position, ReserveError> {
        if let Some(why) = self.lost {
            return Err(why);
        }
        if self.is_empty() {
            return Ok(self.tail);
        }
        self.room.check_position()?;
        let (memory, position) = self.room.parts();
        Ok(publish(memory, position, self.tail))
    }

    /// Gives all room back: the same as dropping the batch.
    #[inline]
    pub fn discard(self) {}

    /// Bytes that the batch takes up so far, headers and padding included.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.tail.distance_from(self.room.position())
    }

    /// Whether the batch has no samples yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }
}

/// Room for one sample of a batch, to be filled in place through [`Payload`].
#[derive(Debug)]
#[must_use = "a sample that is dropped is not part of the batch: submit it"]
pub struct BatchSample<'b, M: RingMemory> {
    payload: OwnPayload<&'b M>,
    tail: &'b mut Position,
}

impl<M: RingMemory> BatchSample<'_, M> {
    /// Adds the sample to the batch. The kernel sees it when the batch is submitted.
    #[inline]
    pub fn submit(mut self) {
        *self.tail = self.payload.finish();
    }

    /// Adds only the first `len` bytes.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample is then left out of the batch.
    #[inline]
    pub fn submit_len(mut self, len: usize) -> Result<(), BeyondSample> {
        self.payload.shorten(len)?;
        self.submit();
        Ok(())
    }

    /// Leaves the sample out of the batch: the same as dropping it.
    #[inline]
    pub fn discard(self) {}
}

impl<'b, M: RingMemory> Deref for BatchSample<'b, M> {
    type Target = Payload<&'b M>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.payload
    }
}

impl<M: RingMemory> DerefMut for BatchSample<'_, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.payload
    }
}
