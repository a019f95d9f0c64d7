//! A ring on the heap, of any size and on any platform: without a mapping, and so without slices.
//!
//! Every byte of the data area lies in an atomic word, so whatever a test does from however many threads, there is no
//! data race in the language's sense: at worst a sample holds garbage. A sample that passes the end of the area is
//! copied in two parts. Invariant: `words` are `size / 4` words.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use user_ringbuf_core::{HEADER_LEN, Header, Position, RingId, RingMemory, RingPositions, RingSize, RingView, Role};

use super::positions::Positions;
use super::{BeyondRing, KernelMemory, MemoryError, RawAccess, RingImage, Unsliced, WrongSize, ring_id_at};

/// Bytes in a word of the data area.
const WORD: usize = 4;

/// A simulated ring on the heap: any ring size from 8 bytes to 2 GiB, any platform.
///
/// Its samples are written through [`Payload::write`](user_ringbuf_core::Payload::write), not as slices.
///
/// ```
/// use user_ringbuf_sim::{FakeKernel, HeapMemory, Producer};
///
/// let memory = HeapMemory::new(64)?;
/// let mut producer = Producer::attach(&memory)?;
/// producer.push(b"sample")?;
///
/// let (drained, samples) = FakeKernel::new(&memory).collect(0);
/// assert_eq!(drained.returned, Ok(1));
/// assert_eq!(samples, [b"sample"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HeapMemory {
    size: RingSize,
    positions: Positions,
    words: Box<[AtomicU32]>,
}

impl HeapMemory {
    /// An empty ring of `bytes`, a power of two from 8 to 2^31.
    ///
    /// # Errors
    /// [`MemoryError::Size`] for other sizes, [`MemoryError::TooLarge`] if the heap has no room.
    pub fn new(bytes: u64) -> Result<Self, MemoryError> {
        let size = RingSize::new(bytes)?;
        let count = size.bytes() as usize / WORD;
        let mut words = Vec::new();
        words.try_reserve_exact(count).map_err(|_| MemoryError::TooLarge { bytes })?;
        words.resize_with(count, || AtomicU32::new(0));
        Ok(Self { size, positions: Positions::default(), words: words.into_boxed_slice() })
    }

    /// Stores `producer_pos`: any value.
    pub fn set_producer(&self, position: u64) {
        self.positions.set_producer(position);
    }

    /// Stores `consumer_pos`: any value, also one that no kernel stores.
    pub fn set_consumer(&self, position: u64) {
        self.positions.kernel_store_consumer(position);
    }

    /// Writes `bytes` from `offset` of the data area on, across its end if need be.
    ///
    /// # Errors
    /// [`BeyondRing`] if `offset` is not below the ring's size, or `bytes` are more than that size.
    pub fn write_raw(&self, offset: u32, bytes: &[u8]) -> Result<(), BeyondRing> {
        BeyondRing::check(self.size, offset, bytes.len())?;
        self.write_bytes(offset as usize, bytes.iter().copied());
        Ok(())
    }

    /// The word at `at`, counted from the area's beginning across its end.
    #[inline]
    fn word(&self, at: usize) -> &AtomicU32 {
        // Lengths are powers of two, so this is the index modulo the length; an index out of range can't come of it.
        &self.words[(at / WORD) & (self.words.len() - 1)]
    }

    /// Writes bytes from `at` on, unordered: whatever makes them visible orders them.
    fn write_bytes(&self, mut at: usize, bytes: impl IntoIterator<Item = u8>) {
        let mut bytes = bytes.into_iter().peekable();
        while bytes.peek().is_some() {
            let word = self.word(at);
            // The bytes around belong to the same record, so nothing else writes them meanwhile.
            let mut value = word.load(Ordering::Relaxed).to_ne_bytes();
            for (byte, new) in value[at % WORD..].iter_mut().zip(&mut bytes) {
                *byte = new;
            }
            word.store(u32::from_ne_bytes(value), Ordering::Relaxed);
            at += WORD - at % WORD;
        }
    }

    /// Appends `len` bytes from `at` on.
    fn read_bytes(&self, at: usize, len: usize, into: &mut Vec<u8>) {
        into.reserve(len);
        let end = at + len;
        let mut at = at;
        while at < end {
            let inside = at % WORD;
            let count = (WORD - inside).min(end - at);
            let value = self.word(at).load(Ordering::Relaxed).to_ne_bytes();
            into.extend_from_slice(&value[inside..inside + count]);
            at += count;
        }
    }
}

