//! The one seam: what the core asks of a backend's memory.
//!
//! A backend supplies two position words, a data area whose records are contiguous even across its end, and private
//! atomic words. The core supplies the protocol. Every atomic access of the core goes through here and carries its
//! [`Role`], so a backend can perform it for real, let a model checker see it, or weaken one role alone. (Who may be the
//! ring's producer is no access of the protocol: claiming and giving back are the backend's own.)

use core::fmt;

use crate::header::Header;
use crate::layout::RingSize;
use crate::position::Position;
use crate::role::Role;

/// A ring that can be looked at: sizes, positions and headers, nothing that writes.
///
/// # Safety
/// Implementations promise, for as long as the value lives:
///
/// 1. [`size`](Self::size) never changes.
/// 2. Loads that keep their contract touch the ring's memory only, and take place with at least the ordering of their
///    role ([`Role::ordering`]); a backend that weakens one does so only to test that this is noticed.
/// 3. A clone or a shared reference stands for the same ring.
///
/// The values loaded may be anything at all: the core trusts none of them.
pub unsafe trait RingView {
    /// Size of the data area.
    fn size(&self) -> RingSize;

    /// Loads `consumer_pos` for [`Role::LoadConsumer`].
    fn load_consumer(&self) -> Position;

    /// Loads `producer_pos` for `role`: [`Role::LoadOwnProducer`] or [`Role::ObserveProducer`].
    fn load_producer(&self, role: Role) -> Position;

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
/// Implementations promise, for as long as the value lives, what [`RingView`] asks, and:
///
/// 1. A write through [`write_header`](Self::write_header), [`commit_header`](Self::commit_header),
///    [`write_payload`](Self::write_payload) or [`fill_payload`](Self::fill_payload) that keeps its contract touches
///    the data area only, and there only the bytes named; a sample may pass the end of the area and then goes on at
///    its beginning (the double mapping).
/// 2. Each atomic access takes place with at least the ordering of its role, as for the loads.
/// 3. Within this process nobody else writes to the data area through other means, but for a fake kernel, which reads
///    only. (Other processes may: then samples hold garbage, and positions are checked each time they are read. One that
///    discards the busy record of a sample that is still being filled can have its bytes handed out once more: a ring
///    that others may write to is for those whom you trust that far.)
/// 4. [`claim_producer`](Self::claim_producer) answers `true` once, and again only after a
///    [`release_producer`](Self::release_producer), whatever clone or reference is asked.
pub unsafe trait RingMemory: RingView {
    /// A private atomic 64-bit word: state that the producers of one process share, and no one else sees.
    type Word: Send + Sync;

    /// Which ring this is. Two memories have the same identity if, and only if, they are the same ring.
    fn ring_id(&self) -> RingId;

    /// Whether the caller may be the ring's one producer in this process. What the last one did comes before: an
    /// acquire that pairs with the release of [`release_producer`](Self::release_producer).
    ///
    /// The default grants every claim, so it is only for memory of which the backend lets no two producers be made, or
    /// that bears two of them.
    fn claim_producer(&self) -> bool {
        true
    }

    /// Gives a claim back.
    ///
    /// # Safety
    /// The caller has the claim, and takes no more room.
    unsafe fn release_producer(&self) {}

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
pub unsafe trait ContiguousMemory: RingMemory {
    /// Where the sample of the record at `offset` begins.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 and less than the ring's size, and the record's extent is at most that size.
    unsafe fn payload(&self, offset: u32) -> *mut u8;
}

macro_rules! forward_ring_memory {
    ($($pointer:tt)*) => {
        // SAFETY: a pointer to a ring stands for that ring (obligation 3), which keeps every obligation itself.
        unsafe impl<M: RingView + ?Sized> RingView for $($pointer)* {
            #[inline(always)]
            fn size(&self) -> RingSize {
                (**self).size()
            }

            #[inline(always)]
            fn load_consumer(&self) -> Position {
                (**self).load_consumer()
            }

            #[inline(always)]
            fn load_producer(&self, role: Role) -> Position {
                (**self).load_producer(role)
            }

            #[inline(always)]
            unsafe fn load_header(&self, offset: u32) -> Header {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).load_header(offset) }
            }
        }

        // SAFETY: as above.
        unsafe impl<M: RingMemory + ?Sized> RingMemory for $($pointer)* {
            type Word = M::Word;

            #[inline(always)]
            fn ring_id(&self) -> RingId {
                (**self).ring_id()
            }

            #[inline(always)]
            fn claim_producer(&self) -> bool {
                (**self).claim_producer()
            }

            #[inline(always)]
            unsafe fn release_producer(&self) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).release_producer() };
            }

            #[inline(always)]
            unsafe fn publish_producer(&self, position: Position) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).publish_producer(position) };
            }

            #[inline(always)]
            unsafe fn write_header(&self, offset: u32, header: Header) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).write_header(offset, header) }
            }

            #[inline(always)]
            unsafe fn commit_header(&self, offset: u32, header: Header) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).commit_header(offset, header) }
            }

            #[inline(always)]
            unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).write_payload(offset, at, bytes) }
            }

            #[inline(always)]
            unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).fill_payload(offset, at, byte, len) }
            }

            #[inline(always)]
            fn new_word(&self, value: u64) -> Self::Word {
                (**self).new_word(value)
            }

            #[inline(always)]
            fn load_word(&self, word: &Self::Word, role: Role) -> u64 {
                (**self).load_word(word, role)
            }

            #[inline(always)]
            fn store_word(&self, word: &Self::Word, value: u64, role: Role) {
                (**self).store_word(word, value, role);
            }

            #[inline(always)]
            fn exchange_word(
                &self,
                word: &Self::Word,
                current: u64,
                new: u64,
                role: Role,
                found: Role,
            ) -> Result<(), u64> {
                (**self).exchange_word(word, current, new, role, found)
            }
        }

        // SAFETY: as above.
        unsafe impl<M: ContiguousMemory + ?Sized> ContiguousMemory for $($pointer)* {
            #[inline(always)]
            unsafe fn payload(&self, offset: u32) -> *mut u8 {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).payload(offset) }
            }
        }
    };
}

forward_ring_memory!(&M);
#[cfg(feature = "alloc")]
forward_ring_memory!(alloc::sync::Arc<M>);
