//! One exclusive writer, which publishes late: nothing is visible to the kernel before submit.
//!
//! Invariant: whatever is reserved lies in the producer's `Room`, and borrows the producer until it is submitted or
//! dropped. Kernel counterpart: `__bpf_user_ringbuf_peek`, which reads what is published here.

use core::time::Duration;

use crate::error::{AttachError, AttachFailed, ReserveError};
use crate::format::layout::RingSize;
use crate::format::position::{Corruption, Position};
use crate::produce::batch::Batch;
use crate::produce::busy::BusyRecord;
use crate::produce::detached::DetachedSample;
use crate::produce::lane::Lane;
use crate::produce::opening::Opening;
use crate::produce::payload::OwnPayload;
use crate::produce::room::{Room, publish};
use crate::produce::sample::Sample;
use crate::seam::memory::RingMemory;
use crate::seam::role::Role;
use crate::wait::{BlockingError, Until, Wait, block_on, or_not_yet, room};

/// The one writer of a ring.
///
/// `reserve` gives a [`Sample`] to fill in place; submitting it shows it to the kernel, dropping it leaves no trace.
/// No operation allocates or locks, and none makes a system call but those that take a waiter. The handle is `Send`: it
/// may move to another thread.
///
/// One ring, one producer: a second one on the same memory is refused until the first is dropped
/// ([`AttachError::AlreadyAttached`]).
///
/// # Other producers
/// Every reservation looks at `producer_pos` first, by one relaxed load. Where another process has moved it, the
/// reservation fails with [`ReserveError::ForeignProducer`] before a byte is written, and so does each one after it;
/// [`resume`](Self::resume) goes on from the new position. So processes may take turns on a ring, under a lock of their
/// own that is held from [`resume`](Self::resume) to the last submit.
///
/// What can't be noticed is another process that publishes *between* a reservation here and its submit: this submit moves
/// the position back or into the other's record, and the kernel may then answer -EINVAL to every drain. The cure is
/// to keep the other one out: a backend may hold a claim that other processes see (`Mapping::new` of
/// `user-ringbuf-linux` does).
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct Producer<M: RingMemory> {
    room: Room<M>,
}

impl<M: RingMemory> Producer<M> {
    /// Begins where the last producer of this ring stopped.
    ///
    /// It looks at every record that is still in the ring, once, so that a ring that is stuck, or in the hands of
    /// another producer, is noticed here and not by silence later. That takes a load a record, so up to 2^28 of them in a
    /// ring of 2 GiB that is full of empty samples, and one in a ring that is drained.
    ///
    /// # Errors
    /// [`AttachError::AlreadyAttached`] while this memory has a producer; [`AttachError::Corrupted`] if the positions
    /// can't be those of a ring of this size; [`AttachError::Busy`] if a
    /// record is busy, so that another producer is at work or died; [`AttachError::Damaged`] if the kernel can't get
    /// past a record.
    pub fn attach(memory: M) -> Result<Self, AttachError> {
        Self::try_attach(memory).map_err(AttachError::from)
    }

    /// As [`attach`](Self::attach), and gives the memory back where it fails: to repair the ring or wait for a busy
    /// record, and try again.
    ///
    /// # Errors
    /// [`AttachFailed`], with the memory and what [`attach`](Self::attach) would say.
    pub fn try_attach(memory: M) -> Result<Self, AttachFailed<M>> {
        let (memory, Opening { position, limit }) = Opening::attach(memory)?;
        Ok(Self { room: Room::new(memory, position, limit) })
    }

    /// Goes on from where another producer has left the ring: after [`ReserveError::ForeignProducer`], or at the
    /// beginning of this process's turn on a ring that processes share under a lock of their own. Reads the
    /// positions anew and looks at every record in the ring, as [`attach`](Self::attach) does. Returns the position at
    /// which this producer's next record begins.
    ///
    /// [`DetachedSample`]s and [`Lane`]s of this producer that are still open are busy records, so `resume` fails with
    /// [`AttachError::Busy`] until they are submitted or dropped; that does them no harm.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), without [`AttachError::AlreadyAttached`]. The producer stays as it was then.
    pub fn resume(&mut self) -> Result<Position, AttachError> {
        self.room.reopen()
    }

