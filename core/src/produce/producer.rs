//! The exclusive producer, which publishes late: nothing is visible to the kernel before submit.
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
use crate::wait::attempts::{Until, block_on, checked_room, or_not_yet};
use crate::wait::{BlockingError, Wait};

/// The exclusive producer of a ring.
///
/// [`reserve`](Self::reserve) returns a [`Sample`] to fill in place. Submitting it shows it to the kernel; dropping it
/// leaves no trace. No operation allocates or locks, and only those that take a waiter make system calls. The handle is
/// `Send`: it may move to another thread.
///
/// A ring has one producer: a second one on the same memory is refused until the first is dropped
/// ([`AttachError::AlreadyAttached`]).
///
/// # Other producers
/// Every reservation first checks `producer_pos`, with one relaxed load. If another process has moved it, the
/// reservation fails with [`ReserveError::ForeignProducer`] before a byte is written, and so does every one after it,
/// until [`resume`](Self::resume) continues from the new position. So processes may take turns on a ring, under a lock
/// of their own that is held from [`resume`](Self::resume) to the last submit.
///
/// What can't be noticed is another process that publishes *between* a reservation here and its submit. That submit
/// moves the position back, or into the other producer's record, and every drain may then return -EINVAL. So keep the
/// other producer out: a backend may hold a claim that other processes see (`Mapping::new` of `user-ringbuf-linux`
/// does).
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct Producer<M: RingMemory> {
    room: Room<M>,
}

impl<M: RingMemory> Producer<M> {
    /// Claims the ring, and begins where its last producer stopped.
    ///
    /// Every record that is still in the ring is checked once, so that a ring that is stuck, or that another producer
    /// is using, is noticed here and not by silence later. This costs one load per record: none for a ring that is
    /// drained, up to 2^28 for a ring of 2 GiB that is full of empty samples.
    ///
    /// # Errors
    /// - [`AttachError::AlreadyAttached`] while this memory has a producer;
    /// - [`AttachError::Corrupted`] if the positions can't be those of a ring of this size;
    /// - [`AttachError::Busy`] if a record is busy: another producer is at work, or died;
    /// - [`AttachError::Damaged`] if the kernel can't get past a record.
    pub fn attach(memory: M) -> Result<Self, AttachError> {
        Self::try_attach(memory).map_err(AttachError::from)
    }

    /// Like [`attach`](Self::attach), but gives the memory back on failure, so that the caller can repair the ring, or
    /// wait for a busy record, and try again.
    ///
    /// # Errors
    /// [`AttachFailed`], with the memory and the error that [`attach`](Self::attach) would return.
    pub fn try_attach(memory: M) -> Result<Self, AttachFailed<M>> {
        let (memory, Opening { position, limit }) = Opening::attach(memory)?;
        Ok(Self { room: Room::new(memory, position, limit) })
    }

    /// Continues from where another producer has left the ring: after [`ReserveError::ForeignProducer`], or at the
    /// beginning of this process's turn on a ring that processes share under a lock of their own. Loads the positions
    /// and checks every record in the ring, as [`attach`](Self::attach) does. Returns the position at which this
    /// producer's next record begins.
    ///
    /// Open [`DetachedSample`]s and [`Lane`]s of this producer are busy records, so `resume` fails with
    /// [`AttachError::Busy`] until they are submitted or dropped. The failure does not affect them.
    ///
    /// # Errors
    /// As for [`attach`](Self::attach), except [`AttachError::AlreadyAttached`]. The producer is then unchanged.
    pub fn resume(&mut self) -> Result<Position, AttachError> {
        self.room.reopen()
    }

