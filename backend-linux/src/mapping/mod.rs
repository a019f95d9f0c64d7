//! The map's memory: positions and data area of the real kernel, as the core asks for them.
//!
//! mmap offsets on the map, in pages: 0 the consumer page (the kernel allows reading only), 1 the producer page, 2 and
//! on the data area, twice in a row, so that a record which passes the end is contiguous. Kernel counterpart:
//! `ringbuf_map_mmap_user` and `bpf_ringbuf_area_alloc`.

mod by_value;
mod error;
mod read_only;
mod region;
mod view;

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64};

use user_ringbuf_core::{ContiguousMemory, Header, Position, RingMemory, RingPositions, RingSize, Role};

use rustix::fd::AsFd;

pub use crate::claim::Claim;
use crate::claim::{Generation, Refused};
use crate::holders::claimant_of;
use crate::map::Map;
pub use by_value::MappingRef;
pub use error::MappingError;
use region::Region;
pub use view::MappingView;

/// A user ring buffer mapped for producing: the consumer page read-only, the rest read-write.
///
/// After construction nothing here makes a system call or allocates: the kernel has populated all pages, and no access
/// faults. Dropping it unmaps the memory; the map itself lives as long as a handle, a pin or a mapping of it does.
///
/// It relies on how the kernel's `ringbuf_map_mmap_user` lays the memory out: the consumer page, which it lets nobody
/// write, the producer page, and the data area twice in a row.
///
/// # One producer
/// A ring is mapped for producing once at a time on the whole machine: a mapping holds the *claim* on its ring. A second
/// one in this process is [`MappingError::AlreadyMapped`]: samples are handed out as slices, and two producers would write
/// the same bytes. (Several threads share one mapping instead, by reference or by `Arc`.) One in another process is
/// [`MappingError::Claimed`], whatever way it came by the map. The claim ends with the mapping, or with the process, also
/// if it is killed. [`unclaimed`](Self::unclaimed) is for processes that share a ring on purpose.
///
/// The claim is advice, a lock of an open file description on a byte that stands for the map's id, and binds those who ask:
/// - Producers that take no claim, such as libbpf's, are not kept out. They are noticed when the next sample is reserved.
/// - Any process may lock that byte, also one that can't open the map. Then attaching is refused.
/// - It hangs on a descriptor that this crate opens at the first claim (an eventfd) and keeps open. A process that closes
///   descriptors it did not open (`close_range`) gives up its claims.
/// - A forked child holds the claims of its parent up, if that ends first, until the child executes a program, ends, or
///   maps a ring itself.
///
/// # Fork
/// A forked child inherits neither the memory (`MADV_DONTFORK`) nor the claim, so it can't harm its parent's ring. It may
/// execute a program, end, drop the mapping, and open and map rings of its own, that of its parent included once the
/// parent has given it up. It must not use the parent's producers and samples: reading and writing the ring through them
/// faults (SIGSEGV), or hits what the child has mapped there since. That holds for dropping what is open in the ring too,
/// which would write to it: a [`DetachedSample`](crate::DetachedSample), a [`Lane`](crate::Lane), a sample of a
/// [`Shared`](crate::Shared) or of a lane; a child forgets those (`mem::forget`). Dropping a [`Producer`](crate::Producer),
/// a [`Shared`](crate::Shared), a [`Sample`](crate::Sample) or a [`Batch`](crate::Batch) touches no shared memory and does
/// no harm.
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
    consumer_page: Region,
    producer_and_data: Region,
    /// Given back last: once the memory is unmapped.
    claim: Option<Claim>,
}

