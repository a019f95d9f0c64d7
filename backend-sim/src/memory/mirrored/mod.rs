//! A ring mapped twice in a row, as the kernel maps it: a record that passes the end of the area is contiguous.
//!
//! One memfd holds the data area. It is mapped for the producer, twice in a row, and once more the same way for the
//! fake kernel and for raw access: so the kernel's side never touches an address that a sample's slice stands for,
//! as with a real kernel. Invariants: both mappings are `2 * size` bytes, readable and writable, and live as long as
//! the value. Kernel counterpart: the double mapping of the data pages in `bpf_ringbuf_area_alloc`.

mod mapping;

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::AsFd;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use user_ringbuf_core::{
    ContiguousMemory, HEADER_LEN, Header, Position, RingId, RingMemory, RingPositions, RingSize, RingView, Role,
};

use super::positions::Positions;
use super::{BeyondRing, KernelMemory, MemoryError, RawAccess, RingImage, WrongSize, ring_id_at};
use mapping::{Mirror, system};

/// A simulated ring whose samples are slices, as on the real map. Linux only; elsewhere take a
/// [`HeapMemory`](super::HeapMemory).
///
/// As for the real map, the size is a power of two and a multiple of the page size.
///
/// ```
/// use user_ringbuf_sim::{FakeKernel, SimMemory, Producer};
///
/// let memory = SimMemory::new(65536)?;
/// let mut producer = Producer::attach(&memory)?;
/// let mut sample = producer.reserve(5)?;
/// sample.copy_from_slice(b"bytes");
/// sample.submit();
///
/// let (drained, samples) = FakeKernel::new(&memory).collect(0);
/// assert_eq!(drained.returned, Ok(1));
/// assert_eq!(samples, [b"bytes"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Slices are exclusive, so nothing safe may give a sample's bytes away while it lives. Whoever wants to store positions
/// that no kernel stores, to lose stores or to plant a fault takes a [`HeapMemory`](super::HeapMemory), which has no
/// slices; here it is unsafe, or does not compile:
///
/// ```compile_fail,E0133
/// # use user_ringbuf_sim::{RawAccess, SimMemory};
/// # fn show(memory: &SimMemory) {
/// memory.set_consumer(4096);
/// # }
/// ```
/// ```compile_fail,E0133
/// # use user_ringbuf_sim::{RawAccess, SimMemory};
/// # fn show(memory: &SimMemory) {
/// memory.set_producer(4096);
/// # }
/// ```
/// ```compile_fail,E0133
/// # use user_ringbuf_sim::{KernelMemory, SimMemory};
/// # fn show(memory: &SimMemory) {
/// memory.kernel_store_consumer(4096);
/// # }
/// ```
/// ```compile_fail,E0133
/// # use user_ringbuf_sim::{KernelMemory, SimMemory};
/// # fn show(memory: &SimMemory) {
/// memory.kernel_end_drain();
/// # }
/// ```
/// ```compile_fail,E0277
/// # use user_ringbuf_sim::{Fate, Hooked, SimMemory, Step};
/// # fn show(memory: &SimMemory) {
/// let hooked = Hooked::new(memory, |_: Step| Fate::IsLost);
/// # }
/// ```
/// Nor can an observer walk the headers that a producer is writing; it takes a [`view`](Self::view):
/// ```compile_fail,E0277
/// # use user_ringbuf_sim::{SimMemory, Survey};
/// # fn show(memory: &SimMemory) {
/// let survey = Survey::of(memory);
/// # }
/// ```
#[derive(Debug)]
pub struct SimMemory {
    size: RingSize,
    positions: Positions,
    producer_side: Mirror,
    kernel_side: Mirror,
}

impl SimMemory {
    /// An empty ring of `bytes`.
    ///
    /// # Errors
    /// [`MemoryError::Size`] unless `bytes` is a power of two up to 2^31, [`MemoryError::NotWholePages`] if it is
    /// smaller than a page, [`MemoryError::TooLarge`] and [`MemoryError::System`] if there is no such memory.
    pub fn new(bytes: u64) -> Result<Self, MemoryError> {
        let size = RingSize::new(bytes)?;
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
        if bytes % page != 0 {
            return Err(MemoryError::NotWholePages { bytes, page });
        }
        let area = memfd_create("user-ringbuf-sim", MemfdFlags::CLOEXEC).map_err(system("memfd_create"))?;
        ftruncate(&area, bytes).map_err(system("ftruncate"))?;
        let producer_side = Mirror::twice(area.as_fd(), size)?;
        let kernel_side = Mirror::twice(area.as_fd(), size)?;
        Ok(Self { size, positions: Positions::default(), producer_side, kernel_side })
    }

