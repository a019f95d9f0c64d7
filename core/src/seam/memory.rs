//! The one seam: what the core asks of a backend's memory.
//!
//! A backend supplies two position words, a data area whose records are contiguous even across its end, and private
//! atomic words. The core supplies the protocol. Every atomic access of the core goes through here and carries its
//! [`Role`], so a backend can perform it for real, let a model checker see it, or weaken one role alone. (Who may be the
//! ring's producer is no access of the protocol: claiming and giving back are the backend's own.)

use core::fmt;

use crate::format::header::Header;
use crate::format::layout::RingSize;
use crate::format::position::Position;
use crate::seam::role::Role;

/// What may be loaded of a ring at any time: its size and its positions.
///
/// # Safety
/// Implementations promise, for as long as the value lives:
///
/// 1. [`size`](Self::size) never changes.
/// 2. Loads touch the ring's memory only, and take place with at least the ordering of their role
///    ([`Role::ordering`]); a backend that weakens one does so only to test that this is noticed. From memory that is
///    mapped read-only, the language allows relaxed loads alone: there the acquire is a fence behind the load.
/// 3. A clone or a shared reference stands for the same ring.
///
/// The values loaded may be anything at all: the core trusts none of them.
pub unsafe trait RingPositions {
    /// Size of the data area.
    fn size(&self) -> RingSize;

    /// Loads `consumer_pos` for [`Role::LoadConsumer`].
    fn load_consumer(&self) -> Position;

    /// Loads `producer_pos` for `role`: [`Role::LoadOwnProducer`] or [`Role::ObserveProducer`].
    fn load_producer(&self, role: Role) -> Position;
}

/// A ring for those who only look: nothing here writes.
///
/// The memory that a producer works on is not a view of the ring, unless all its bytes are atomic words: a producer
/// writes headers and samples as plain bytes.
///
/// # Safety
/// Implementations promise, for as long as the value lives, what [`RingPositions`] asks, and:
///
/// 1. [`load_header`](Self::load_header) may take place beside everything that this process does to the ring, its
///    producer's work included: it reads at an address where this process writes nothing (another mapping), or where
///    each access is atomic.
/// 2. It touches the ring's memory only, and takes place with at least the ordering of its role.
pub unsafe trait RingView: RingPositions {
    /// Loads the length word of the header at `offset` for [`Role::ObserveHeader`].
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size.
    unsafe fn load_header(&self, offset: u32) -> Header;
}

/// Which ring a memory is, among all that live at the same time: how a waiter for another ring is noticed.
///
/// The number is the backend's: the map's id on the real kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RingId(u64);

impl RingId {
    /// The ring that the backend knows by this number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Memory of one user ring buffer that its producer works on, and the atomics to do so.
///
/// # Safety
/// Implementations promise, for as long as the value lives, what [`RingPositions`] asks, and:
///
/// 1. A write through [`write_header`](Self::write_header), [`commit_header`](Self::commit_header),
///    [`write_payload`](Self::write_payload) or [`fill_payload`](Self::fill_payload) that keeps its contract touches
///    the data area only, and there only the bytes named; a sample may pass the end of the area and then goes on at
///    its beginning (the double mapping).
/// 2. Each atomic access takes place with at least the ordering of its role, as for the loads.
/// 3. Within this process no safe function writes to the data area by other means, unless all its bytes are atomic
///    words. (What other processes may do is a contract with those who share the ring: the backend states it where the
///    memory is made.)
/// 4. [`claim_producer`](Self::claim_producer) returns `true` to one caller at a time: again only after a
///    [`release_producer`](Self::release_producer), whatever clone or reference is asked.
/// 5. A claim that is granted happens after the release of the one before: an acquire that pairs with a release.
///
/// There is no default for the claim; memory without one is refused:
/// ```compile_fail,E0046
/// # use user_ringbuf_core::{Header, Position, RingMemory, RingPositions, RingSize, Role};
/// # struct Memory;
/// # unsafe impl RingPositions for Memory {
/// #     fn size(&self) -> RingSize { todo!() }
/// #     fn load_consumer(&self) -> Position { todo!() }
/// #     fn load_producer(&self, role: Role) -> Position { todo!() }
/// # }
/// unsafe impl RingMemory for Memory {
///     // no claim_producer
///     unsafe fn release_producer(&self) {}
/// #     type Word = ();
/// #     unsafe fn read_header(&self, offset: u32) -> Header { todo!() }
/// #     unsafe fn publish_producer(&self, position: Position) {}
/// #     unsafe fn write_header(&self, offset: u32, header: Header) {}
/// #     unsafe fn commit_header(&self, offset: u32, header: Header) {}
/// #     unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {}
/// #     unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {}
/// #     fn new_word(&self, value: u64) {}
/// #     fn load_word(&self, word: &(), role: Role) -> u64 { 0 }
/// #     fn store_word(&self, word: &(), value: u64, role: Role) {}
/// #     fn exchange_word(&self, word: &(), current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> { Ok(()) }
/// }
/// ```
/// It is not a view either, so nothing safe walks its headers beside the producer:
/// ```compile_fail,E0277
/// # use user_ringbuf_core::{RingMemory, Survey};
/// fn watch<M: RingMemory>(memory: &M) {
///     Survey::of(memory);
/// }
/// ```
pub unsafe trait RingMemory: RingPositions {
    /// A private atomic 64-bit word: state that the producers of one process share, and no one else sees.
    type Word: Send + Sync;

