//! The exclusive producer's room: how far it may write, and how it shows what it has written.
//!
//! Invariants: `position` is what this producer last stored into `producer_pos`. `limit` is a consumer position seen
//! plus the ring's size, so the bytes from `position` to `limit` are free and stay so: the consumer only moves on. They
//! are never more than the ring has; none if the limit lies behind. Every reservation compares `producer_pos` with
//! `position` before it hands out room, so a second producer that has come and gone is noticed before a byte is written.
//! Kernel counterpart: `__bpf_user_ringbuf_peek`, which reads what is published here.

use crate::error::{AttachError, ReserveError};
use crate::format::layout::{MAX_SAMPLE_LEN, RingSize, SampleLen};
use crate::format::position::Position;
use crate::produce::opening::Opening;
use crate::seam::claim::Claimed;
use crate::seam::memory::RingMemory;
use crate::seam::role::Role;

/// Claimed memory, and how much of it is known to be free.
#[derive(Debug)]
pub(crate) struct Room<M: RingMemory> {
    memory: Claimed<M>,
    position: Position,
    limit: Position,
}

impl<M: RingMemory> Room<M> {
    /// The room behind `position`, up to `limit`, a consumer position that was seen plus the ring's size.
    pub(crate) fn new(memory: Claimed<M>, position: Position, limit: Position) -> Self {
        Self { memory, position, limit }
    }

    /// The claimed memory, the position and the limit.
    pub(crate) fn into_parts(self) -> (Claimed<M>, Position, Position) {
        (self.memory, self.position, self.limit)
    }

    /// Begins anew where the ring ends now. The room stays as it was on error.
    pub(crate) fn reopen(&mut self) -> Result<Position, AttachError> {
        // SAFETY: `self` is borrowed exclusively, so nothing is reserved before the walk is over.
        let Opening { position, limit } = unsafe { Opening::of(&self.memory) }?;
        (self.position, self.limit) = (position, limit);
        Ok(position)
    }

    #[inline(always)]
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Where the next record begins.
    #[inline(always)]
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Makes sure that a record of `len` fits between `at` and the limit. `at` is `position`, or the end of a batch.
    #[inline]
    pub(crate) fn make_room(&mut self, at: Position, len: usize) -> Result<SampleLen, ReserveError> {
        let checked = SampleLen::in_some_ring(len);
        // A word that only this producer stores, so it's in this core's cache until somebody else stores there.
        let found = self.memory.load_producer(Role::LoadOwnProducer);
        // The room is at most the ring's size, so what fits into it needs no look at the ring's own limit.
        if found != self.position
            || checked.is_none_or(|len| !self.limit.has_reached(at.advance(u64::from(len.extent()))))
        {
            // Values only, no reference to `self`: a producer that no call sees can stay in registers.
            let seen = Seen { size: self.memory.size(), found, consumer: self.memory.load_consumer() };
            match look_for_room(seen, self.position, at, len) {
                Ok(limit) => self.limit = limit,
                Err(why) => {
                    // A producer that has met an error knows of no room, so it looks at the consumer again each time.
                    self.limit = self.position;
                    return Err(why);
                }
            }
        }
        // What no ring takes was an error above. The result holds only what was asked, so a constant stays one.
        checked.ok_or(ReserveError::TooLarge { len, max: MAX_SAMPLE_LEN })
    }

    /// Makes sure that `producer_pos` is where this producer left it.
    #[inline]
    pub(crate) fn check_position(&self) -> Result<(), ReserveError> {
        let found = self.memory.load_producer(Role::LoadOwnProducer);
        if found == self.position {
            return Ok(());
        }
        moved(Seen { size: self.memory.size(), found, consumer: self.memory.load_consumer() }, self.position)
    }

    /// The memory, and the position for what is to be published.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&M, &mut Position) {
        (&self.memory, &mut self.position)
    }
}

/// Shows everything before `end` to the kernel.
#[inline]
pub(crate) fn publish<M: RingMemory>(memory: &M, position: &mut Position, end: Position) -> Position {
    // Pairs with the acquire load of producer_pos in the kernel's peek: headers and samples are written by now.
    // SAFETY: `position` is that of the ring's one producer, which has the claim.
    unsafe { memory.publish_producer(end) };
    // Last: behind a release store the compiler reads everything anew, and so a loop would wait for this one.
    *position = end;
    end
}

/// What the slow path has found in the shared memory.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) size: RingSize,
    pub(crate) found: Position,
    pub(crate) consumer: Position,
}

impl Seen {
    /// Whether the positions are those of a ring, and the producer's the one that was left there.
    #[inline(always)]
    fn check(self, expected: Position) -> Result<(), ReserveError> {
        let Self { size, found, consumer } = self;
        found.occupied(consumer, size)?;
        if found == expected { Ok(()) } else { Err(ReserveError::ForeignProducer { expected, found }) }
    }
}

/// What is wrong with a position that was moved.
#[cold]
#[inline(never)]
fn moved(seen: Seen, expected: Position) -> Result<(), ReserveError> {
    seen.check(expected)
}

/// The slow path: the limit up to which the kernel has made room, if the ring is still ours and a record of `len` fits
/// between `at` and there.
#[cold]
#[inline(never)]
pub(crate) fn look_for_room(
    seen: Seen,
    expected: Position,
    at: Position,
    len: usize,
) -> Result<Position, ReserveError> {
    let Seen { size, consumer, .. } = seen;
    let len = size.sample_len(len).ok_or(ReserveError::TooLarge { len, max: size.max_sample_len() })?;
    seen.check(expected)?;
    let needed = len.extent();
    let left = size.bytes_u64().saturating_sub(at.distance_from(expected));
    if u64::from(needed) > left {
        return Err(ReserveError::BatchFull { needed, left: narrow(left) });
    }
    let limit = consumer.advance(size.bytes_u64());
    // A limit behind the end of a batch, of a consumer that went back, leaves nothing.
    let room = limit.distance_from(at);
    let available = if room <= size.bytes_u64() { room } else { 0 };
    if u64::from(needed) > available {
        return Err(ReserveError::Full { needed, available: narrow(available) });
    }
    Ok(limit)
}

/// A count of bytes in the ring, which is at most the ring's size.
fn narrow(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
