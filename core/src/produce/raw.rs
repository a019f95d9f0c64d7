//! libbpf's contract: any number of handles on one ring, each sample published busy when it is reserved.
//!
//! Invariant: a handle remembers nothing. It loads both positions for each reservation, so handles in any number of
//! processes may share a ring, as long as a lock of their own serialises the reservations. Nothing is claimed. Between
//! reserve and submit a sample is known only by the offset of its header. Kernel counterpart:
//! `__bpf_user_ringbuf_peek`, which stops at `BPF_RINGBUF_BUSY_BIT` and skips `BPF_RINGBUF_DISCARD_BIT`.

use core::time::Duration;

use crate::error::ReserveError;
use crate::format::header::{Header, RecordState};
use crate::format::layout::{SampleLen, filler_len};
use crate::format::position::Position;
use crate::produce::payload::{BeyondSample, taken_up_again};
use crate::produce::room::{Seen, look_for_room};
use crate::seam::memory::RingMemory;
use crate::seam::role::Role;
use crate::wait::attempts::{Until, block_on, or_not_yet};
use crate::wait::{BlockingError, Wait};

/// A handle on a ring into which others may produce too: for the C ABI, and for programs that share a ring with libbpf.
///
/// Rust programs should use [`Producer`](crate::Producer), [`Shared`](crate::Shared) or
/// [`DetachedSample`](crate::DetachedSample), which the compiler checks. Here the caller promises:
///
/// 1. All reservations and pushes, through any handle in any process, libbpf's included, happen under one lock, and no
///    [`Producer`](crate::Producer) works on the ring.
/// 2. An offset that is submitted or discarded came from a reservation on this ring, and was neither submitted nor
///    discarded since. Violations that can be detected at no cost are refused; others damage the contents of the ring,
///    never other memory.
///
/// Submitting and discarding need no lock: any thread may do so, in any order, during a reservation too.
#[derive(Debug)]
#[doc(alias = "user_ring_buffer")]
pub struct Raw<M: RingMemory> {
    memory: M,
}

impl<M: RingMemory> Raw<M> {
    /// Makes a handle on this memory, without claiming the ring or looking at what is in it.
    #[inline]
    pub const fn new(memory: M) -> Self {
        Self { memory }
    }

    /// The memory that this handle works on.
    #[inline]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Reserves a sample of `len` bytes and publishes it with the busy bit. Returns the position of its header.
    ///
    /// # Errors
    /// [`ReserveError::TooLarge`], [`ReserveError::Full`], and [`ReserveError::Corrupted`] if the positions can't be
    /// those of a ring of this size. Nothing was written then.
    ///
    /// # Safety
    /// The caller holds the lock of obligation 1.
    #[inline]
    #[doc(alias = "user_ring_buffer__reserve")]
    pub unsafe fn reserve(&self, len: usize) -> Result<Position, ReserveError> {
        let seen = self.look();
        let len = room(seen, seen.found, len)?;
        // SAFETY: `room` found the record's extent free, and under the caller's lock nothing else takes it.
        unsafe { self.show_busy(seen, len) };
        Ok(seen.found)
    }

    /// Like [`reserve`](Self::reserve), but returns `None` instead of an error, without the cost of finding the reason.
    ///
    /// # Safety
    /// As for [`reserve`](Self::reserve).
    #[inline(always)]
    pub unsafe fn try_reserve(&self, len: usize) -> Option<Position> {
        let seen = self.look();
        let len = fit(seen, seen.found, len)?;
        // SAFETY: as in `reserve`.
        unsafe { self.show_busy(seen, len) };
        Some(seen.found)
    }

