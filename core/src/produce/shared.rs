//! Many threads that produce into one ring, without a lock: the last one out publishes.
//!
//! All threads take room in one private word, which holds the end of what is reserved and the number of threads *in
//! flight*. A thread is in flight from its exchange until it has written its header. A thread that has written its
//! header and finds itself alone in flight knows that every header up to the end is written: it stores `producer_pos`
//! and leaves. So does a thread that found none in flight when it took its room, up to its own record. A thread that is
//! not alone just leaves, and the last one publishes for all. So `producer_pos` never passes an unwritten header, and
//! only one thread at a time stores it, since a thread that joins others publishes nothing before they have left.
//!
//! **Guarantees.** No thread waits for another, with two exceptions: the 65,535th thread in flight, and a thread that
//! meets one that resumes. Reserving is two exchanges, which are retried only if another thread's exchange succeeded;
//! submitting is one store. A thread that is preempted in flight (about ten instructions) does not keep others from
//! reserving, filling and submitting, but the kernel sees nothing that is reserved in the meantime until that thread
//! runs again. Samples are in the ring in the order of their reservations.
//!
//! To publish past such a thread, another one would have to know where its record begins, and write that header. Each
//! reservation would have to announce itself in a second shared word, at the cost of a third exchange. Nothing cheaper
//! was found.
//!
//! **Other producers.** A thread that finds none in flight knows what `producer_pos` must be, and checks it before it
//! takes room. While others are in flight it can't know, and what another process publishes then is not noticed (as
//! between a reservation and its submit, see [`Producer`]).
//!
//! Kernel counterpart: the acquire load of `producer_pos` in `__bpf_user_ringbuf_peek`.

use crate::error::{AttachError, AttachFailed, ReserveError};
use crate::format::layout::{RingSize, SampleLen};
use crate::format::position::{Corruption, Position};
use crate::produce::busy::BusyRecord;
use crate::produce::detached::DetachedSample;
use crate::produce::lane::Lane;
use crate::produce::line::Line;
use crate::produce::opening::Opening;
use crate::produce::producer::Producer;
use crate::produce::reservations::Reservations;
use crate::produce::room::Room;
use crate::seam::claim::Claimed;
use crate::seam::memory::RingMemory;
use crate::seam::role::Role;

/// A producer for many threads: share it by reference, which needs no allocator, or by `Arc`.
///
/// Its samples are [`DetachedSample`]s: published at once with the busy bit, filled and submitted by any thread.
///
/// # Preempted threads
/// The threads of a shared producer do not wait for each other, except for one that [`resume`](Self::resume)s. But the
/// last one to leave [`reserve`](Self::reserve) publishes for all that were in it at the same time. A thread that is
/// preempted or stopped within those ten or so instructions hides from the kernel everything that other threads reserve
/// in the meantime, until it runs again. If the process is killed before that, samples that they have submitted are lost.
///
/// So a real-time thread must not spin until its sample is consumed if it may run on the same processor as an ordinary
/// thread that pushes: if it has preempted that thread within `reserve`, neither makes progress. (In one trial this
/// delayed 119 of 127 rounds by more than 100 ms.) Let it sleep, or give it a [`Lane`].
///
/// # Many samples
/// A thread that meets another one in `reserve` pauses for some microseconds. Threads that send much are faster with
/// lanes: an [`AutoLane`](crate::AutoLane) takes them by itself, [`lane`](Self::lane) on request.
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct Shared<M: RingMemory> {
    memory: Claimed<M>,
    /// [`Reservations`].
    reservations: Alone<M::Word>,
    /// A consumer position that some thread saw, plus the ring's size. An old value may overwrite a newer one, which
    /// costs only another load of the consumer position.
    limit: M::Word,
    line: Line<M::Word>,
}

/// A word on a cache line of its own. A thread in flight reads the rest of [`Shared`]. On the same line it would have
/// to fetch that from the processor that has just exchanged the word, and would be in flight for longer.
#[derive(Debug)]
#[repr(align(64))]
struct Alone<W>(W);

