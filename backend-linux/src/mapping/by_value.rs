//! A mapping's addresses by value: how a hot loop keeps them in registers.
//!
//! After a release store the compiler reloads whatever is in memory, the mapping's own fields included. A local copy
//! whose address is never taken can stay in registers.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use user_ringbuf_core::{
    ContiguousMemory, HEADER_LEN, Header, Position, RingId, RingMemory, RingPositions, RingSize, Role,
};

use super::{Owner, read_only};

/// A [`Mapping`](super::Mapping), borrowed, with its addresses at hand:
/// [`Mapping::by_value`](super::Mapping::by_value).
///
/// It does what a reference to the mapping does. A producer on it that is a local variable of a hot loop can be kept
/// entirely in registers.
#[derive(Clone, Copy, Debug)]
pub struct MappingRef<'m> {
    /// Start of the data area: the hot path's base.
    pub(super) data: NonNull<u8>,
    pub(super) producer_pos: NonNull<AtomicU64>,
    pub(super) consumer_pos: NonNull<AtomicU64>,
    pub(super) size: RingSize,
    pub(super) owner: &'m Owner,
    pub(super) _mapping: PhantomData<&'m super::Mapping>,
}

// SAFETY: the mapping is shared memory that is not tied to a thread; all access to words goes through atomics, and the
// core hands out each stretch of payload once.
unsafe impl Send for MappingRef<'_> {}
// SAFETY: as above.
unsafe impl Sync for MappingRef<'_> {}

impl MappingRef<'_> {
    #[inline(always)]
    fn producer_pos(&self) -> &AtomicU64 {
        // SAFETY: `Mapping::new` mapped the producer page, and the mapping is borrowed; the position is its first word.
        unsafe { self.producer_pos.as_ref() }
    }

    /// The length word of the header at `offset`.
    ///
    /// # Safety
    /// `offset` is a multiple of 8 below the ring's size.
    #[inline(always)]
    unsafe fn length_word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: within the data area by the caller's promise, which also makes it aligned: the area is page-aligned.
        unsafe { self.data.add(offset as usize).cast().as_ref() }
    }
}

// SAFETY: 1: the size is what the kernel said and never changes. 2: the positions are the first words of their pages,
// and the orderings are the roles' own. 3: references and clones of them name the same mapping.
unsafe impl RingPositions for MappingRef<'_> {
    #[inline(always)]
    fn size(&self) -> RingSize {
        self.size
    }

    #[inline(always)]
    fn load_consumer(&self) -> Position {
        // SAFETY: `Mapping::new` mapped the consumer page, read-only, and the mapping is borrowed.
        Position::new(unsafe { read_only::load_position(self.consumer_pos, Role::LoadConsumer) })
    }

    #[inline(always)]
    fn load_producer(&self, role: Role) -> Position {
        Position::new(self.producer_pos().load(role.ordering()))
    }
}

