//! Where a producer begins on a ring, once everything that is still in it was checked.
//!
//! Invariant: an opening exists only if the kernel can take every record up to `position`. So a ring that is stuck, or
//! that another producer is using, is noticed before anything is written. Kernel counterpart: the walk of
//! `__bpf_user_ringbuf_peek`, by the same checks.

use crate::error::{AttachError, AttachFailed};
use crate::format::header::RecordState;
use crate::format::position::Position;
use crate::observe::records::Records;
use crate::seam::claim::{Claimed, WrittenHere};
use crate::seam::memory::RingMemory;

/// Where a producer begins on a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// The end of what is in the ring.
    pub(crate) position: Position,
    /// A consumer position plus the ring's size.
    pub(crate) limit: Position,
}

impl Opening {
    /// Claims the memory and finds out where to begin. Gives the memory back on failure.
    pub(crate) fn attach<M: RingMemory>(memory: M) -> Result<(Claimed<M>, Self), AttachFailed<M>> {
        let memory = Claimed::new(memory).map_err(|memory| AttachFailed::new(AttachError::AlreadyAttached, memory))?;
        // SAFETY: the claim was got just now, and nothing is reserved before the walk is over.
        match unsafe { Self::of(&memory) } {
            Ok(opening) => Ok((memory, opening)),
            Err(error) => Err(AttachFailed::new(error, memory.into_memory())),
        }
    }

    /// Checks every record in the ring, and finds out where the holder of the claim may begin.
    ///
    /// Samples and lanes of an earlier producer may still be writing, but only into records that are busy until they
    /// have finished. The walk reaches those bytes, if at all, through a header whose acquire load shows that they are
    /// written.
    ///
    /// # Safety
    /// During the walk no header is written: neither the holder nor another thread reserves anything.
    pub(crate) unsafe fn of<M: RingMemory>(memory: &Claimed<M>) -> Result<Self, AttachError> {
        // SAFETY: the claim is held; as above, and by the caller's promise, plain writes happened before.
        let view = unsafe { WrittenHere::new(&**memory) };
        let records = Records::new(view).map_err(AttachError::Corrupted)?;
        let opening = Self { position: records.end(), limit: records.position().advance(memory.size().bytes_u64()) };
        for record in records {
            let record = record.map_err(|damage| AttachError::Damaged { damage })?;
            if record.state == RecordState::Busy {
                return Err(AttachError::Busy { record });
            }
        }
        Ok(opening)
    }
}
