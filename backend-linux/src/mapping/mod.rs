//! The map's memory: positions and data area of the real kernel, as the core asks for them.
//!
//! mmap offsets on the map, in pages: 0 the consumer page (the kernel allows reading only), 1 the producer page, 2 and
//! on the data area, twice in a row, so that a record which passes the end is contiguous. Kernel counterpart:
//! `ringbuf_map_mmap_user` and `bpf_ringbuf_area_alloc`.

mod claim;
mod error;
mod region;
mod view;

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use user_ringbuf_core::{ContiguousMemory, HEADER_LEN, Header, Position, RingMemory, RingSize, RingView, Role};

use crate::map::Map;
use claim::Claim;
pub use error::MappingError;
use region::Region;
pub use view::MappingView;

/// A user ring buffer mapped for producing: the consumer page read-only, the rest read-write.
///
/// After construction nothing here makes a system call or allocates: the kernel has populated all pages, and no access
/// faults. Dropping it unmaps the memory; the map itself lives as long as a handle, a pin or a mapping of it does.
///
/// One process maps a ring for producing once at a time: samples are handed out as slices, and two producers in one
/// process would write the same bytes ([`MappingError::AlreadyMapped`]). Several threads share one mapping instead, by
/// reference or by `Arc`.
///
/// # Minimum kernel version
/// Linux 6.1, 64-bit. (A 32-bit process on a 64-bit kernel works: positions have 64 bits there too.)
#[derive(Debug)]
#[doc(alias = "user_ring_buffer__new")]
pub struct Mapping {
    /// Start of the data area: the hot path's base.
    data: NonNull<u8>,
    producer_pos: NonNull<AtomicU64>,
    consumer_pos: NonNull<AtomicU64>,
    size: RingSize,
    has_producer: AtomicBool,
    _consumer_page: Region,
    _producer_and_data: Region,
    _claim: Claim,
}

// SAFETY: the mapping is shared memory that is not tied to a thread; all access to words goes through atomics, and the
// core hands out each stretch of payload once.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a user ring buffer for producing. Needs the map's fd and no privilege.
    ///
    /// # Errors
    /// [`MappingError`]: already mapped for producing in this process, too large for the address space, a 32-bit
    /// kernel, or what mmap answered. Nothing stays mapped then.
    pub fn new(map: &Map) -> Result<Self, MappingError> {
        let claim = Claim::new(map.id())?;
        let layout = region::Layout::of(map)?;
        let consumer_page = Region::map(map, &layout.consumer_page(), region::Access::Read)?;
        let producer_and_data = Region::map(map, &layout.producer_and_data(), region::Access::ReadWrite)?;
        Ok(Self {
            data: producer_and_data.at(layout.page()),
            producer_pos: producer_and_data.at(0).cast(),
            consumer_pos: consumer_page.at(0).cast(),
            size: layout.size(),
            has_producer: AtomicBool::new(false),
            _consumer_page: consumer_page,
            _producer_and_data: producer_and_data,
            _claim: claim,
        })
    }

    #[inline(always)]
    fn consumer_pos(&self) -> &AtomicU64 {
        // SAFETY: `new` mapped the consumer page for as long as `self` lives; the position is its first word.
        unsafe { self.consumer_pos.as_ref() }
    }

    #[inline(always)]
    fn producer_pos(&self) -> &AtomicU64 {
        // SAFETY: `new` mapped the producer page for as long as `self` lives; the position is its first word.
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

// SAFETY: 1: the size is what the kernel said and never changes. 2: `length_word` stays within the mapped data area,
// and the orderings are the roles' own. 3: references and clones of them name the same mapping.
unsafe impl RingView for Mapping {
    #[inline(always)]
    fn size(&self) -> RingSize {
        self.size
    }

    #[inline(always)]
    fn load_consumer(&self) -> Position {
        Position::new(self.consumer_pos().load(Role::LoadConsumer.ordering()))
    }

    #[inline(always)]
    fn load_producer(&self, role: Role) -> Position {
        Position::new(self.producer_pos().load(role.ordering()))
    }

    #[inline(always)]
    unsafe fn load_header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        Header::from_word(unsafe { self.length_word(offset) }.load(Role::ObserveHeader.ordering()))
    }
}

// SAFETY: 1: writes go to `data + offset` and on; the area is mapped twice in a row, so that `offset < size` and a
// record of at most `size` bytes stay inside. 2: the orderings are the roles' own. 3: `Claim` keeps a second mapping
// for producing out of this process, and the drain program only reads. 4: all references share `has_producer`.
unsafe impl RingMemory for Mapping {
    type Word = AtomicU64;

    fn claim_producer(&self) -> bool {
        // Acquire: pairs with the release store below, so that the last producer's writes come before ours.
        !self.has_producer.swap(true, Ordering::Acquire)
    }

    fn release_producer(&self) {
        self.has_producer.store(false, Ordering::Release);
    }

    #[inline(always)]
    fn publish_producer(&self, position: Position) {
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
        // slice that somebody lent us, since nobody else holds one into them.
        unsafe {
            let to = self.payload(offset).add(at as usize);
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
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
// so while `self` lives. 2: `write_payload` goes through `payload`.
unsafe impl ContiguousMemory for Mapping {
    #[inline(always)]
    unsafe fn payload(&self, offset: u32) -> *mut u8 {
        // SAFETY: the header lies within the data area, by the caller's promise, and its copy follows.
        unsafe { self.data.add(offset as usize + HEADER_LEN as usize).as_ptr() }
    }
}