    /// The ring for observers, beside its producer.
    pub fn view(&self) -> SimView<'_> {
        SimView(self)
    }

    /// Bytes before the end of the area, for a stretch that begins at `offset`.
    fn mask(&self, offset: u32) -> u32 {
        offset & (self.size.bytes() - 1)
    }

    /// Copies `len` bytes from `offset` on, as the kernel sees them, and no more than the area has.
    fn read(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
        let len = len.min(self.size.bytes()) as usize;
        into.clear();
        into.reserve(len);
        // SAFETY: the offset is below the size and the length at most the size, so the stretch lies in the double
        // mapping; `into` has just got room for it. No slice stands for the kernel's side of the mapping.
        unsafe {
            ptr::copy_nonoverlapping(self.kernel_side.at(self.mask(offset)), into.as_mut_ptr(), len);
            into.set_len(len);
        }
    }
}

// SAFETY: 1. `size` is never written. 2. Callers keep offsets below the size, and orderings are those of the role. 3.
// There are no clones; a reference is the same ring.
unsafe impl RingPositions for SimMemory {
    #[inline(always)]
    fn size(&self) -> RingSize {
        self.size
    }

    #[inline]
    fn load_consumer(&self) -> Position {
        self.positions.load_consumer()
    }

    #[inline]
    fn load_producer(&self, role: Role) -> Position {
        self.positions.load_producer(role)
    }
}

/// A simulated ring for observers: through the kernel's side of it, where no producer writes.
#[derive(Clone, Copy, Debug)]
pub struct SimView<'m>(&'m SimMemory);

// SAFETY: the memory keeps each obligation.
unsafe impl RingPositions for SimView<'_> {
    fn size(&self) -> RingSize {
        self.0.size
    }

    fn load_consumer(&self) -> Position {
        self.0.load_consumer()
    }

    fn load_producer(&self, role: Role) -> Position {
        self.0.load_producer(role)
    }
}

// SAFETY: 1. Nothing writes through the kernel's side but `write_raw`, whose callers keep others out. 2. The caller keeps
// the offset below the size, and the ordering is that of the role.
unsafe impl RingView for SimView<'_> {
    unsafe fn load_header(&self, offset: u32) -> Header {
        // Pairs with the release store that commits a header: commit-header.
        let ordering = Role::ObserveHeader.ordering();
        // SAFETY: the caller's promise is passed on.
        Header::from_word(unsafe { self.0.kernel_side.word(offset) }.load(ordering))
    }
}

// SAFETY: 1. Callers name bytes of the data area, and what passes its end lands in the second mapping, which is the
// beginning of the first. 2. As for the loads. 3. `write_raw` is the one other way to write, and unsafe for it. 4,
// 5. One acquire swap decides who has the claim, and a release store ends it.
unsafe impl RingMemory for SimMemory {
    type Word = AtomicU64;

    #[inline(always)]
    fn ring_id(&self) -> RingId {
        ring_id_at(self.producer_side.base)
    }

    unsafe fn claim_producer(&self) -> bool {
        self.positions.claim_producer()
    }

    unsafe fn release_producer(&self) {
        self.positions.release_producer();
    }

    #[inline]
    unsafe fn read_header(&self, offset: u32) -> Header {
        // Pairs with the release store that commits a header: commit-header.
        let ordering = Role::ObserveHeader.ordering();
        // SAFETY: the caller's promise is passed on.
        Header::from_word(unsafe { self.producer_side.word(offset) }.load(ordering))
    }

    #[inline]
    unsafe fn publish_producer(&self, position: Position) {
        self.positions.publish_producer(position);
    }

    #[inline]
    unsafe fn write_header(&self, offset: u32, header: Header) {
        // SAFETY: within the data area and the caller's own, by the caller's promise; offset and area are 8-aligned. A
        // kernel that was misled by a damaged ring looks at another address.
        unsafe { self.producer_side.at(offset).cast::<u64>().write(header.with_pad()) };
    }

    #[inline]
    unsafe fn commit_header(&self, offset: u32, header: Header) {
        // Pairs with the acquire load in `kernel_load_header`, and in `load_header`.
        let ordering = Role::CommitHeader.ordering();
        // SAFETY: the caller's promise is passed on.
        unsafe { self.producer_side.word(offset) }.store(header.word(), ordering);
    }