    /// Which ring this is. Two memories have the same identity if, and only if, they are the same ring.
    fn ring_id(&self) -> RingId;

    /// Whether the caller is the ring's one producer in this process from now on.
    ///
    /// # Safety
    /// A caller that gets `true` is the producer, and gives the claim back when it is done: one that is forgotten
    /// keeps every other producer out.
    unsafe fn claim_producer(&self) -> bool;

    /// Gives a claim back.
    ///
    /// # Safety
    /// The caller has the claim, and takes no more room.
    unsafe fn release_producer(&self);

    /// Loads the length word of the header at `offset` for [`Role::ObserveHeader`], from where headers are written.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size. The caller has the claim, or repairs a ring that has
    /// no producer; and every plain write of this process to these bytes happened before.
    unsafe fn read_header(&self, offset: u32) -> Header;

    /// Stores `producer_pos` for [`Role::PublishProducer`].
    ///
    /// # Safety
    /// The caller has the claim, or repairs a ring that has no producer: whoever attaches next takes the bytes behind
    /// `position` for free ones.
    unsafe fn publish_producer(&self, position: Position);

    /// Writes a whole header, pad included, where nobody looks yet. Needs no ordering: what makes it visible has it.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the eight bytes there are the caller's: free
    /// space, or inside a record that the caller reserved.
    unsafe fn write_header(&self, offset: u32, header: Header);

    /// Stores the length word of a header that may be looked at, for [`Role::CommitHeader`].
    ///
    /// # Safety
    /// As for [`write_header`](Self::write_header); besides, the caller is the only one to store there.
    unsafe fn commit_header(&self, offset: u32, header: Header);

    /// Copies `bytes` into the sample of the record at `offset`, `at` bytes behind its header.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the bytes written are the caller's.
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]);

    /// Writes `len` bytes of `byte` into the sample of the record at `offset`, `at` bytes behind its header.
    ///
    /// # Safety
    /// As for [`write_payload`](Self::write_payload).
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32);

    /// A new private word that holds `value`.
    fn new_word(&self, value: u64) -> Self::Word;

    /// Loads a private word for `role`.
    fn load_word(&self, word: &Self::Word, role: Role) -> u64;

    /// Stores a private word for `role`.
    fn store_word(&self, word: &Self::Word, value: u64, role: Role);

    /// Puts `new` into a private word for `role` if it still holds `current`; spurious failure is allowed. Says what
    /// was found otherwise, loaded for `found`.
    ///
    /// # Errors
    /// The value found, if it was not `current` or the exchange failed spuriously.
    fn exchange_word(&self, word: &Self::Word, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64>;
}

/// Memory in which a sample is one stretch of plain bytes, so that it can be handed out as a slice.
///
/// # Safety
/// 1. The pointer from [`payload`](Self::payload) is valid for reads and writes of the `len` bytes named, also where
///    they pass the end of the data area, for as long as the memory lives.
/// 2. Those are the same bytes that [`RingMemory::write_payload`] writes.
/// 3. Each write and store takes place, and no safe function of this process stores a position by other means, but for
///    a kernel's side that moves the consumer as the kernel does: behind submitted and discarded records, never behind
///    a busy one. Otherwise bytes that a slice stands for would be handed out once more.
/// 4. The pointer's address is a multiple of 8.
pub unsafe trait ContiguousMemory: RingMemory {
    /// Where the sample of the record at `offset` begins.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the record's extent is at most that size.
    unsafe fn payload(&self, offset: u32) -> *mut u8;
}
