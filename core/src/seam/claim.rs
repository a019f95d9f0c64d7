//! The claim to be the one producer of a ring, given back on drop.
//!
//! Invariant: between `new` and drop nothing else in this process has a claim on the same memory, so whatever room the
//! holder finds is free for it alone. Kernel counterpart: none; the kernel does not know its producers.

use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr;

use crate::format::header::Header;
use crate::seam::memory::{RingMemory, RingView};

/// Memory whose one producer is the holder of this value.
#[derive(Debug)]
pub(crate) struct Claimed<M: RingMemory>(M);

impl<M: RingMemory> Claimed<M> {
    /// Claims the memory, or gives it back.
    pub(crate) fn new(memory: M) -> Result<Self, M> {
        // SAFETY: the holder of the value made here is the producer; dropping the value gives the claim back.
        if unsafe { memory.claim_producer() } { Ok(Self(memory)) } else { Err(memory) }
    }

    /// Gives up the claim and returns the memory.
    pub(crate) fn into_memory(self) -> M {
        let mut claimed = ManuallyDrop::new(self);
        claimed.release();
        // SAFETY: the value is neither used again nor dropped.
        unsafe { ptr::read(&raw const claimed.0) }
    }

    fn release(&mut self) {
        // SAFETY: `new` got the claim, and its holder ends here.
        unsafe { self.0.release_producer() };
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
        self.release();
    }
}

/// Memory as seen through the addresses at which headers are written.
#[derive(Debug)]
pub(crate) struct WrittenHere<'m, M>(&'m M);

impl<'m, M: RingMemory> WrittenHere<'m, M> {
    /// # Safety
    /// What [`RingMemory::read_header`] asks holds for each header that is read as long as the value lives.
    pub(crate) unsafe fn new(memory: &'m M) -> Self {
        Self(memory)
    }
}

crate::forward_memory! {
    // SAFETY: the memory keeps each obligation.
    unsafe impl [M: RingMemory] RingPositions for WrittenHere<'_, M> { |this| this.0 }
}

// SAFETY: 1: `new` was promised that this process writes nothing plainly where this reads. 2: the memory promises it.
unsafe impl<M: RingMemory> RingView for WrittenHere<'_, M> {
    unsafe fn load_header(&self, offset: u32) -> Header {
        // SAFETY: the caller promises the offset, and the caller of `new` the rest.
        unsafe { self.0.read_header(offset) }
    }
}
