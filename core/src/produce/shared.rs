//! Many producers on one ring, without a lock: the last one out publishes.
//!
//! All threads take room in one private word that holds the end of what is reserved and how many threads are *in
//! flight*: past their exchange, with their header perhaps not yet written. A thread that has written its header and
//! finds itself the only one in flight knows that every header up to the end is written: it stores `producer_pos`, and
//! leaves. Whoever is not alone just leaves; the last one publishes for all. So `producer_pos` never passes a header
//! that is not written, and only one thread at a time stores it: while one is alone in flight, nobody else is.
//!
//! **What is guaranteed.** No thread waits for another one (but for the 65,535th in flight at once, and for one that
//! resumes): reserving is two exchanges that are retried only when another thread's succeeded, submitting is one store.
//! A thread that is preempted in flight (some ten instructions) keeps no other thread from reserving, filling and
//! submitting; but nothing that is reserved meanwhile is visible to the kernel until it runs again. Within the ring,
//! samples are in the order of their reservations.
//!
//! To publish past such a thread, another one would have to know where its record begins and write that header, so each
//! reservation would announce itself in a second shared word. That costs every reservation a third exchange; nothing
//! cheaper was found.
//!
//! **Other producers.** A thread that finds nobody in flight knows what `producer_pos` must be, and looks before it takes
//! room. While others are in flight it can't know; what another process publishes then is not noticed (as between a
//! reservation and its submit, see [`Producer`]).
//!
//! Kernel counterpart: the acquire load of `producer_pos` in `__bpf_user_ringbuf_peek`, as ever.

use core::time::Duration;

use crate::error::{AttachError, AttachFailed, ReserveError};
use crate::format::layout::{RingSize, SampleLen};
use crate::format::position::{Corruption, Position};
use crate::produce::busy::BusyRecord;
use crate::produce::detached::DetachedSample;
use crate::produce::lane::Lane;
use crate::produce::opening::Opening;
use crate::produce::producer::Producer;
use crate::produce::reservations::Reservations;
use crate::produce::room::Room;
use crate::seam::claim::Claimed;
use crate::seam::memory::RingMemory;
use crate::seam::role::Role;
use crate::wait::{BlockingError, Until, Wait, block_on, or_not_yet, room};

/// A producer for many threads: share it by reference, which costs nothing to copy and needs no allocator, or by `Arc`.
///
/// Samples are [`DetachedSample`]s: published at once with the busy bit, filled and submitted by any thread.
///
/// # Preempted threads
/// The threads of a shared producer never wait for each other, with one exception, [`resume`](Self::resume). But the
/// last one that leaves [`reserve`](Self::reserve) publishes for all that were in it at the same time: a thread that is
/// preempted or stopped within its ten or so instructions hides from the kernel what all threads reserve meanwhile, until
/// it runs again, for however long that is.
///
/// So a real-time thread must not spin until its sample is consumed on the core of an ordinary thread that pushes: if it
/// has preempted that one within `reserve`, neither gets on. (In a trial 119 of 127 rounds took over 100 ms so.) Let
/// it sleep, or give it a [`Lane`].
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct Shared<M: RingMemory> {
    memory: Claimed<M>,
    /// [`Reservations`].
    reservations: Alone<M::Word>,
    /// A consumer position that somebody saw, plus the ring's size. An old one may overwrite a newer one: that costs a
    /// look at the consumer position, no more.
    limit: M::Word,
}

/// A word on a cache line of its own. A thread in flight reads the rest of [`Shared`]; on the same line it would have to
/// fetch that back from whoever has just exchanged the word, and be in flight for longer.
#[derive(Debug)]
#[repr(align(64))]
struct Alone<W>(W);

/// Pauses of a thread whose exchange failed, before it looks again: long enough for the other thread to get through its
/// own exchanges while it has the cache line. Nobody depends on a thread that pauses here, it is not in flight.
const PAUSES: u32 = 4;