    /// Like [`reserve`](Self::reserve), but waits for room if necessary: forever if `timeout` is `None`, not at all if
    /// it is zero. Otherwise there is one last attempt when the time is up.
    ///
    /// # Errors
    /// [`BlockingError`]. An error that waiting can't change is returned at once.
    ///
    /// # Safety
    /// As for [`reserve`](Self::reserve). The lock is held during the wait too.
    #[doc(alias = "user_ring_buffer__reserve_blocking")]
    pub unsafe fn reserve_blocking<W: Wait + ?Sized>(
        &self,
        len: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Position, BlockingError<W::Error>> {
        // SAFETY: the caller's promise is passed on.
        let attempt = || or_not_yet(unsafe { self.reserve(len) });
        block_on(waiter, self.memory.ring_id(), timeout, Until::Woken, attempt)
    }

    /// Copies `bytes` into the ring and publishes them in one step. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    ///
    /// # Safety
    /// As for [`reserve`](Self::reserve), and `bytes` do not lie in the ring.
    #[inline]
    pub unsafe fn push(&self, bytes: &[u8]) -> Result<Position, ReserveError> {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.push_all(Some(Ok(bytes))) }
    }

    /// Copies all `samples` into the ring and publishes them at once, or none of them. Returns the position at which
    /// the last record ends.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve), [`ReserveError::BatchFull`] if the ring can never hold all of them together,
    /// and the first error among `samples`. Nothing is published then.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    #[inline]
    pub unsafe fn push_all<'s, E: From<ReserveError>>(
        &self,
        samples: impl IntoIterator<Item = Result<&'s [u8], E>>,
    ) -> Result<Position, E> {
        let seen = self.look();
        let mut tail = seen.found;
        for bytes in samples {
            let bytes = bytes?;
            let len = room(seen, tail, bytes.len())?;
            let offset = tail.offset(seen.size);
            // SAFETY: `room` found the record's extent free, under the caller's lock nothing else takes it, and the
            // kernel does not look there before it is published.
            unsafe {
                self.memory.write_payload(offset, 0, bytes);
                self.memory.write_header(offset, Header::submitted(len.bytes()));
            }
            tail = tail.advance(u64::from(len.extent()));
        }
        // Pairs with the acquire load of producer_pos in the kernel's peek: headers and samples are written.
        // SAFETY: everything before `tail` is written, and the caller's lock keeps other producers out.
        unsafe { self.memory.publish_producer(tail) };
        Ok(tail)
    }

    /// Submits the sample whose header lies at `offset`. Returns whether there was a busy record; if not, nothing is
    /// written.
    ///
    /// This is a release store of the header's length word, which pairs with the acquire load in
    /// `__bpf_user_ringbuf_peek`.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 below the ring's size, and obligation 2 holds.
    #[inline]
    #[doc(alias = "user_ring_buffer__submit")]
    pub unsafe fn submit(&self, offset: u32) -> bool {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.commit(offset, Header::submitted) }
    }

    /// Discards the sample whose header lies at `offset`: the kernel skips its record. The room is free once the kernel
    /// has drained past it. Returns whether there was a busy record; if not, nothing is written.
    ///
    /// # Safety
    /// As for [`submit`](Self::submit).
    #[inline]
    #[doc(alias = "user_ring_buffer__discard")]
    pub unsafe fn discard(&self, offset: u32) -> bool {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.commit(offset, Header::discarded) }
    }

    /// Submits the first `len` bytes of the sample whose header lies at `offset`. The rest becomes a discarded record.
    /// Returns whether there was a busy record; if not, nothing is written.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample stays reserved.
    ///
    /// # Safety
    /// As for [`submit`](Self::submit).
    pub unsafe fn submit_len(&self, offset: u32, len: usize) -> Result<bool, BeyondSample> {
        // SAFETY: the record is the caller's, so its header was written before; the offset is as promised.
        let reserved = unsafe { self.memory.read_header(offset) };
        let size = self.memory.size();
        // A header that no reservation on this ring can have written is not that of the caller's record.
        let Some(whole) = size.sample_len(reserved.len() as usize).filter(|_| reserved.state() == RecordState::Busy)
        else {
            return Ok(false);
        };
        let len = whole.shortened(len).ok_or(BeyondSample { at: 0, len, reserved: whole.bytes() })?;
        let rest = whole.extent().saturating_sub(len.extent());
        taken_up_again();
        // SAFETY: the record is the caller's, the rest lies within it, and the kernel does not look there before the
        // front is committed.
        unsafe {
            if rest > 0 {
                let behind = Position::new(u64::from(offset)).advance(u64::from(len.extent()));
                self.memory.write_header(behind.offset(size), Header::discarded(filler_len(rest)));
            }
            // Pairs with the kernel's acquire load of the header: the sample and the rest's header are written.
            self.memory.commit_header(offset, Header::submitted(len.bytes()));
        }
        Ok(true)
    }

    /// Position at which everything ends that was reserved or pushed so far, through any handle.
    #[inline]
    pub fn position(&self) -> Position {
        self.memory.load_producer(Role::LoadOwnProducer)
    }

    /// Waits until the kernel has taken everything up to `position`, as [`position`](Self::position) or a push returned
    /// it.
    ///
    /// # Errors
    /// [`BlockingError`], including [`BlockingError::NotSubmitted`] for a position that lies ahead, and
    /// [`ReserveError::Corrupted`] for positions that can't be those of a ring of this size.
    pub fn wait_consumed<W: Wait + ?Sized>(
        &self,
        position: Position,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<(), BlockingError<W::Error>> {
        let end = self.position();
        if !end.has_reached(position) {
            return Err(BlockingError::NotSubmitted { position, end });
        }
        // Other handles may fill the ring to the last byte, and then epoll may forget a wake.
        block_on(waiter, self.memory.ring_id(), timeout, Until::WokenOrSomeTime, || {
            let consumer = self.memory.load_consumer();
            let end = self.position();
            // Others may reserve what the kernel frees in the meantime: only positions that stand still can be
            // compared.
            if self.memory.load_consumer() == consumer {
                end.occupied(consumer, self.memory.size())?;
            }
            Ok(consumer.has_reached(position).then_some(()))
        })
    }

    #[inline(always)]
    fn look(&self) -> Seen {
        // Bytes that an earlier push wrote and gave up may be written again.
        taken_up_again();
        // In libbpf's order. The load pairs with the kernel's release store of consumer_pos: it has finished reading.
        let consumer = self.memory.load_consumer();
        Seen { size: self.memory.size(), consumer, found: self.memory.load_producer(Role::LoadOwnProducer) }
    }

    /// # Safety
    /// The record's extent is free from the producer position on, and nothing else takes it.
    #[inline(always)]
    unsafe fn show_busy(&self, seen: Seen, len: SampleLen) {
        // SAFETY: by the caller's promise. The store pairs with the acquire load of producer_pos in the kernel's peek:
        // the header is written.
        unsafe {
            self.memory.write_header(seen.found.offset(seen.size), Header::busy(len.bytes()));
            self.memory.publish_producer(seen.found.advance(u64::from(len.extent())));
        }
    }

    /// # Safety
    /// As for [`submit`](Self::submit).
    #[inline(always)]
    unsafe fn commit(&self, offset: u32, header: fn(u32) -> Header) -> bool {
        // SAFETY: the offset is what both ask for, by the caller's promise. The record is the caller's, so its header
        // was written before, and nothing else stores there. The store pairs with the kernel's acquire load of the
        // header: the sample is written.
        unsafe {
            let reserved = self.memory.read_header(offset);
            let busy = reserved.state() == RecordState::Busy;
            if busy {
                self.memory.commit_header(offset, header(reserved.len()));
            }
            busy
        }
    }
}

/// `len` as checked, if a record of that length fits at `tail`: the producer position, or the end of a batch behind it.
#[inline(always)]
fn fit(seen: Seen, tail: Position, len: usize) -> Option<SampleLen> {
    let len = SampleLen::in_some_ring(len)?;
    let left = seen.size.bytes_u64().checked_sub(u64::from(len.extent()))?;
    // One test for both: a low bit that is set in either is set in the two together.
    let aligned = Position::new(seen.consumer.get() | seen.found.get()).is_aligned();
    if aligned && tail.distance_from(seen.consumer) <= left { Some(len) } else { None }
}

/// Like [`fit`], but says why a record does not fit.
#[inline(always)]
fn room(seen: Seen, tail: Position, len: usize) -> Result<SampleLen, ReserveError> {
    match fit(seen, tail, len) {
        Some(len) => Ok(len),
        None => {
            look_for_room(seen, seen.found, tail, len)?;
            // Not reached: `look_for_room` fails wherever `fit` does.
            Err(ReserveError::TooLarge { len, max: seen.size.max_sample_len() })
        }
    }
}