// SAFETY: the mapping is shared memory that is not tied to a thread; all access to words goes through atomics, and the
// core hands out each stretch of payload once.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a user ring buffer for producing, and claims it. Needs the map's fd and no privilege.
    ///
    /// # Errors
    /// [`MappingError`]: claimed by another process ([`MappingError::Claimed`]), mapped for producing in this process
    /// already, too large for the address space, a 32-bit kernel, or what a system call answered. Nothing stays mapped
    /// or claimed then.
    pub fn new(map: &Map) -> Result<Self, MappingError> {
        let generation = Generation::current()?;
        let claim = Self::claim(map)?;
        let mut mapping = Self::without_claim(map)?;
        mapping.consumer_page.keep_from_children(generation)?;
        mapping.producer_and_data.keep_from_children(generation)?;
        mapping.claim = Some(claim);
        Ok(mapping)
    }

    /// Maps a user ring buffer for producing without a claim: for those who share a ring on purpose and take turns under a
    /// lock of their own, as libbpf's callers may. It neither refuses nor is refused.
    ///
    /// A turn begins by attaching a producer, or by having the one at hand read the positions anew, and ends when all that
    /// it reserved is submitted or discarded. In between no other producer of the ring reserves, submits or discards.
    ///
    /// Forked children inherit the memory: to them it is one more producer that takes its turns.
    ///
    /// # Errors
    /// As [`new`](Self::new), except that nothing is claimed.
    ///
    /// # Safety
    /// From the first reservation of a turn to its end, nobody else reserves from this ring, through any mapping of it in
    /// this process. Samples are handed out as slices of the shared memory: two producers of one process that don't take
    /// turns lend the same bytes twice. Nobody, in this process, writes to records that a producer on this mapping has
    /// outstanding. Other processes that break the turns can't break memory safety, only the ring: samples are overwritten,
    /// or every drain fails from then on.
    pub unsafe fn unclaimed(map: &Map) -> Result<Self, MappingError> {
        Self::without_claim(map)
    }

    /// Claims a ring without mapping it: for those who work on it through [`unclaimed`](Self::unclaimed) mappings, and want
    /// no other process to. It ends when it is dropped, and forked children do not inherit it.
    ///
    /// # Errors
    /// [`MappingError::Claimed`], [`MappingError::AlreadyMapped`] if this process has the claim already, and what a system
    /// call answered.
    pub fn claim(map: &Map) -> Result<Claim, MappingError> {
        let id = map.id();
        Claim::take(map.as_fd(), id, Generation::current()?).map_err(|refused| match refused {
            Refused::ByThisProcess => MappingError::AlreadyMapped { id },
            Refused::ByAnother => MappingError::Claimed { id, holder: claimant_of(id) },
            Refused::System(failed) => failed.into(),
        })
    }

    fn without_claim(map: &Map) -> Result<Self, MappingError> {
        let layout = region::Layout::of(map)?;
        let consumer_page = Region::map(map, &layout.consumer_page(), region::Access::Read)?;
        let producer_and_data = Region::map(map, &layout.producer_and_data(), region::Access::ReadWrite)?;
        Ok(Self {
            data: producer_and_data.at(layout.page()),
            producer_pos: producer_and_data.at(0).cast(),
            consumer_pos: consumer_page.at(0).cast(),
            size: layout.size(),
            has_producer: AtomicBool::new(false),
            consumer_page,
            producer_and_data,
            claim: None,
        })
    }

    /// This mapping with its addresses at hand: see [`MappingRef`].
    ///
    /// ```no_run
    /// use user_ringbuf_linux::{Map, Mapping, Producer};
    ///
    /// # fn dispatches() -> std::vec::IntoIter<[u8; 40]> { vec![].into_iter() }
    /// let mapping = Mapping::new(&Map::from_pin("/sys/fs/bpf/dispatch")?)?;
    /// let mut producer = Producer::attach(mapping.by_value())?;
    /// for dispatch in dispatches() {
    ///     producer.push(&dispatch)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn by_value(&self) -> MappingRef<'_> {
        MappingRef {
            data: self.data,
            producer_pos: self.producer_pos,
            consumer_pos: self.consumer_pos,
            size: self.size,
            has_producer: &self.has_producer,
            _mapping: PhantomData,
        }
    }
}

// SAFETY: by value or by reference it is the same ring, whose [`MappingRef`] keeps every obligation.
unsafe impl RingPositions for Mapping {
    #[inline(always)]
    fn size(&self) -> RingSize {
        self.size
    }

    #[inline(always)]
    fn load_consumer(&self) -> Position {
        self.by_value().load_consumer()
    }

    #[inline(always)]
    fn load_producer(&self, role: Role) -> Position {
        self.by_value().load_producer(role)
    }
}

// SAFETY: as above.
unsafe impl RingMemory for Mapping {
    type Word = AtomicU64;

    #[inline(always)]
    unsafe fn claim_producer(&self) -> bool {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().claim_producer() }
    }

    #[inline(always)]
    unsafe fn release_producer(&self) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().release_producer() };
    }

    #[inline(always)]
    unsafe fn read_header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().read_header(offset) }
    }

    #[inline(always)]
    unsafe fn publish_producer(&self, position: Position) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().publish_producer(position) };
    }

    #[inline(always)]
    unsafe fn write_header(&self, offset: u32, header: Header) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().write_header(offset, header) };
    }

    #[inline(always)]
    unsafe fn commit_header(&self, offset: u32, header: Header) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().commit_header(offset, header) };
    }

    #[inline(always)]
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().write_payload(offset, at, bytes) };
    }

    #[inline(always)]
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().fill_payload(offset, at, byte, len) };
    }

    #[inline(always)]
    fn new_word(&self, value: u64) -> AtomicU64 {
        self.by_value().new_word(value)
    }

    #[inline(always)]
    fn load_word(&self, word: &AtomicU64, role: Role) -> u64 {
        self.by_value().load_word(word, role)
    }

    #[inline(always)]
    fn store_word(&self, word: &AtomicU64, value: u64, role: Role) {
        self.by_value().store_word(word, value, role);
    }

    #[inline(always)]
    fn exchange_word(&self, word: &AtomicU64, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        self.by_value().exchange_word(word, current, new, role, found)
    }
}

// SAFETY: as above.
unsafe impl ContiguousMemory for Mapping {
    #[inline(always)]
    unsafe fn payload(&self, offset: u32) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.by_value().payload(offset) }
    }
}