impl<M: RingMemory> Shared<M> {
    /// Begins where the last producer of this ring stopped.
    ///
    /// # Errors
    /// As [`Producer::attach`].
    pub fn attach(memory: M) -> Result<Self, AttachError> {
        Self::try_attach(memory).map_err(AttachError::from)
    }

    /// As [`attach`](Self::attach), and gives the memory back where it fails.
    ///
    /// # Errors
    /// As [`Producer::try_attach`].
    pub fn try_attach(memory: M) -> Result<Self, AttachFailed<M>> {
        let (memory, Opening { position, limit }) = Opening::attach(memory)?;
        Ok(Self::new(memory, position, limit))
    }

    fn new(memory: Claimed<M>, position: Position, limit: Position) -> Self {
        let reservations = Alone(memory.new_word(Reservations::none_in_flight(position).0));
        let limit = memory.new_word(limit.get());
        Self { memory, reservations, limit }
    }

    /// Reserves a sample of `len` bytes, which borrows this producer's memory.
    ///
    /// # Errors
    /// As [`Producer::reserve`].
    #[inline]
    pub fn reserve(&self, len: usize) -> Result<DetachedSample<&M>, ReserveError> {
        self.reserve_with(&*self.memory, len)
    }

    /// Reserves a sample of `len` bytes, which holds a clone of the memory and so may outlive this producer.
    ///
    /// # Errors
    /// As [`Producer::reserve`].
    #[inline]
    pub fn reserve_owned(&self, len: usize) -> Result<DetachedSample<M>, ReserveError>
    where
        M: Clone,
    {
        self.reserve_with(M::clone(&self.memory), len)
    }

