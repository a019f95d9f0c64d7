//! A reserved sample of the exclusive producer, invisible to the kernel until it is submitted.
//!
//! Invariant: `tail` is the producer's position, and the payload begins there. Kernel counterpart: none before submit;
//! after it, one record for `__bpf_user_ringbuf_peek`.

use core::ops::{Deref, DerefMut};

use crate::format::position::Position;
use crate::produce::payload::{BeyondSample, OwnPayload, Payload};
use crate::produce::room::publish;
use crate::seam::memory::RingMemory;

/// Room for one sample: fill it in place through [`Payload`], then submit it.
///
/// Dropping it gives the room back and leaves nothing in the ring.
///
/// A sample borrows its producer, so there is never more than one:
/// ```compile_fail,E0499
/// # fn show<M: user_ringbuf_core::RingMemory>(producer: &mut user_ringbuf_core::Producer<M>) {
/// let first = producer.reserve(8).unwrap();
/// let second = producer.reserve(8).unwrap();
/// first.submit();
/// # }
/// ```
/// It is submitted once:
/// ```compile_fail,E0382
/// # fn show<M: user_ringbuf_core::RingMemory>(producer: &mut user_ringbuf_core::Producer<M>) {
/// let sample = producer.reserve(8).unwrap();
/// sample.submit();
/// sample.submit();
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a sample that is dropped is discarded: submit it"]
pub struct Sample<'p, M: RingMemory> {
    payload: OwnPayload<&'p M>,
    tail: &'p mut Position,
}

impl<'p, M: RingMemory> Sample<'p, M> {
    #[inline(always)]
    pub(crate) fn new(payload: OwnPayload<&'p M>, tail: &'p mut Position) -> Self {
        Self { payload, tail }
    }

    /// Submits the sample. Returns the position at which its record ends: once the kernel has consumed that far, it has
    /// taken this sample.
    ///
    /// This is a release store of `producer_pos`, which pairs with the acquire load in `__bpf_user_ringbuf_peek`.
    #[inline]
    pub fn submit(mut self) -> Position {
        let end = self.payload.finish();
        publish(self.payload.memory(), self.tail, end)
    }

    /// Submits only the first `len` bytes. The rest goes back to the ring.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample is then discarded; to keep it,
    /// call [`Payload::shorten`] first.
    #[inline]
    pub fn submit_len(mut self, len: usize) -> Result<Position, BeyondSample> {
        self.payload.shorten(len)?;
        Ok(self.submit())
    }

    /// Gives the room back, as dropping the sample does. Nothing was visible, and nothing stays in the ring.
    #[inline]
    pub fn discard(self) {}
}

impl<'p, M: RingMemory> Deref for Sample<'p, M> {
    type Target = Payload<&'p M>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.payload
    }
}

impl<M: RingMemory> DerefMut for Sample<'_, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.payload
    }
}