/// What a thread does whose exchange failed, before it looks again: it pauses, for one to five microseconds depending on
/// the processor.
///
/// Meanwhile the other thread works on with the word, `producer_pos` and its records in its own cache. Two threads that
/// retry at once hand these lines to and fro for each sample, which takes several times as long. No thread depends on
/// one that pauses here, since it is not in flight.
#[cold]
#[inline(never)]
fn stay_away() {
    for _ in 0..100 {
        core::hint::spin_loop();
    }
}

impl<M: RingMemory> Shared<M> {
    /// Claims the ring, and begins where its last producer stopped.
    ///
    /// # Errors
    /// As for [`Producer::attach`].
    pub fn attach(memory: M) -> Result<Self, AttachError> {
        Self::try_attach(memory).map_err(AttachError::from)
    }

    /// Like [`attach`](Self::attach), but gives the memory back on failure.
    ///
    /// # Errors
    /// As for [`Producer::try_attach`].
    pub fn try_attach(memory: M) -> Result<Self, AttachFailed<M>> {
        let (memory, Opening { position, limit }) = Opening::attach(memory)?;
        Ok(Self::new(memory, position, limit))
    }

    fn new(memory: Claimed<M>, position: Position, limit: Position) -> Self {
        let reservations = Alone(memory.new_word(Reservations::none_in_flight(position).0));
        let limit = memory.new_word(limit.get());
        let line = Line::new(&*memory);
        Self { memory, reservations, limit, line }
    }

    /// Reserves a sample of `len` bytes, which borrows this producer's memory.
    ///
    /// # Errors
    /// As for [`Producer::reserve`].
    #[inline]
    pub fn reserve(&self, len: usize) -> Result<DetachedSample<&M>, ReserveError> {
        self.reserve_with(&*self.memory, len)
    }

    /// Reserves a sample of `len` bytes, which holds a clone of the memory and so may outlive this producer.
    ///
    /// # Errors
    /// As for [`Producer::reserve`].
    #[inline]
    pub fn reserve_owned(&self, len: usize) -> Result<DetachedSample<M>, ReserveError>
    where
        M: Clone,
    {
        self.reserve_with(M::clone(&self.memory), len)
    }