/// Where the sample of the record at `offset` begins, not yet taken modulo the size.
fn sample_at(offset: u32, at: u32) -> usize {
    offset as usize + HEADER_LEN as usize + at as usize
}

#[expect(unsafe_code, reason = "the seam's traits are unsafe to implement")]
mod seam {
    use super::*;

    // SAFETY: 1. `size` is never written. 2. Every access goes through `words`, whose bounds are checked, or
    // `positions`, with the ordering of its role. 3. There are no clones; a reference is the same ring.
    unsafe impl RingPositions for HeapMemory {
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

    // SAFETY: 1. All words are atomic. 2. As above.
    unsafe impl RingView for HeapMemory {
        #[inline]
        unsafe fn load_header(&self, offset: u32) -> Header {
            // Pairs with the release store that commits a header: commit-header.
            let ordering = Role::ObserveHeader.ordering();
            Header::from_word(self.word(offset as usize).load(ordering))
        }
    }

    // SAFETY: 1. Writes go through `words` modulo the size, so to the bytes named and nowhere else. 2. As for the
    // loads. 3. All words are atomic. 4, 5. One acquire swap decides who has the claim, and a release store
    // ends it.
    unsafe impl RingMemory for HeapMemory {
        type Word = AtomicU64;

        fn ring_id(&self) -> RingId {
            ring_id_at(self.words.as_ptr())
        }

        unsafe fn claim_producer(&self) -> bool {
            self.positions.claim_producer()
        }

        unsafe fn release_producer(&self) {
            self.positions.release_producer();
        }

        unsafe fn read_header(&self, offset: u32) -> Header {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.load_header(offset) }
        }

        #[inline]
        unsafe fn publish_producer(&self, position: Position) {
            self.positions.publish_producer(position);
        }

        #[inline]
        unsafe fn write_header(&self, offset: u32, header: Header) {
            self.write_bytes(offset as usize, header.with_pad().to_ne_bytes());
        }

        #[inline]
        unsafe fn commit_header(&self, offset: u32, header: Header) {
            // Pairs with the acquire load in `kernel_load_header`, and in `load_header`.
            let ordering = Role::CommitHeader.ordering();
            self.word(offset as usize).store(header.word(), ordering);
        }

        #[inline]
        unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
            self.write_bytes(sample_at(offset, at), bytes.iter().copied());
        }

        #[inline]
        unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
            self.write_bytes(sample_at(offset, at), (0..len).map(|_| byte));
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

    impl RawAccess for HeapMemory {
        fn view(&self) -> impl RingView {
            self
        }

        unsafe fn set_producer(&self, position: u64) {
            HeapMemory::set_producer(self, position);
        }

        unsafe fn set_consumer(&self, position: u64) {
            HeapMemory::set_consumer(self, position);
        }

        unsafe fn write_raw(&self, offset: u32, bytes: &[u8]) -> Result<(), BeyondRing> {
            HeapMemory::write_raw(self, offset, bytes)
        }

        fn snapshot(&self) -> RingImage {
            let words = self.words.iter().map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
            let data = words.collect::<Vec<_>>().concat();
            let (consumer, producer) = (self.kernel_load_consumer(), self.kernel_load_producer());
            RingImage::from_bytes(self.size, consumer, producer, &data)
        }

        fn restore(&mut self, image: &RingImage) -> Result<(), WrongSize> {
            WrongSize::check(image, self.size)?;
            self.write_bytes(0, image.data().iter().copied());
            HeapMemory::set_consumer(self, image.consumer);
            HeapMemory::set_producer(self, image.producer);
            self.positions.end_drain();
            Ok(())
        }
    }

    // SAFETY: 1. Every byte of the area lies in an atomic word, and every index is checked. 2. It is no
    // `ContiguousMemory`, and nothing else has its words.
    unsafe impl Unsliced for HeapMemory {}

    // SAFETY: 1. Bounds are checked, and one exchange decides who drains. 2. All words are atomic. 3. There are no clones.
    unsafe impl KernelMemory for HeapMemory {
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
            Header::from_word(self.word(offset as usize & !7).load(Ordering::Acquire))
        }

        fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
            into.clear();
            self.read_bytes(sample_at(offset, 0), len.min(self.size.bytes() - HEADER_LEN) as usize, into);
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
}
