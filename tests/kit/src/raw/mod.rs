//! A ring's bytes through mappings of their own: written down from the kernel's layout, without our crates' help.
//!
//! Page 0 is the consumer's, page 1 the producer's, and the data area follows twice in a row. Tests compare our producer
//! with these bytes, and play a foreign or broken producer by writing them.
//!
//! Invariants: both mappings live as long as the value, and every access is atomic, because the kernel and other
//! mappings of this process access the same memory. Kernel counterpart: `ringbuf_map_mmap_user`.

mod producer;

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::objects::max_entries;

pub use producer::RawProducer;

/// Bit 31 of a header's length word.
pub const BUSY: u32 = 1 << 31;
/// Bit 30 of a header's length word.
pub const DISCARD: u32 = 1 << 30;

/// A record as its bytes stand in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Bytes from the beginning of all records to this one's header.
    pub position: u64,
    /// The header's first word: flags and length.
    pub word: u32,
    /// The header's second word.
    pub pad: u32,
    /// The sample's bytes.
    pub sample: Vec<u8>,
}

/// The mapped ring.
#[derive(Debug)]
pub struct RawRing {
    consumer: Stretch,
    producer: Stretch,
    page: usize,
    size: usize,
}

#[derive(Debug)]
struct Stretch {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: shared memory that is not tied to a thread, accessed through atomics only.
unsafe impl Send for Stretch {}
// SAFETY: as above.
unsafe impl Sync for Stretch {}

impl Stretch {
    fn map(map: impl AsFd, len: usize, prot: ProtFlags, offset: usize) -> Self {
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
        let start = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, map, u64_of(offset)) };
        let start = start.unwrap_or_else(|error| panic!("mmap of {len} bytes of the ring: {error}"));
        Self { start: NonNull::new(start.cast()).expect("no mapping begins at 0"), len }
    }

    fn position(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of the mapped page, and the mapping lives as long as `self`.
        unsafe { self.start.cast().as_ref() }
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        // SAFETY: `map` mapped it with this length, and nothing borrows it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

impl RawRing {
    /// Maps the ring for reading and writing.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn new(map: impl AsFd) -> Self {
        let page = rustix::param::page_size();
        let size = max_entries(&map).unwrap_or_else(|error| panic!("the ring's size: {error}"));
        let size = usize::try_from(size).expect("a ring fits the address space");
        let consumer = Stretch::map(&map, page, ProtFlags::READ, 0);
        let producer = Stretch::map(&map, page + 2 * size, ProtFlags::READ | ProtFlags::WRITE, page);
        Self { consumer, producer, page, size }
    }

    /// Bytes in the data area.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `consumer_pos`, acquired from the kernel's release store.
    pub fn consumer_pos(&self) -> u64 {
        self.consumer.position().load(Ordering::Acquire)
    }

    /// `producer_pos`, acquired from the producer's release store.
    pub fn producer_pos(&self) -> u64 {
        self.producer.position().load(Ordering::Acquire)
    }

    /// Stores `producer_pos` with release, as a producer does. Pairs with the acquire load in the kernel's peek.
    pub fn set_producer_pos(&self, position: u64) {
        self.producer.position().store(position, Ordering::Release);
    }

    /// `len` bytes from `offset` of the producer's mapping on.
    fn span(&self, offset: usize, len: usize) -> &[AtomicU8] {
        assert!(offset <= self.producer.len && len <= self.producer.len - offset, "{len} bytes from {offset} on");
        // SAFETY: within the mapping, as just checked, which lives as long as `self`; atomics may alias.
        unsafe { std::slice::from_raw_parts(self.producer.start.add(offset).cast().as_ptr(), len) }
    }

    /// Bytes of the producer page behind the position: the kernel's own.
    pub fn rest_of_producer_page(&self) -> Vec<u8> {
        loaded(self.span(size_of::<u64>(), self.page - size_of::<u64>()))
    }

    /// The 32-bit word at `offset` of the doubled data area: a multiple of 4 below twice the ring's size.
    ///
    /// # Panics
    /// If it is not.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0 && offset < 2 * self.size, "{offset}");
        // SAFETY: within the mapping, which lives as long as `self`, and aligned: just checked.
        unsafe { self.producer.start.add(self.page + offset).cast().as_ref() }
    }

    /// `len` bytes from `offset` of the doubled data area on.
    ///
    /// # Panics
    /// If they don't lie within it.
    pub fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        loaded(self.span(self.page + offset, len))
    }

    /// Where `position` lies in the data area.
    pub fn offset(&self, position: u64) -> usize {
        usize::try_from(position % u64_of(self.size)).expect("below the size")
    }

    /// Writes `bytes` at `position`, over the end of the data area if need be.
    ///
    /// # Panics
    /// If there are more of them than the ring has.
    pub fn write(&self, position: u64, bytes: &[u8]) {
        assert!(bytes.len() <= self.size, "{} bytes into a ring of {}", bytes.len(), self.size);
        let places = self.span(self.page + self.offset(position), bytes.len());
        for (place, byte) in places.iter().zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
    }

    /// The length word of the header at `position`, acquired from the release store that commits it.
    ///
    /// # Panics
    /// If the position is not a multiple of 4.
    pub fn header(&self, position: u64) -> u32 {
        self.word(self.offset(position)).load(Ordering::Acquire)
    }

    /// Stores the length word of the header at `position` with release. Pairs with the acquire load in the kernel's peek.
    ///
    /// # Panics
    /// If the position is not a multiple of 4.
    pub fn set_header(&self, position: u64, word: u32) {
        self.word(self.offset(position)).store(word, Ordering::Release);
    }

    /// Writes a record of `sample` at `position` with these flag bits, and returns where it ends. Publishes nothing.
    ///
    /// # Panics
    /// If the ring is smaller than the record.
    pub fn write_record(&self, position: u64, bits: u32, sample: &[u8]) -> u64 {
        self.write(position.wrapping_add(8), sample);
        self.word(self.offset(position) + 4).store(0, Ordering::Relaxed);
        let len = u32::try_from(sample.len()).expect("a sample is shorter than a ring");
        self.set_header(position, len | bits);
        position.wrapping_add(extent(len))
    }

    /// The records from `consumer_pos` to `producer_pos`, walked as the kernel does.
    ///
    /// # Panics
    /// If a record reaches beyond `producer_pos`.
    pub fn records(&self) -> Vec<RawRecord> {
        let (mut position, end) = (self.consumer_pos(), self.producer_pos());
        let mut records = Vec::new();
        while position != end {
            let (offset, word) = (self.offset(position), self.header(position));
            let pad = self.word(offset + 4).load(Ordering::Relaxed);
            let len = word & !(BUSY | DISCARD);
            assert!(extent(len) <= end - position, "{word:#x} at {position} reaches beyond {end}");
            let sample = self.bytes(offset + 8, usize::try_from(len).expect("shorter than the ring"));
            records.push(RawRecord { position, word, pad, sample });
            position += extent(len);
        }
        records
    }
}

fn loaded(places: &[AtomicU8]) -> Vec<u8> {
    places.iter().map(|place| place.load(Ordering::Relaxed)).collect()
}

/// Bytes that a record takes: an 8-byte header, the sample, padding up to a multiple of 8.
pub fn extent(len: u32) -> u64 {
    (u64::from(len) + 8).next_multiple_of(8)
}

fn u64_of(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("no address space is larger")
}