    /// Reserves, copies `bytes` and submits. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As [`Producer::reserve`].
    #[inline]
    pub fn push(&self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Takes a stretch of the ring for this thread: see [`Lane`]. `len` counts like a sample's length; each sample in
    /// the lane but the first takes a header of its own out of it.
    ///
    /// # Errors
    /// [`ReserveError::EmptyLane`] for length 0, else as [`Producer::reserve`].
    pub fn lane(&self, len: usize) -> Result<Lane<&M>, ReserveError> {
        if len == 0 { Err(ReserveError::EmptyLane) } else { Ok(self.reserve(len)?.into_lane()) }
    }

    /// Takes a stretch of the ring that holds a clone of the memory: see [`lane`](Self::lane).
    ///
    /// # Errors
    /// As [`lane`](Self::lane).
    pub fn lane_owned(&self, len: usize) -> Result<Lane<M>, ReserveError>
    where
        M: Clone,
    {
        if len == 0 { Err(ReserveError::EmptyLane) } else { Ok(self.reserve_owned(len)?.into_lane()) }
    }

    /// Reserves a sample of `len` bytes, waiting for room if need be: forever if `timeout` is `None`, not at all if it
    /// is zero; else there is one last attempt when the time is up. Each waiting thread has a waiter of its own. Which
    /// of several gets the room is not determined.
    ///
    /// # Errors
    /// [`BlockingError`]: what waiting can't change comes at once, a [`ReserveError::TooLarge`] for one.
    pub fn reserve_blocking<W: Wait + ?Sized>(
        &self,
        len: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<DetachedSample<&M>, BlockingError<W::Error>> {
        block_on(waiter, self.memory.ring_id(), timeout, Until::Woken, || or_not_yet(self.reserve(len)))
    }

    /// Copies `bytes` into a sample and submits it, waiting for room if need be, as
    /// [`reserve_blocking`](Self::reserve_blocking) does. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As [`reserve_blocking`](Self::reserve_blocking).
    pub fn push_blocking<W: Wait + ?Sized>(
        &self,
        bytes: &[u8],
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Position, BlockingError<W::Error>> {
        let mut sample = self.reserve_blocking(bytes.len(), waiter, timeout)?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Waits until `bytes` bytes of the ring are free, as [`Producer::wait_room`] does. Other threads may take them
    /// before this one does: then the reservation that follows is [`ReserveError::Full`].
    ///
    /// # Errors
    /// As [`Producer::wait_room`].
    pub fn wait_room<W: Wait + ?Sized>(
        &self,
        bytes: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<(), BlockingError<W::Error>> {
        let size = self.memory.size();
        let bytes = room(size, bytes)?;
        block_on(waiter, self.memory.ring_id(), timeout, Until::Woken, || {
            let (consumer, end) = self.ends();
            let used = end.occupied(consumer, size)?;
            Ok((size.bytes() - used >= bytes).then_some(()))
        })
    }

    /// Waits until the kernel has taken everything up to `position`, as [`DetachedSample::submit`] returned it; for
    /// "everything so far" pass [`position()`](Self::position).
    ///
    /// Other threads may fill the ring again at once, and epoll forgets a wake if the ring is full to the last byte when
    /// it looks. So this looks by itself too, after a pause that doubles from 100 microseconds to 20 milliseconds,
    /// whatever the waiter's own re-check.
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
        block_on(waiter, self.memory.ring_id(), timeout, Until::WokenOrSomeTime, || {
            let (consumer, end) = self.ends();
            end.occupied(consumer, self.memory.size())?;
            Ok(consumer.has_reached(position).then_some(()))
        })
    }

    /// Goes on from where another producer has left the ring, as [`Producer::resume`] does. Returns the position at which
    /// the next record begins.
    ///
    /// Any thread may call it. While it looks at the records, reservations of other threads fail with
    /// [`ReserveError::ForeignProducer`], or wait where nothing was moved.
    ///
    /// # Errors
    /// As [`Producer::resume`]; [`AttachError::InFlight`] while another thread is in the middle of a reservation or of a
    /// `resume`: try again.
    pub fn resume(&self) -> Result<Position, AttachError> {
        let found = self.hold()?;
        // SAFETY: nobody was in flight when the word was held, and nobody takes room before it is stored below.
        let opened = unsafe { Opening::of(&self.memory) };
        let next = opened.as_ref().map_or(found, |opening| {
            // No room is known of any more, so the next thread looks, and sees with acquire that the walk is over. One that
            // still finds the old limit writes behind it only, where the walk has not been.
            self.memory.store_word(&self.limit, opening.position.get(), Role::StoreLimit);
            Reservations::none_in_flight(opening.position)
        });
        self.memory.store_word(&self.reservations.0, next.0, Role::FinishReservation);
        opened.map(|opening| opening.position)
    }

    /// Keeps all threads from taking room, until the word is stored again. Returns it as it was.
    fn hold(&self) -> Result<Reservations, AttachError> {
        // Acquire: all headers are written.
        let found = Reservations(self.memory.load_word(&self.reservations.0, Role::ObserveInFlight));
        while found.in_flight() == 0 {
            match self.exchange(found, found.held(), Role::TakeRoom, Role::LoadReservations) {
                Ok(()) => return Ok(found),
                // A spurious failure.
                Err(now) if now == found => {}
                Err(_) => break,
            }
        }
        Err(AttachError::InFlight)
    }

    /// Makes an exclusive producer of this one. Samples and lanes that own a clone of the memory may still be open.
    pub fn into_producer(self) -> Producer<M> {
        let limit = Position::new(self.memory.load_word(&self.limit, Role::LoadLimit));
        let (_, position) = self.ends();
        let Self { memory, .. } = self;
        Producer::from_room(Room::new(memory, position, limit))
    }

    /// Gives the memory back, and the claim on it up. As [`Producer::into_memory`].
    pub fn into_memory(self) -> M {
        self.memory.into_memory()
    }

    /// Bytes that records take up now, header and padding included: reserved and not yet consumed.
    ///
    /// # Errors
    /// [`Corruption`] if the consumer position can't be that of this ring.
    pub fn used(&self) -> Result<u32, Corruption> {
        let (consumer, end) = self.ends();
        end.occupied(consumer, self.memory.size())
    }

    /// Bytes that are free now. The longest sample that fits has 8 fewer.
    ///
    /// # Errors
    /// As [`used`](Self::used).
    pub fn free(&self) -> Result<u32, Corruption> {
        Ok(self.memory.size().bytes() - self.used()?)
    }

    /// Where everything reserved so far ends, by whatever thread.
    pub fn position(&self) -> Position {
        self.ends().1
    }

    /// A consumer position, and the end of what is reserved.
    fn ends(&self) -> (Position, Position) {
        let size = self.memory.size().bytes_u64();
        let mut consumer = self.memory.load_consumer();
        // Acquire, so that the consumer position loaded next is no older than the one that made the room free.
        // The two are loaded one after the other: if the end seems too far ahead, the consumer may have moved in
        // between. Only wrong positions stay so; a consumer that no kernel moves may not keep us here forever.
        for _ in 0..1000 {
            let reserved = Reservations(self.memory.load_word(&self.reservations.0, Role::ObserveInFlight));
            let end = reserved.end_near(consumer);
            let before = core::mem::replace(&mut consumer, self.memory.load_consumer());
            if end.distance_from(before) <= size || consumer == before {
                return (before, end);
            }
        }
        let reserved = Reservations(self.memory.load_word(&self.reservations.0, Role::ObserveInFlight));
        (consumer, reserved.end_near(consumer))
    }

    /// Size of the ring's data area.
    #[inline]
    pub fn ring_size(&self) -> RingSize {
        self.memory.size()
    }

    /// Longest sample that this ring takes, in bytes.
    #[inline]
    pub fn max_sample_len(&self) -> usize {
        self.memory.size().max_sample_len() as usize
    }

    /// Whether the kernel has taken everything up to `position`, as [`DetachedSample::submit`] returned it. As
    /// [`Producer::is_consumed`].
    #[inline]
    pub fn is_consumed(&self, position: Position) -> bool {
        self.memory.load_consumer().has_reached(position)
    }

    /// The memory that this producer works on.
    #[inline]
    pub fn memory(&self) -> &M {
        &self.memory
    }

    #[inline]
    fn reserve_with<N: RingMemory>(&self, memory: N, len: usize) -> Result<DetachedSample<N>, ReserveError> {
        let size = self.memory.size();
        let len = size.sample_len(len).ok_or(ReserveError::TooLarge { len, max: size.max_sample_len() })?;
        let start = self.take_room(len)?;
        // SAFETY: `take_room` gave this thread the record's extent from `start` on, and `memory` is the same ring. The
        // record is published by `finish`, or by the thread that is the last in flight.
        let record = unsafe { BusyRecord::new(memory, start, len) };
        self.finish(record.end());
        Ok(DetachedSample::new(record))
    }

    /// Takes the record's extent, and counts this thread as in flight.
    #[inline]
    fn take_room(&self, len: SampleLen) -> Result<Position, ReserveError> {
        let mut found = self.load_reservations();
        loop {
            let mut limit = Position::new(self.memory.load_word(&self.limit, Role::LoadLimit));
            let mut room = found.room(limit);
            // A stale load of the position costs a look that finds nothing wrong.
            let moved = found.is_quiet() && !found.ends_at(self.memory.load_producer(Role::LoadOwnProducer));
            if moved || room > self.memory.size().bytes_u64() || u64::from(len.extent()) > room {
                match self.look_for_room(found, len)? {
                    Some(newer) => limit = newer,
                    None => {
                        found = self.load_reservations();
                        continue;
                    }
                }
                room = found.room(limit);
            }
            let Some(taken) = found.with_another(len.extent()) else {
                // 65,534 threads between two neighbouring instructions, or one that resumes: let them get on.
                core::hint::spin_loop();
                found = self.load_reservations();
                continue;
            };
            if self.exchange(found, taken, Role::TakeRoom, Role::LoadReservations).is_ok() {
                return Ok(Position::new(limit.get().wrapping_sub(room)));
            }
            for _ in 0..PAUSES {
                core::hint::spin_loop();
            }
            found = self.load_reservations();
        }
    }

    #[inline(always)]
    fn load_reservations(&self) -> Reservations {
        Reservations(self.memory.load_word(&self.reservations.0, Role::LoadReservations))
    }

    /// Leaves the flight, and publishes everything reserved if nobody else is in it. `end` is where the caller's own
    /// record ends.
    #[inline]
    fn finish(&self, end: Position) {
        let mut found = Reservations(self.memory.load_word(&self.reservations.0, Role::ObserveInFlight));
        loop {
            if found.in_flight() == 1 {
                // Pairs with the acquire load of producer_pos in the kernel's peek: all headers up to there are
                // written, ours here, the others' before they left (observe-in-flight). If somebody joins before the
                // exchange below, it fails, and what they have left behind by then is published too.
                // SAFETY: `self.memory` has the claim.
                unsafe { self.memory.publish_producer(found.end_near(end)) };
            }
            match self.exchange(found, found.with_one_less(), Role::FinishReservation, Role::ObserveInFlight) {
                Ok(()) => return,
                Err(now) => found = now,
            }
        }
    }

    #[inline(always)]
    fn exchange(&self, current: Reservations, new: Reservations, role: Role, found: Role) -> Result<(), Reservations> {
        self.memory.exchange_word(&self.reservations.0, current.0, new.0, role, found).map_err(Reservations)
    }

    /// The slow path: looks how far the kernel has come, and whether the ring is still ours. `None` if the reservations
    /// have moved on meanwhile, so that what was found proves nothing.
    #[cold]
    #[inline(never)]
    fn look_for_room(&self, found: Reservations, len: SampleLen) -> Result<Option<Position>, ReserveError> {
        let size = self.memory.size();
        // Acquire, so that what was published before the word became `found` is seen below.
        let before = self.memory.load_word(&self.reservations.0, Role::ObserveInFlight);
        // Acquire, as is the consumer position: whoever published or consumed beyond `found` had taken that room
        // before, so the second look at the word sees it.
        let published = self.memory.load_producer(Role::ObserveProducer);
        let consumer = self.memory.load_consumer();
        let limit = consumer.advance(size.bytes_u64());
        // Measured from a limit that was seen before, whose topmost bits are known to be right.
        let expected = found.end_around(Position::new(self.memory.load_word(&self.limit, Role::LoadLimit)));
        let room = limit.distance_from(expected);
        let after = self.memory.load_word(&self.reservations.0, Role::LoadReservations);
        if before != found.0 || after != found.0 {
            return Ok(None);
        }
        if !consumer.is_aligned() {
            return Err(Corruption::UnalignedConsumer { consumer: consumer.get() }.into());
        }
        if !published.is_aligned() {
            return Err(Corruption::UnalignedProducer { producer: published.get() }.into());
        }
        // Where nobody was in flight before the load or after it, what stands there is ours, or somebody else's.
        if room > size.bytes_u64() || found.is_quiet() && published != expected {
            // No room is known of any more, so each reservation looks again.
            self.memory.store_word(&self.limit, expected.get(), Role::StoreLimit);
            published.occupied(consumer, size)?;
            return Err(ReserveError::ForeignProducer { expected, found: published });
        }
        self.memory.store_word(&self.limit, limit.get(), Role::StoreLimit);
        let needed = len.extent();
        if u64::from(needed) > room {
            let available = u32::try_from(room).unwrap_or(u32::MAX);
            return Err(ReserveError::Full { needed, available });
        }
        Ok(Some(limit))
    }
}

impl<M: RingMemory> Producer<M> {
    /// Makes a producer for many threads of this one. [`Shared::into_producer`] is the way back.
    pub fn into_shared(self) -> Shared<M> {
        let (memory, position, limit) = self.into_room().into_parts();
        Shared::new(memory, position, limit)
    }
}
