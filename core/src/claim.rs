//! The claim to be a ring's one producer, given back on drop.
//!
//! Invariant: between `new` and drop nobody else in this process has a claim on the same memory, so room that the
//! holder finds free is free for it alone. Kernel counterpart: none; the kernel does not know its producers.

use core::ops::Deref;

use crate::error::AttachError;
use crate::memory::RingMemory;

/// Memory of which the holder is the one producer.
#[derive(Debug)]
pub(crate) struct Claimed<M: RingMemory>(M);

impl<M: RingMemory> Claimed<M> {
    pub(crate) fn new(memory: M) -> Result<Self, AttachError> {
        if memory.claim_producer() { Ok(Self(memory)) } else { Err(AttachError::AlreadyAttached) }
    }
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
        // SAFETY: `new` got the claim, and its holder goes now.
        unsafe { self.0.release_producer() };
    }
}
