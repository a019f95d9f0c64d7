//! The seam: what the core asks of a backend's memory.
//!
//! A backend supplies two position words, a data area whose records are contiguous even across its end, and private
//! atomic words. The core supplies the protocol. Every atomic access of the core goes through these traits and carries
//! its [`Role`], so a backend can perform it for real, show it to a model checker, or weaken one role alone. (The claim
//! to be the ring's producer is not part of the protocol: the backend decides how to grant it.)

use core::fmt;

use crate::format::header::Header;
use crate::format::layout::RingSize;
use crate::format::position::Position;
use crate::seam::role::Role;

/// What may be loaded from a ring at any time: its size and its positions.
///
/// # Safety
/// Implementations promise, for as long as the value lives:
///
/// 1. [`size`](Self::size) never changes.
/// 2. Loads touch only the ring's memory, and have at least the ordering of their role ([`Role::ordering`]). A backend
///    may weaken one only to test that this is noticed. From memory that is mapped read-only the language allows only
///    relaxed loads: there an acquire fence follows the load.
/// 3. A clone or a shared reference stands for the same ring.
///
/// The values loaded may be anything: the core trusts none of them.
pub unsafe trait RingPositions {
    /// Returns the size of the data area.
    fn size(&self) -> RingSize;

    /// Loads `consumer_pos` for [`Role::LoadConsumer`].
    fn load_consumer(&self) -> Position;

    /// Loads `producer_pos` for `role`: [`Role::LoadOwnProducer`] or [`Role::ObserveProducer`].
    fn load_producer(&self, role: Role) -> Position;
}

/// Read-only access to a ring, for observers.
///
/// The memory that a producer works on is not a view of the ring unless all its bytes are atomic words, since a
/// producer writes headers and samples as plain bytes.
///
/// # Safety
/// Implementations promise, for as long as the value lives, what [`RingPositions`] asks, and:
///
/// 1. [`load_header`](Self::load_header) may run concurrently with everything that this process does to the ring, its
///    producer's writes included: it reads at an address where this process writes nothing (another mapping), or where
///    each access is atomic.
/// 2. It touches only the ring's memory, and has at least the ordering of its role.
pub unsafe trait RingView: RingPositions {
    /// Loads the length word of the header at `offset` for [`Role::ObserveHeader`].
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size.
    unsafe fn load_header(&self, offset: u32) -> Header;
}

/// The identity of a ring among all rings that exist at the same time. It shows that a waiter belongs to another ring.
///
/// The backend chooses the number; on the real kernel it is the map's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RingId(u64);

impl RingId {
    /// The identity with this number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The memory of one user ring buffer as its producer needs it, with every atomic access.
///
/// # Safety
/// Implementations promise, for as long as the value lives, what [`RingPositions`] asks, and:
///
/// 1. A write through [`write_header`](Self::write_header), [`commit_header`](Self::commit_header),
///    [`write_payload`](Self::write_payload) or [`fill_payload`](Self::fill_payload) that keeps its contract touches
///    only the data area, and there only the bytes named. A sample may pass the end of the area and then continues at
///    its beginning (the kernel's double mapping, made by `bpf_ringbuf_area_alloc`).
/// 2. Each atomic access has at least the ordering of its role, as for the loads.
/// 3. Within this process no safe function writes to the data area in another way, unless all its bytes are atomic
///    words. (What other processes may do is a contract with those who share the ring. The backend states it where the
///    memory is made.)
/// 4. [`claim_producer`](Self::claim_producer) returns `true` to one caller at a time, and again only after a
///    [`release_producer`](Self::release_producer), whichever clone or reference is asked.
/// 5. A granted claim happens after the release of the previous one: an acquire that pairs with a release.
///
/// The claim has no default. Memory without one is refused:
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
/// Nor is it a view, so safe code can't walk its headers while the producer works:
/// ```compile_fail,E0277
/// # use user_ringbuf_core::{RingMemory, Survey};
/// fn watch<M: RingMemory>(memory: &M) {
///     Survey::of(memory);
/// }
/// ```
pub unsafe trait RingMemory: RingPositions {
    /// A private atomic 64-bit word: state that the producers of one process share and that is not part of the ring.
    type Word: Send + Sync;

