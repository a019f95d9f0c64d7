//! The exclusive producer's room: how far it may write, and how it shows what it has written.
//!
//! Invariants: `position` is what this producer last stored into `producer_pos`. `limit` is a consumer position seen
//! plus the ring's size, so the bytes from `position` to `limit` are free, and stay free since the consumer only moves
//! forward. They are at most the ring's size; none are free if the limit lies behind. Every reservation compares
//! `producer_pos` with `position` before it hands out room, so a second producer that has come and gone is noticed
//! before a byte is written. Kernel counterpart: `__bpf_user_ringbuf_peek`, which reads what is published here.

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

    /// Continues where the ring ends now. On error the room is unchanged.
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

    /// Position at which the next record begins.
    #[inline(always)]
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Checks that a record of `len` fits between `at` and the limit. `at` is `position`, or the end of a batch.
    #[inline]
    pub(crate) fn make_room(&mut self, at: Position, len: usize) -> Result<SampleLen, ReserveError> {
        let checked = SampleLen::in_some_ring(len);
        // Only this producer stores this word, so it stays in this processor's cache unless another producer stores
        // there.
        let found = self.memory.load_producer(Role::LoadOwnProducer);
        // The room is at most the ring's size, so a record that fits into it needs no check against that size.
        if found != self.position
            || checked.is_none_or(|len| !self.limit.has_reached(at.advance(u64::from(len.extent()))))
        {
            // Values, not a reference to `self`: a producer whose address no call takes can stay in registers.
            let seen = Seen { size: self.memory.size(), found, consumer: self.memory.load_consumer() };
            match look_for_room(seen, self.position, at, len) {
                Ok(limit) => self.limit = limit,
                Err(why) => {
                    // After an error no room is known, so each attempt loads the consumer position again.
                    self.limit = self.position;
                    return Err(why);
                }
            }
        }
        // A length that no ring takes was an error above. The result depends only on `len`, so a constant stays one.
        checked.ok_or(ReserveError::TooLarge { len, max: MAX_SAMPLE_LEN })
    }

    /// Checks that `producer_pos` is where this producer left it.
    #[inline]
    pub(crate) fn check_position(&self) -> Result<(), ReserveError> {
        let found = self.memory.load_producer(Role::LoadOwnProducer);
        if found == self.position {
            return Ok(());
        }
        moved(Seen { size: self.memory.size(), found, consumer: self.memory.load_consumer() }, self.position)
    }

    /// The memory, and the position to move when something is published.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&M, &mut Position) {
        (&self.memory, &mut self.position)
    }
}

/// Publishes everything before `end`. Returns `end`.
#[inline]
pub(crate) fn publish<M: RingMemory>(memory: &M, position: &mut Position, end: Position) -> Position {
    // Pairs with the acquire load of producer_pos in the kernel's peek: headers and samples are written by now.
    // SAFETY: `position` is that of the ring's one producer, which has the claim.
    unsafe { memory.publish_producer(end) };
    // This store comes last: after a release store the compiler reloads memory, so a loop would wait for it.
    *position = end;
    end
}

/// What was loaded from the shared memory.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) size: RingSize,
    pub(crate) found: Position,
    pub(crate) consumer: Position,
}

impl Seen {
    /// Checks that the positions are possible, and that the producer position is the one that was left there.
    #[inline(always)]
    fn check(self, expected: Position) -> Result<(), ReserveError> {
        let Self { size, found, consumer } = self;
        found.occupied(consumer, size)?;
        if found == expected { Ok(()) } else { Err(ReserveError::ForeignProducer { expected, found }) }
    }
}

/// Says what is wrong with a position that was moved.
#[cold]
#[inline(never)]
fn moved(seen: Seen, expected: Position) -> Result<(), ReserveError> {
    seen.check(expected)
}

/// The slow path. Returns the limit up to which the kernel has made room, if the producer position is still `expected`
/// and a record of `len` fits between `at` and the limit.
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
    // A consumer position that went back may put the limit behind the end of a batch: then nothing is available.
    let room = limit.distance_from(at);
    let available = if room <= size.bytes_u64() { room } else { 0 };
    if u64::from(needed) > available {
        return Err(ReserveError::Full { needed, available: narrow(available) });
    }
    Ok(limit)
}

/// A number of bytes that is at most the ring's size, as a `u32`.
fn narrow(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
