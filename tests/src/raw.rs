//! A ring's bytes through mappings of its own: written down from the kernel's layout, without our crates' help.
//!
//! Page 0 is the consumer's, page 1 the producer's, and the data follows twice in a row. What tests compare our
//! producer with, and how they play a foreign or broken one.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use user_ringbuf_linux::Map;

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
    consumer: NonNull<u8>,
    producer: NonNull<u8>,
    page: usize,
    size: usize,
}

// SAFETY: shared memory that is not tied to a thread, accessed through atomics only.
unsafe impl Send for RawRing {}
// SAFETY: as above.
unsafe impl Sync for RawRing {}

impl RawRing {
    /// Maps the ring for reading and writing.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn new(map: &Map) -> Self {
        let page = rustix::param::page_size();
        let size = usize::try_from(map.size()).expect("a ring fits the address space");
        let at = |len, prot, offset: usize| {
            // SAFETY: the kernel chooses the place.
            let start = unsafe {
                mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, map.as_fd(), u64_of(offset)).expect("mmap")
            };
            NonNull::new(start.cast()).expect("no mapping begins at 0")
        };
        let consumer = at(page, ProtFlags::READ, 0);
        let producer = at(page + 2 * size, ProtFlags::READ | ProtFlags::WRITE, page);
        Self { consumer, producer, page, size }
    }

    /// Bytes in the data area.
    pub fn size(&self) -> usize {
        self.size
    }

    /// `consumer_pos`, acquired from the kernel's release store.
    pub fn consumer_pos(&self) -> u64 {
        // SAFETY: the position is the first word of the mapped page.
        unsafe { self.consumer.cast::<AtomicU64>().as_ref() }.load(Ordering::Acquire)
    }

    /// `producer_pos`, acquired from the producer's release store.
    pub fn producer_pos(&self) -> u64 {
        self.producer_word().load(Ordering::Acquire)
    }

    /// Stores `producer_pos` with release, as a producer does.
    pub fn set_producer_pos(&self, position: u64) {
        self.producer_word().store(position, Ordering::Release);
    }

    fn producer_word(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of the mapped page.
        unsafe { self.producer.cast::<AtomicU64>().as_ref() }
    }

    /// Bytes of the producer page behind the position: the kernel's own.
    pub fn rest_of_producer_page(&self) -> Vec<u8> {
        let from = size_of::<u64>();
        // SAFETY: within the mapped page; what is read is copied byte by byte, atomically.
        (from..self.page)
            .map(|at| unsafe { self.producer.add(at).cast::<std::sync::atomic::AtomicU8>().as_ref() })
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect()
    }

    /// The 32-bit word at `offset` of the doubled data area: a multiple of 4 below twice the ring's size.
    ///
    /// # Panics
    /// If it is not.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % 4 == 0 && offset < 2 * self.size, "{offset}");
        // SAFETY: within the mapping, which lives as long as `self`, and aligned: just checked.
        unsafe { self.producer.add(self.page + offset).cast().as_ref() }
    }

    /// `len` bytes from `offset` of the doubled data area on.
    ///
    /// # Panics
    /// If they don't lie within it.
    pub fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        let first = offset - offset % 4;
        let words = (first..(offset + len).next_multiple_of(4)).step_by(4);
        let bytes = words.flat_map(|at| self.word(at).load(Ordering::Relaxed).to_ne_bytes());
        bytes.skip(offset - first).take(len).collect()
    }

    /// Where `position` lies in the data area.
    pub fn offset(&self, position: u64) -> usize {
        usize::try_from(position % u64_of(self.size)).expect("below the size")
    }

    /// Stores the length word of the header at `position` with release.
    pub fn set_header(&self, position: u64, word: u32) {
        self.word(self.offset(position)).store(word, Ordering::Release);
    }

    /// Writes a record of `sample` at `position`, with these flag bits, as a producer of another make would. Publishes
    /// nothing, and answers where the record ends.
    pub fn write_record(&self, position: u64, bits: u32, sample: &[u8]) -> u64 {
        let offset = self.offset(position);
        for (at, word) in sample.chunks(4).enumerate() {
            let mut padded = [0; 4];
            padded[..word.len()].copy_from_slice(word);
            self.word(offset + 8 + 4 * at).store(u32::from_ne_bytes(padded), Ordering::Relaxed);
        }
        self.word(offset + 4).store(0, Ordering::Relaxed);
        let len = u32::try_from(sample.len()).expect("a sample is shorter than a ring");
        self.set_header(position, len | bits);
        position + extent(len)
    }

    /// The records from `consumer_pos` to `producer_pos`, walked as the kernel does.
    ///
    /// # Panics
    /// If a record reaches beyond `producer_pos`.
    pub fn records(&self) -> Vec<RawRecord> {
        self.records_from(self.consumer_pos())
    }

    /// The records from `position` to `producer_pos`: the bytes of those that were consumed stand there until they are
    /// overwritten.
    ///
    /// # Panics
    /// If a record reaches beyond `producer_pos`.
    pub fn records_from(&self, mut position: u64) -> Vec<RawRecord> {
        let end = self.producer_pos();
        let mut records = Vec::new();
        while position != end {
            let offset = self.offset(position);
            // Pairs with the release store that commits the header.
            let word = self.word(offset).load(Ordering::Acquire);
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

impl Drop for RawRing {
    fn drop(&mut self) {
        // SAFETY: both were mapped by `new` with these lengths, and nothing borrows them.
        unsafe {
            let _ = munmap(self.consumer.as_ptr().cast(), self.page);
            let _ = munmap(self.producer.as_ptr().cast(), self.page + 2 * self.size);
        }
    }
}

/// Bytes that a record takes: an 8-byte header, the sample, padding up to a multiple of 8.
pub fn extent(len: u32) -> u64 {
    (u64::from(len) + 8).next_multiple_of(8)
}

fn u64_of(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("no address space is larger")
}