// SAFETY: 1: writes go to `data + offset` and on; the area is mapped twice in a row, so that `offset < size` and a
// record of at most `size` bytes stay inside. 2: the orderings are the roles' own. 3: `Claim` keeps a second mapping
// for producing out of this process, and the drain program only reads. 4: all references and values share `owner`.
unsafe impl RingMemory for MappingRef<'_> {
    type Word = AtomicU64;

    #[inline(always)]
    fn ring_id(&self) -> RingId {
        RingId::new(self.owner.map_id.into())
    }

    #[inline(always)]
    unsafe fn claim_producer(&self) -> bool {
        // Acquire: pairs with the release store below, so that the last producer's writes come before ours.
        !self.owner.has_producer.swap(true, Ordering::Acquire)
    }

    #[inline(always)]
    unsafe fn release_producer(&self) {
        self.owner.has_producer.store(false, Ordering::Release);
    }

    #[inline(always)]
    unsafe fn read_header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        Header::from_word(unsafe { self.length_word(offset) }.load(Role::ObserveHeader.ordering()))
    }

    #[inline(always)]
    unsafe fn publish_producer(&self, position: Position) {
        self.producer_pos().store(position.get(), Role::PublishProducer.ordering());
    }

    #[inline(always)]
    unsafe fn write_header(&self, offset: u32, header: Header) {
        // SAFETY: within the data area and the caller's own, by the caller's promise; offset and area are 8-aligned.
        unsafe { self.data.add(offset as usize).cast::<u64>().write(header.with_pad()) };
    }

    #[inline(always)]
    unsafe fn commit_header(&self, offset: u32, header: Header) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.length_word(offset) }.store(header.word(), Role::CommitHeader.ordering());
    }

    #[inline(always)]
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        // SAFETY: the bytes are the caller's, by its promise, and inside the doubled mapping; they can't overlap a
        // slice that we were given, since no other slice refers to them.
        unsafe {
            let to = self.payload(offset).add(at as usize);
            copy(bytes, to);
        }
    }

    #[inline(always)]
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        // SAFETY: as in `write_payload`.
        unsafe { ptr::write_bytes(self.payload(offset).add(at as usize), byte, len as usize) };
    }

    #[inline(always)]
    fn new_word(&self, value: u64) -> AtomicU64 {
        AtomicU64::new(value)
    }

    #[inline(always)]
    fn load_word(&self, word: &AtomicU64, role: Role) -> u64 {
        word.load(role.ordering())
    }

    #[inline(always)]
    fn store_word(&self, word: &AtomicU64, value: u64, role: Role) {
        word.store(value, role.ordering());
    }

    #[inline(always)]
    fn exchange_word(&self, word: &AtomicU64, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        word.compare_exchange_weak(current, new, role.ordering(), found.ordering()).map(|_| ())
    }
}

// SAFETY: 1: the data area is mapped twice in a row, so `size` bytes from any offset below `size` are mapped, and stay
// so while the mapping is borrowed. 2: `write_payload` goes through `payload`. 3: safe code
// has no other way to a position, and the kernel stops at busy records. 4: the area begins on a page.
unsafe impl ContiguousMemory for MappingRef<'_> {
    #[inline(always)]
    unsafe fn payload(&self, offset: u32) -> *mut u8 {
        // SAFETY: the header lies within the data area, by the caller's promise, and its copy follows.
        unsafe { self.data.add(offset as usize + HEADER_LEN as usize).as_ptr() }
    }
}

/// Copies a sample into the ring: a short one in words that may overlap, since a call of `memcpy` takes longer than that,
/// and what the caller has in registers with it.
///
/// # Safety
/// `to` is writable for as many bytes, and apart from them.
#[inline(always)]
unsafe fn copy(bytes: &[u8], to: *mut u8) {
    let (from, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: every word begins and ends within the bytes, by the length.
    unsafe {
        let words =
            |at: usize| to.add(at).cast::<[u64; 2]>().write_unaligned(from.add(at).cast::<[u64; 2]>().read_unaligned());
        if len.wrapping_sub(8) > 56 {
            ptr::copy_nonoverlapping(from, to, len);
        } else if len < 16 {
            for at in [0, len - 8] {
                to.add(at).cast::<u64>().write_unaligned(from.add(at).cast::<u64>().read_unaligned());
            }
        } else {
            words(0);
            if len > 32 {
                words(16);
                if len > 48 {
                    words(32);
                }
            }
            words(len - 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::copy;

    #[test]
    fn a_copy_has_every_byte_and_touches_no_other() {
        let source: [u8; 160] = core::array::from_fn(|at| u8::try_from(at).unwrap());
        for len in 0..=source.len() - 8 {
            let mut place = [0xff; 176];
            // SAFETY: the place has 8 bytes before the copy, and as many or more behind it.
            unsafe { copy(&source[3..3 + len], place[8..].as_mut_ptr()) };
            let (before, rest) = place.split_at(8);
            let (copied, after) = rest.split_at(len);
            assert_eq!(copied, &source[3..3 + len]);
            assert!(before.iter().chain(after).all(|byte| *byte == 0xff), "bytes beside a copy of {len} were written");
        }
    }
}