    /// Reserves a sample of `len` bytes, to be filled in place and submitted. The kernel sees nothing of it before.
    ///
    /// # Errors
    /// [`ReserveError::TooLarge`] if no drain ever makes room for it, [`ReserveError::Full`] until the kernel has
    /// drained, [`ReserveError::ForeignProducer`] if another producer has moved `producer_pos`,
    /// [`ReserveError::Corrupted`] if the positions can't be those of a ring. Nothing has changed then.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Sample<'_, M>, ReserveError> {
        let len = self.room.make_room(self.room.position(), len)?;
        let (memory, position) = self.room.parts();
        // SAFETY: `make_room` found the record's extent free from `position` on; this is the ring's one producer, and
        // the sample borrows it, so nobody else takes these bytes.
        let payload = unsafe { OwnPayload::new(memory, *position, len) };
        Ok(Sample::new(payload, position))
    }

    /// Reserves, copies `bytes` and submits. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Reserves a sample of `len` bytes, waiting for room if need be: forever if `timeout` is `None`, not at all if it
    /// is zero; else there is one last attempt when the time is up.
    ///
    /// # Errors
    /// [`BlockingError`]: what waiting can't change comes at once, a [`ReserveError::TooLarge`] for one.
    pub fn reserve_blocking<W: Wait + ?Sized>(
        &mut self,
        len: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Sample<'_, M>, BlockingError<W::Error>> {
        let ring = self.memory().ring_id();
        block_on(waiter, ring, timeout, Until::Woken, || or_not_yet(self.room.make_room(self.room.position(), len)))?;
        // Only this producer takes room, so what was found is still there.
        Ok(self.reserve(len)?)
    }

    /// Copies `bytes` into a sample and submits it, waiting for room if need be, as
    /// [`reserve_blocking`](Self::reserve_blocking) does. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As [`reserve_blocking`](Self::reserve_blocking).
    pub fn push_blocking<W: Wait + ?Sized>(
        &mut self,
        bytes: &[u8],
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Position, BlockingError<W::Error>> {
        let mut sample = self.reserve_blocking(bytes.len(), waiter, timeout)?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Waits until `bytes` bytes of the ring are free: room for a whole batch. Each record takes
    /// [`record_extent`](crate::record_extent) of its sample's length. Only this producer takes room, so it stays free
    /// until something is reserved.
    ///
    /// # Errors
    /// [`BlockingError`], among them [`BlockingError::BeyondRing`] for more bytes than the ring has, and
    /// [`ReserveError::Corrupted`] and [`ReserveError::ForeignProducer`] if the positions are not what they must be.
    pub fn wait_room<W: Wait + ?Sized>(
        &self,
        bytes: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<(), BlockingError<W::Error>> {
        let size = self.memory().size();
        let bytes = room(size, bytes)?;
        block_on(waiter, self.memory().ring_id(), timeout, Until::Woken, || {
            let (expected, found) = (self.position(), self.memory().load_producer(Role::LoadOwnProducer));
            if found != expected {
                return Err(ReserveError::ForeignProducer { expected, found }.into());
            }
            Ok((self.free()? >= bytes).then_some(()))
        })
    }

    /// Waits until the kernel has taken everything up to `position`, as [`Sample::submit`] returned it; for "everything
    /// so far" pass [`position()`](Self::position).
    ///
    /// # Errors
    /// [`BlockingError`], among them [`BlockingError::NotSubmitted`] for a position that lies ahead, and
    /// [`ReserveError::Corrupted`] if the positions are not what they must be.
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
        // Only this producer takes room, so a ring of which something was consumed stays one that is not full: no wake is
        // forgotten.
        block_on(waiter, self.memory().ring_id(), timeout, Until::Woken, || {
            let consumer = self.memory().load_consumer();
            end.occupied(consumer, self.memory().size())?;
            Ok(consumer.has_reached(position).then_some(()))
        })
    }

    /// Begins a batch: records that the kernel sees all at once, or not at all.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_, M> {
        Batch::new(&mut self.room)
    }

    /// Reserves a sample that is not bound to this producer: several may be outstanding, each may be submitted from
    /// any thread, in any order. It is published at once with the busy bit, so the kernel waits for it.
    ///
    /// It clones the memory: a reference costs nothing, an `Arc` one atomic increment.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[inline]
    pub fn reserve_detached(&mut self, len: usize) -> Result<DetachedSample<M>, ReserveError>
    where
        M: Clone,
    {
        let len = self.room.make_room(self.room.position(), len)?;
        let (memory, position) = self.room.parts();
        // SAFETY: `make_room` found the record's extent free from `position` on, this is the ring's one producer, and
        // the position moves past the record before anything else is reserved. It is published below.
        let record = unsafe { BusyRecord::new(M::clone(memory), *position, len) };
        publish(memory, position, record.end());
        Ok(DetachedSample::new(record))
    }

    /// Takes a stretch of the ring to publish many samples from, one after the other: see [`Lane`]. `len` counts
    /// like a sample's length; each sample in the lane but the first takes a header of its own out of it.
    ///
    /// # Errors
    /// [`ReserveError::EmptyLane`] for length 0, else as [`reserve`](Self::reserve).
    pub fn lane(&mut self, len: usize) -> Result<Lane<M>, ReserveError>
    where
        M: Clone,
    {
        if len == 0 { Err(ReserveError::EmptyLane) } else { Ok(self.reserve_detached(len)?.into_lane()) }
    }

    /// Gives the memory back, and the claim on it up.
    ///
    /// Records of [`DetachedSample`]s and [`Lane`]s that are still open stay busy: whoever attaches next is refused until
    /// they are submitted or dropped.
    pub fn into_memory(self) -> M {
        let (memory, ..) = self.room.into_parts();
        memory.into_memory()
    }

    /// Size of the ring's data area.
    #[inline]
    pub fn ring_size(&self) -> RingSize {
        self.memory().size()
    }

    /// Longest sample that this ring takes, in bytes.
    #[inline]
    pub fn max_sample_len(&self) -> usize {
        self.memory().size().max_sample_len() as usize
    }

    /// Bytes that records take up now, header and padding included: published and not yet consumed.
    ///
    /// # Errors
    /// [`Corruption`] if the consumer position can't be that of this ring.
    pub fn used(&self) -> Result<u32, Corruption> {
        self.position().occupied(self.memory().load_consumer(), self.memory().size())
    }

    /// Bytes that are free now. The longest sample that fits has 8 fewer.
    ///
    /// # Errors
    /// As [`used`](Self::used).
    pub fn free(&self) -> Result<u32, Corruption> {
        Ok(self.memory().size().bytes() - self.used()?)
    }

    /// Where the next record begins, in bytes since the ring was made: the end of everything submitted or reserved so far.
    #[inline]
    pub fn position(&self) -> Position {
        self.room.position()
    }

    /// Whether the kernel has taken everything up to `position`, as [`Sample::submit`] returned it.
    ///
    /// An acquire load of `consumer_pos`, which pairs with the release store in `__bpf_user_ringbuf_sample_release`. It is
    /// not checked: where it may be wrong, ask [`wait_consumed`](Self::wait_consumed) with no time to wait.
    #[inline]
    pub fn is_consumed(&self, position: Position) -> bool {
        self.memory().load_consumer().has_reached(position)
    }

    /// The memory that this producer works on.
    #[inline]
    pub fn memory(&self) -> &M {
        self.room.memory()
    }

    pub(crate) fn from_room(room: Room<M>) -> Self {
        Self { room }
    }

    pub(crate) fn into_room(self) -> Room<M> {
        self.room
    }
}