    /// Returns the ring's identity. Two memories have the same identity if, and only if, they are the same ring.
    fn ring_id(&self) -> RingId;

    /// Claims the ring. Returns whether the caller is now its one producer in this process.
    ///
    /// # Safety
    /// A caller that gets `true` is the producer, and gives the claim back when it is done. A claim that is never given
    /// back keeps every other producer out.
    unsafe fn claim_producer(&self) -> bool;

    /// Gives the claim back.
    ///
    /// # Safety
    /// The caller has the claim, and reserves nothing from now on.
    unsafe fn release_producer(&self);

    /// Loads the length word of the header at `offset` for [`Role::ObserveHeader`], through the address at which
    /// headers are written.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size. The caller has the claim, or repairs a ring that has
    /// no producer; and every plain write of this process to these bytes happened before.
    unsafe fn read_header(&self, offset: u32) -> Header;

    /// Stores `producer_pos` for [`Role::PublishProducer`].
    ///
    /// # Safety
    /// The caller has the claim, or repairs a ring that has no producer. The next producer to attach treats the bytes
    /// behind `position` as free.
    unsafe fn publish_producer(&self, position: Position);

    /// Writes a whole header, pad included, that is not visible yet. It needs no ordering: the store that makes it
    /// visible has it.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the eight bytes there belong to the caller: they
    /// are free space, or lie within a record that the caller reserved.
    unsafe fn write_header(&self, offset: u32, header: Header);

    /// Stores the length word of a header that the kernel may be looking at, for [`Role::CommitHeader`].
    ///
    /// # Safety
    /// As for [`write_header`](Self::write_header), and nothing else stores there at the same time.
    unsafe fn commit_header(&self, offset: u32, header: Header);

    /// Copies `bytes` into the sample of the record at `offset`, `at` bytes behind its header.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the bytes written belong to the caller.
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]);

    /// Writes `len` bytes of `byte` into the sample of the record at `offset`, `at` bytes behind its header.
    ///
    /// # Safety
    /// As for [`write_payload`](Self::write_payload).
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32);

    /// Makes a private word that holds `value`.
    fn new_word(&self, value: u64) -> Self::Word;

    /// Loads a private word for `role`.
    fn load_word(&self, word: &Self::Word, role: Role) -> u64;

    /// Stores a private word for `role`.
    fn store_word(&self, word: &Self::Word, value: u64, role: Role);

    /// Stores `new` in a private word for `role` if the word holds `current`. It may fail spuriously, like
    /// `compare_exchange_weak`.
    ///
    /// # Errors
    /// The value found, loaded for `found`, if nothing was stored.
    fn exchange_word(&self, word: &Self::Word, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64>;
}

/// Memory in which a sample is contiguous plain bytes, so that it can be lent as a slice.
///
/// # Safety
/// 1. The pointer from [`payload`](Self::payload) is valid for reads and writes of the whole sample, even where that
///    passes the end of the data area, for as long as the memory lives.
/// 2. Those are the same bytes that [`RingMemory::write_payload`] writes.
/// 3. Each write and store takes effect, and no safe function of this process stores a position in another way, except
///    that a simulated kernel moves the consumer as the real one does: past submitted and discarded records, never past
///    a busy one. Otherwise bytes that are lent as a slice could be reserved again.
/// 4. The pointer's address is a multiple of 8.
pub unsafe trait ContiguousMemory: RingMemory {
    /// Returns the address of the first byte of the sample of the record at `offset`.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the record's extent is at most that size.
    unsafe fn payload(&self, offset: u32) -> *mut u8;
}
