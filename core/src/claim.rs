//! The claim to be a ring's one producer, given back on drop.
//!
//! Invariant: between `new` and drop nothing else in this process has a claim on the same memory, so room that the
//! holder finds free is free for it alone. Kernel counterpart: none; the kernel does not know its producers.

use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr;

use crate::error::AttachError;
use crate::header::RecordState;
use crate::memory::RingMemory;
use crate::position::Position;
use crate::records::Records;

/// Memory of which the holder is the one producer.
#[derive(Debug)]
pub(crate) struct Claimed<M: RingMemory>(M);

impl<M: RingMemory> Claimed<M> {
    pub(crate) fn new(memory: M) -> Result<Self, AttachError> {
        if memory.claim_producer() { Ok(Self(memory)) } else { Err(AttachError::AlreadyAttached) }
    }

    /// Looks at every record in the ring, and finds out where a producer may begin.
    pub(crate) fn open(&self) -> Result<Opening, AttachError> {
        let records = Records::new(&self.0).map_err(AttachError::Corrupted)?;
        let opening = Opening { position: records.end(), limit: records.position().advance(self.0.size().bytes_u64()) };
        for record in records {
            let record = record.map_err(|damage| AttachError::Damaged { damage })?;
            if record.state == RecordState::Busy {
                return Err(AttachError::Busy { record });
            }
        }
        Ok(opening)
    }

    /// Gives the claim up, and the memory back.
    pub(crate) fn into_memory(self) -> M {
        let mut claimed = ManuallyDrop::new(self);
        claimed.release();
        // SAFETY: the value is not used again, nor dropped.
        unsafe { ptr::read(&raw const claimed.0) }
    }

    fn release(&mut self) {
        // SAFETY: `new` got the claim, and its holder goes now.
        unsafe { self.0.release_producer() };
    }
}

/// Where a producer begins on a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// The end of what is in the ring.
    pub(crate) position: Position,
    /// A consumer position plus the ring's size.
    pub(crate) limit: Position,
}

impl<M: RingMemory> Deref for Claimed<M> {
    type Target = M;

    #[inline(always)]
    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M: RingMemory> Drop for Claimed<M> {
    fn drop(&mut self) {
        self.release();
    }
}