    #[inline]
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        // SAFETY: the caller owns the bytes written, which lie in a record no larger than the ring: so within the
        // double mapping, where `bytes`, memory of this process, can't lie too.
        unsafe {
            let sample = self.payload(offset).add(at as usize);
            ptr::copy_nonoverlapping(bytes.as_ptr(), sample, bytes.len());
        }
    }

    #[inline]
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        // SAFETY: as in `write_payload`.
        unsafe { ptr::write_bytes(self.payload(offset).add(at as usize), byte, len as usize) };
    }

    fn new_word(&self, value: u64) -> AtomicU64 {
        AtomicU64::new(value)
    }

    #[inline]
    fn load_word(&self, word: &AtomicU64, role: Role) -> u64 {
        self.positions.load_word(word, role)
    }

    #[inline]
    fn store_word(&self, word: &AtomicU64, value: u64, role: Role) {
        self.positions.store_word(word, value, role);
    }

    #[inline]
    fn exchange_word(&self, word: &AtomicU64, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        self.positions.exchange_word(word, current, new, role, found)
    }
}

// SAFETY: 1. A record is no larger than the ring and begins within the first mapping, so it lies within both. 2. The
// writes above go through the same pointer. 3. What else stores a position is unsafe to call.
// 4. The area begins on a page.
unsafe impl ContiguousMemory for SimMemory {
    #[inline(always)]
    unsafe fn payload(&self, offset: u32) -> *mut u8 {
        // SAFETY: the caller keeps the offset below the size, so the header lies in the first mapping.
        unsafe { self.producer_side.at(offset).add(HEADER_LEN as usize) }
    }
}

// SAFETY: 1. Offsets are masked, and one exchange decides who drains. 2. Through the kernel's side nothing writes but
// `write_raw`, whose callers keep others out. 3. There are no clones.
unsafe impl KernelMemory for SimMemory {
    fn size(&self) -> RingSize {
        self.size
    }

    fn kernel_ring_id(&self) -> RingId {
        RingMemory::ring_id(self)
    }

    fn kernel_load_producer(&self) -> u64 {
        self.positions.kernel_load_producer()
    }

    fn kernel_load_consumer(&self) -> u64 {
        self.positions.kernel_load_consumer()
    }

    fn kernel_load_header(&self, offset: u32) -> Header {
        // Pairs with the producer's release store: commit-header.
        // SAFETY: masked below the size and to a multiple of 8.
        Header::from_word(unsafe { self.kernel_side.word(self.mask(offset) & !7) }.load(Ordering::Acquire))
    }

    fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
        self.read(offset.wrapping_add(HEADER_LEN), len.min(self.size.bytes() - HEADER_LEN), into);
    }

    unsafe fn kernel_store_consumer(&self, position: u64) {
        self.positions.kernel_store_consumer(position);
    }

    fn kernel_begin_drain(&self) -> bool {
        self.positions.begin_drain()
    }

    unsafe fn kernel_end_drain(&self) {
        self.positions.end_drain();
    }
}

impl RawAccess for SimMemory {
    fn view(&self) -> impl RingView {
        SimMemory::view(self)
    }

    unsafe fn set_producer(&self, position: u64) {
        self.positions.set_producer(position);
    }

    unsafe fn set_consumer(&self, position: u64) {
        self.positions.kernel_store_consumer(position);
    }

    unsafe fn write_raw(&self, offset: u32, bytes: &[u8]) -> Result<(), BeyondRing> {
        BeyondRing::check(self.size, offset, bytes.len())?;
        // SAFETY: checked just now to begin in the first mapping and to be no longer than it; no slice stands for
        // these bytes, by the caller's promise.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.kernel_side.at(offset), bytes.len()) };
        Ok(())
    }

    fn snapshot(&self) -> RingImage {
        let mut data = Vec::new();
        self.read(0, self.size.bytes(), &mut data);
        let (consumer, producer) = (self.kernel_load_consumer(), self.kernel_load_producer());
        RingImage::from_bytes(self.size, consumer, producer, &data)
    }

    fn restore(&mut self, image: &RingImage) -> Result<(), WrongSize> {
        WrongSize::check(image, self.size)?;
        // SAFETY: `&mut self`, so there is no sample of this ring. The image has the ring's size.
        let _ = unsafe { self.write_raw(0, image.data()) };
        self.positions.kernel_store_consumer(image.consumer);
        self.positions.set_producer(image.producer);
        self.positions.end_drain();
        Ok(())
    }
}
