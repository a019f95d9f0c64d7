//! A record that is visible to the kernel, which waits in front of it until its owner commits it.
//!
//! Invariant: `extent` bytes from the payload's start belong to the owner, and the header at the start says busy. A
//! commit takes a record off the front. The rest stays one record, whose own header is written *before* the front is
//! released, so the kernel never finds bytes of an earlier lap where it looks for a header. Kernel counterpart:
//! `__bpf_user_ringbuf_peek`, which stops without an error at `BPF_RINGBUF_BUSY_BIT`.

use core::ops::{Deref, DerefMut};

use crate::format::header::Header;
use crate::format::layout::{SampleLen, filler_len};
use crate::format::position::Position;
use crate::produce::payload::{OwnPayload, Payload};
use crate::seam::memory::RingMemory;

/// A busy record. What was not committed is discarded on drop.
#[derive(Debug)]
pub(crate) struct BusyRecord<M: RingMemory> {
    payload: OwnPayload<M>,
    extent: u32,
}

impl<M: RingMemory> BusyRecord<M> {
    /// Writes the header of a busy record at `start`. The caller publishes it.
    ///
    /// # Safety
    /// As for [`Payload::new`]; and the caller publishes the record, or forgets the value.
    #[inline]
    pub(crate) unsafe fn new(memory: M, start: Position, len: SampleLen) -> Self {
        // SAFETY: the caller's promise is passed on.
        let mut payload = unsafe { OwnPayload::new(memory, start, len) };
        payload.write_header(Header::busy(len.bytes()));
        Self { payload, extent: len.extent() }
    }

    /// Bytes that are left, headers and padding included.
    #[inline]
    pub(crate) fn extent(&self) -> u32 {
        self.extent
    }

    /// Where the stretch begins, or what is left of it.
    #[inline]
    pub(crate) fn start(&self) -> Position {
        self.payload.start()
    }

    /// Where the stretch ends.
    #[inline]
    pub(crate) fn end(&self) -> Position {
        self.payload.start().advance(u64::from(self.extent))
    }

    /// Makes the front of the stretch a sample of `len` bytes, which only its owner can see. Returns `false` if there
    /// is no room for it.
    #[inline]
    pub(crate) fn begin(&mut self, len: SampleLen) -> bool {
        let fits = len.extent() <= self.extent;
        if fits {
            // SAFETY: the record's extent lies within the stretch, which is ours (`new`).
            unsafe { self.payload.set_len(len) };
        }
        fits
    }

    /// Submits the sample in front; the stretch behind it stays busy. Returns the position at which the sample's record
    /// ends.
    #[inline]
    pub(crate) fn commit_front(&mut self) -> Position {
        self.commit(Header::busy)
    }

    /// Submits the sample and discards what is left of the stretch. Returns the position at which the sample's record
    /// ends.
    #[inline]
    pub(crate) fn commit_last(&mut self) -> Position {
        let end = self.commit(Header::discarded);
        // The kernel may be past the rest by now and the room reserved anew: nothing more may be stored there.
        self.extent = 0;
        end
    }

    /// Submits the sample. What is left behind it becomes a record with the header that `rest` makes.
    #[inline]
    fn commit(&mut self, rest: fn(u32) -> Header) -> Position {
        let len = self.payload.sample_len();
        // A sample is begun within the stretch and only ever shortened.
        let left = self.extent.saturating_sub(len.extent());
        let end = self.payload.start().advance(u64::from(len.extent()));
        if left > 0 {
            // SAFETY: `end` lies within the stretch, which is ours (`new`), and a record has at least eight bytes.
            unsafe { self.payload.write_header_at(end, rest(filler_len(left))) };
        }
        self.commit_header(Header::submitted(len.bytes()));
        // SAFETY: what is left of the stretch begins at `end`; if nothing is left, nothing more is written.
        unsafe { self.payload.move_to(end) };
        self.extent = left;
        end
    }

    /// Discards what is left.
    #[inline]
    pub(crate) fn discard(&mut self) {
        if self.extent > 0 {
            self.commit_header(Header::discarded(filler_len(self.extent)));
            self.extent = 0;
        }
    }

    /// Stores the record's length word. Pairs with the kernel's acquire load of the header: the sample, and the header
    /// behind it, are written by now.
    #[inline]
    fn commit_header(&mut self, header: Header) {
        // SAFETY: the record at the start is ours (`new`), and nothing else stores to its header.
        unsafe { self.payload.memory().commit_header(self.payload.offset(), header) };
    }
}

impl<M: RingMemory> Deref for BusyRecord<M> {
    type Target = Payload<M>;

    #[inline]
    fn deref(&self) -> &Payload<M> {
        &self.payload
    }
}

impl<M: RingMemory> DerefMut for BusyRecord<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Payload<M> {
        &mut self.payload
    }
}

impl<M: RingMemory> Drop for BusyRecord<M> {
    #[inline]
    fn drop(&mut self) {
        self.discard();
    }
}