    /// Reserves a sample of `len` bytes, to be filled in place and submitted. The kernel sees nothing of it before
    /// submit.
    ///
    /// Costs one relaxed load of `producer_pos`; an acquire load of `consumer_pos` is needed only when the room known
    /// to be free runs out.
    ///
    /// # Errors
    /// - [`ReserveError::TooLarge`] if `len` exceeds [`max_sample_len`](Self::max_sample_len);
    /// - [`ReserveError::Full`] until the kernel has drained enough;
    /// - [`ReserveError::ForeignProducer`] if another producer has moved `producer_pos`;
    /// - [`ReserveError::Corrupted`] if the positions can't be those of a ring of this size.
    ///
    /// The ring is unchanged in each case.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Sample<'_, M>, ReserveError> {
        let len = self.room.make_room(self.room.position(), len)?;
        let (memory, position) = self.room.parts();
        // SAFETY: `make_room` found the record's extent free from `position` on; this is the ring's one producer, and
        // the sample borrows it, so nothing else takes these bytes.
        let payload = unsafe { OwnPayload::new(memory, *position, len) };
        Ok(Sample::new(payload, position))
    }

    /// Reserves a sample, copies `bytes` into it and submits it. Returns the position at which its record ends.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Reserves a sample of `len` bytes, waiting for room if necessary: forever if `timeout` is `None`, not at all if
    /// it is zero. Otherwise there is one last attempt when the time is up.
    ///
    /// # Errors
    /// [`BlockingError`]. An error that waiting can't change, such as [`ReserveError::TooLarge`], is returned at once.
    pub fn reserve_blocking<W: Wait + ?Sized>(
        &mut self,
        len: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Sample<'_, M>, BlockingError<W::Error>> {
        let ring = self.memory().ring_id();
        block_on(waiter, ring, timeout, Until::Woken, || or_not_yet(self.room.make_room(self.room.position(), len)))?;
        // Only this producer takes room, so the room that was found is still free.
        Ok(self.reserve(len)?)
    }

    /// Copies `bytes` into a sample and submits it, waiting for room as [`reserve_blocking`](Self::reserve_blocking)
    /// does. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As for [`reserve_blocking`](Self::reserve_blocking).
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
    /// [`record_extent`](crate::record_extent) of its sample's length. Only this producer takes room, so the bytes stay
    /// free until it reserves something.
    ///
    /// # Errors
    /// [`BlockingError`], including [`BlockingError::BeyondRing`] for more bytes than the ring has, and
    /// [`ReserveError::Corrupted`] and [`ReserveError::ForeignProducer`] for wrong or moved positions.
    pub fn wait_room<W: Wait + ?Sized>(
        &self,
        bytes: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<(), BlockingError<W::Error>> {
        let size = self.memory().size();
        let bytes = checked_room(size, bytes)?;
        block_on(waiter, self.memory().ring_id(), timeout, Until::Woken, || {
            let (expected, found) = (self.position(), self.memory().load_producer(Role::LoadOwnProducer));
            if found != expected {
                return Err(ReserveError::ForeignProducer { expected, found }.into());
            }
            Ok((self.free()? >= bytes).then_some(()))
        })
    }

    /// Waits until the kernel has taken everything up to `position`, as [`Sample::submit`] returned it. For everything
    /// so far pass [`position()`](Self::position).
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
        // Only this producer takes room, so once something was consumed the ring is not full, and epoll forgets no
        // wake.
        block_on(waiter, self.memory().ring_id(), timeout, Until::Woken, || {
            let consumer = self.memory().load_consumer();
            end.occupied(consumer, self.memory().size())?;
            Ok(consumer.has_reached(position).then_some(()))
        })
    }

    /// Begins a batch: records that become visible all at once, or not at all.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_, M> {
        Batch::new(&mut self.room)
    }

    /// Reserves a sample of `len` bytes that is not bound to this producer: several may be outstanding, and each may be
    /// submitted from any thread, in any order. It is published at once with the busy bit, so the kernel waits for it.
    ///
    /// The sample holds a clone of the memory, which costs nothing for a reference and one atomic increment for an
    /// `Arc`.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    #[inline]
    pub fn reserve_detached(&mut self, len: usize) -> Result<DetachedSample<M>, ReserveError>
    where
        M: Clone,
    {
        let len = self.room.make_room(self.room.position(), len)?;
        let (memory, position) = self.room.parts();
        // SAFETY: `make_room` found the record's extent free from `position` on, this is the ring's one producer, and
        // the position moves past the record before anything else is reserved. The record is published below.
        let record = unsafe { BusyRecord::new(M::clone(memory), *position, len) };
        publish(memory, position, record.end());
        Ok(DetachedSample::new(record))
    }

    /// Reserves a stretch of the ring in which to publish many samples one after the other: see [`Lane`]. `len` is in
    /// bytes and counts like a sample's length; each sample in the lane except the first takes its own header out of
    /// it.
    ///
    /// # Errors
    /// [`ReserveError::EmptyLane`] for length 0, otherwise as for [`reserve`](Self::reserve).
    pub fn lane(&mut self, len: usize) -> Result<Lane<M>, ReserveError>
    where
        M: Clone,
    {
        if len == 0 { Err(ReserveError::EmptyLane) } else { Ok(self.reserve_detached(len)?.into_lane()) }
    }

    /// Gives up the claim and returns the memory.
    ///
    /// Records of open [`DetachedSample`]s and [`Lane`]s stay busy: the next producer is refused until they are
    /// submitted or dropped.
    pub fn into_memory(self) -> M {
        let (memory, ..) = self.room.into_parts();
        memory.into_memory()
    }

    /// Size of the ring's data area.
    #[inline]
    pub fn ring_size(&self) -> RingSize {
        self.memory().size()
    }

    /// Length of the longest sample that this ring takes, in bytes.
    #[inline]
    pub fn max_sample_len(&self) -> usize {
        self.memory().size().max_sample_len() as usize
    }

    /// Bytes that are in use now: records that are published and not yet consumed, headers and padding included.
    ///
    /// # Errors
    /// [`Corruption`] if the consumer position can't be that of this ring.
    pub fn used(&self) -> Result<u32, Corruption> {
        self.position().occupied(self.memory().load_consumer(), self.memory().size())
    }

    /// Bytes that are free now. The longest sample that fits is 8 bytes shorter.
    ///
    /// # Errors
    /// As for [`used`](Self::used).
    pub fn free(&self) -> Result<u32, Corruption> {
        Ok(self.memory().size().bytes() - self.used()?)
    }

    /// Position at which the next record begins: the end of everything published so far.
    #[inline]
    pub fn position(&self) -> Position {
        self.room.position()
    }

    /// Whether the kernel has taken everything up to `position`, as [`Sample::submit`] returned it.
    ///
    /// This is an acquire load of `consumer_pos`, which pairs with the release store in
    /// `__bpf_user_ringbuf_sample_release`. The value is not checked; [`wait_consumed`](Self::wait_consumed) with a
    /// timeout of zero checks it.
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