    /// Reserves a sample, copies `bytes` into it and submits it. Returns the position at which its record ends.
    ///
    /// # Errors
    /// As for [`Producer::reserve`].
    #[inline]
    pub fn push(&self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Reserves a stretch of the ring for this thread: see [`Lane`]. `len` is in bytes and counts like a sample's
    /// length; each sample in the lane except the first takes its own header out of it.
    ///
    /// # Errors
    /// [`ReserveError::EmptyLane`] for length 0, otherwise as for [`Producer::reserve`].
    pub fn lane(&self, len: usize) -> Result<Lane<&M>, ReserveError> {
        if len == 0 { Err(ReserveError::EmptyLane) } else { Ok(self.reserve(len)?.into_lane()) }
    }

    /// Reserves a stretch of the ring as [`lane`](Self::lane) does. The lane holds a clone of the memory, so it may
    /// outlive this producer.
    ///
    /// # Errors
    /// As for [`lane`](Self::lane).
    pub fn lane_owned(&self, len: usize) -> Result<Lane<M>, ReserveError>
    where
        M: Clone,
    {
        if len == 0 { Err(ReserveError::EmptyLane) } else { Ok(self.reserve_owned(len)?.into_lane()) }
    }

    /// Continues from where another producer has left the ring, as [`Producer::resume`] does. Returns the position at
    /// which the next record begins.
    ///
    /// Any thread may call it. While it checks the records, reservations of other threads fail with
    /// [`ReserveError::ForeignProducer`] if the position was moved, and otherwise wait.
    ///
    /// # Errors
    /// As for [`Producer::resume`], and [`AttachError::InFlight`] while another thread is in the middle of a
    /// reservation or of a `resume`: try again.
    pub fn resume(&self) -> Result<Position, AttachError> {
        let found = self.hold()?;
        // SAFETY: no thread was in flight when the word was held, and none takes room before it is stored below.
        let opened = unsafe { Opening::of(&self.memory) };
        let next = opened.as_ref().map_or(found, |opening| {
            // This limit leaves no room, so the next thread loads the consumer position, after an acquire load that
            // shows that the walk is over. A thread that still finds the old limit writes only where the walk has not
            // been.
            self.memory.store_word(&self.limit, opening.position.get(), Role::StoreLimit);
            Reservations::none_in_flight(opening.position)
        });
        self.memory.store_word(&self.reservations.0, next.0, Role::FinishReservation);
        opened.map(|opening| opening.position)
    }

    /// Keeps all threads from taking room until the word is stored again. Returns the word as it was.
    fn hold(&self) -> Result<Reservations, AttachError> {
        // Acquire: all headers are written.
        let found = Reservations(self.memory.load_word(&self.reservations.0, Role::ObserveInFlight));
        while found.in_flight() == 0 {
            match self.exchange(found, found.held(), Role::TakeRoom, Role::LoadReservations) {
                Ok(()) => return Ok(found),
                // The exchange failed spuriously.
                Err(now) if now == found => {}
                Err(_) => break,
            }
        }
        Err(AttachError::InFlight)
    }

    /// Turns this producer into an exclusive one. Samples and lanes that own a clone of the memory may still be open.
    pub fn into_producer(self) -> Producer<M> {
        let limit = Position::new(self.memory.load_word(&self.limit, Role::LoadLimit));
        let (_, position) = self.ends();
        let Self { memory, .. } = self;
        Producer::from_room(Room::new(memory, position, limit))
    }

    /// Gives up the claim and returns the memory, as [`Producer::into_memory`] does.
    pub fn into_memory(self) -> M {
        self.memory.into_memory()
    }

    /// Bytes that are in use now: records that are reserved and not yet consumed, headers and padding included.
    ///
    /// # Errors
    /// [`Corruption`] if the consumer position can't be that of this ring.
    pub fn used(&self) -> Result<u32, Corruption> {
        let (consumer, end) = self.ends();
        end.occupied(consumer, self.memory.size())
    }

    /// Bytes that are free now. The longest sample that fits is 8 bytes shorter.
    ///
    /// # Errors
    /// As for [`used`](Self::used).
    pub fn free(&self) -> Result<u32, Corruption> {
        Ok(self.memory.size().bytes() - self.used()?)
    }

    /// Position at which everything reserved so far ends, by any thread.
    pub fn position(&self) -> Position {
        self.ends().1
    }

    /// A consumer position, and the end of what is reserved.
    pub(crate) fn ends(&self) -> (Position, Position) {
        let size = self.memory.size().bytes_u64();
        let mut consumer = self.memory.load_consumer();
        // Acquire, so that the consumer position loaded next is no older than the one that freed the room.
        // If the end seems too far ahead, the consumer may have moved between the two loads: look again unless it stood
        // still. The limit is for a consumer position that keeps changing without a kernel.
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

    /// Length of the longest sample that this ring takes, in bytes.
    #[inline]
    pub fn max_sample_len(&self) -> usize {
        self.memory.size().max_sample_len() as usize
    }

    /// Whether the kernel has taken everything up to `position`, as [`DetachedSample::submit`] returned it. See
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

    pub(crate) fn line(&self) -> &Line<M::Word> {
        &self.line
    }

    #[inline(always)]
    fn reserve_with<N: RingMemory>(&self, memory: N, len: usize) -> Result<DetachedSample<N>, ReserveError> {
        let size = self.memory.size();
        let len = size.sample_len(len).ok_or(ReserveError::TooLarge { len, max: size.max_sample_len() })?;
        self.reserve_record(memory, len).map(DetachedSample::new)
    }

    /// Reserves a record through `memory`, a reference to this producer's or a clone of it.
    #[inline(always)]
    pub(crate) fn reserve_record<N: RingMemory>(
        &self,
        memory: N,
        len: SampleLen,
    ) -> Result<BusyRecord<N>, ReserveError> {
        let (start, taken) = self.take_room(len)?;
        // SAFETY: `take_room` gave this thread the record's extent from `start` on, and `memory` is the same ring.
        // `finish` publishes the record, or the thread that is last in flight does.
        let record = unsafe { BusyRecord::new(memory, start, len) };
        self.finish(record.end(), taken);
        Ok(record)
    }

    /// Bytes that were reserved behind `end`, where a record of this producer ends.
    #[inline]
    pub(crate) fn reserved_behind(&self, end: Position) -> u64 {
        self.load_reservations().end_near(end).distance_from(end)
    }

    /// Takes the record's extent, and counts this thread as in flight. Returns where the record begins, and the word.
    #[inline]
    fn take_room(&self, len: SampleLen) -> Result<(Position, Reservations), ReserveError> {
        let mut found = self.load_reservations();
        loop {
            let mut limit = Position::new(self.memory.load_word(&self.limit, Role::LoadLimit));
            let mut room = found.room(limit);
            // A stale position costs only a slow path that finds nothing wrong.
            let moved = found.is_quiet() && !found.ends_at(self.memory.load_producer(Role::LoadOwnProducer));
            // One comparison for both: more room than a ring has, where the limit lies behind, and too little, which wraps
            // around.
            let extent = u64::from(len.extent());
            if moved || room.wrapping_sub(extent) > self.memory.size().bytes_u64() - extent {
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
                // 65,534 threads are in flight, or one resumes: let them continue.
                core::hint::spin_loop();
                found = self.load_reservations();
                continue;
            };
            if self.exchange(found, taken, Role::TakeRoom, Role::LoadReservations).is_ok() {
                return Ok((Position::new(limit.get().wrapping_sub(room)), taken));
            }
            stay_away();
            found = self.load_reservations();
        }
    }

    #[inline(always)]
    fn load_reservations(&self) -> Reservations {
        Reservations(self.memory.load_word(&self.reservations.0, Role::LoadReservations))
    }

    /// Takes this thread out of flight, and publishes everything reserved if it is the last. `end` is where its own
    /// record ends, and `taken` the word when it took that.
    #[inline]
    fn finish(&self, end: Position, taken: Reservations) {
        // Threads that joined since publish nothing while this one is in flight. If any joined or left, the exchange fails
        // and says so.
        // The word, and where the last of what it counts as reserved ends.
        let (mut found, mut reserved) = (taken, end);
        loop {
            if found.in_flight() == 1 {
                // Pairs with the acquire load of producer_pos in the kernel's peek: all headers up to there are
                // written, ours here, the others' before they left (observe-in-flight). If another thread joins before
                // the exchange below, that fails, and the next round publishes its record too. SAFETY: `self.memory`
                // has the claim.
                unsafe { self.memory.publish_producer(reserved) };
            }
            match self.exchange(found, found.with_one_less(), Role::FinishReservation, Role::ObserveInFlight) {
                Ok(()) => return,
                Err(now) => (found, reserved) = (now, now.end_near(end)),
            }
        }
    }

    #[inline(always)]
    fn exchange(&self, current: Reservations, new: Reservations, role: Role, found: Role) -> Result<(), Reservations> {
        self.memory.exchange_word(&self.reservations.0, current.0, new.0, role, found).map_err(Reservations)
    }

    /// The slow path: finds out how far the kernel has come, and whether the ring is still ours. Returns `None` if the
    /// reservations have changed in the meantime, so that what was loaded proves nothing.
    #[cold]
    #[inline(never)]
    fn look_for_room(&self, found: Reservations, len: SampleLen) -> Result<Option<Position>, ReserveError> {
        let size = self.memory.size();
        // Acquire, so that the loads below see what was published before the word became `found`.
        let before = self.memory.load_word(&self.reservations.0, Role::ObserveInFlight);
        // Acquire, like the load of the consumer position: what is published or consumed beyond `found` was reserved
        // before, so the second load of the word sees that.
        let published = self.memory.load_producer(Role::ObserveProducer);
        let consumer = self.memory.load_consumer();
        let limit = consumer.advance(size.bytes_u64());
        // Measured from a limit that was seen before, whose topmost bits are right.
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
        // If no thread was in flight before the load or after it, the position is ours or another producer moved it.
        if room > size.bytes_u64() || found.is_quiet() && published != expected {
            // This limit leaves no room, so each reservation loads the positions again.
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
    /// Turns this producer into one for many threads. [`Shared::into_producer`] is the way back.
    pub fn into_shared(self) -> Shared<M> {
        let (memory, position, limit) = self.into_room().into_parts();
        Shared::new(memory, position, limit)
    }
}
