//! A ring written by hand, header by header, so that the drain is tested without our own producer.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use user_ringbuf_linux::Map;

pub(crate) const BUSY: u32 = 1 << 31;
pub(crate) const DISCARD: u32 = 1 << 30;

/// The mapped ring.
pub(crate) struct RawRing {
    consumer: NonNull<u8>,
    producer: NonNull<u8>,
    page: usize,
    size: usize,
    /// Where the next record goes: ahead of the producer position until `publish`.
    pub(crate) next: u64,
}

// SAFETY: plain shared memory.
unsafe impl Send for RawRing {}

impl RawRing {
    pub(crate) fn new(map: &Map) -> Self {
        let page = rustix::param::page_size();
        let size = usize::try_from(map.size()).unwrap();
        let map_at = |len, prot, offset: usize| {
            let offset = u64::try_from(offset).unwrap();
            // SAFETY: the kernel chooses the place.
            let start = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, map.as_fd(), offset) };
            NonNull::new(start.unwrap().cast()).unwrap()
        };
        let consumer = map_at(page, ProtFlags::READ, 0);
        let producer = map_at(page + 2 * size, ProtFlags::READ | ProtFlags::WRITE, page);
        let mut ring = Self { consumer, producer, page, size, next: 0 };
        ring.next = ring.producer_pos();
        ring
    }

    fn position(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of the mapped producer page.
        unsafe { self.producer.cast::<AtomicU64>().as_ref() }
    }

    pub(crate) fn producer_pos(&self) -> u64 {
        self.position().load(Ordering::Relaxed)
    }

    /// Pairs with the acquire load of the producer position in the kernel's drain.
    pub(crate) fn set_producer_pos(&self, position: u64) {
        self.position().store(position, Ordering::Release);
    }

    /// Pairs with the release store of the consumer position in the kernel's drain.
    pub(crate) fn consumer_pos(&self) -> u64 {
        // SAFETY: the position is the first word of the mapped consumer page.
        unsafe { self.consumer.cast::<AtomicU64>().as_ref() }.load(Ordering::Acquire)
    }

    fn data(&self, position: u64) -> *mut u8 {
        let offset = usize::try_from(position % u64::try_from(self.size).unwrap()).unwrap();
        // SAFETY: within the first copy of the data, which lies behind the producer page.
        unsafe { self.producer.as_ptr().add(self.page + offset) }
    }

    /// Writes a header word at a position.
    pub(crate) fn header(&self, position: u64, len: u32) {
        assert_eq!(position % 8, 0);
        // SAFETY: aligned, within the data.
        let word = unsafe { AtomicU32::from_ptr(self.data(position).cast()) };
        // Pairs with the acquire load of the header in the kernel's peek.
        word.store(len, Ordering::Release);
    }

    /// Writes a record of `bits` and `sample` behind the last and returns its position. Nothing is published.
    pub(crate) fn write(&mut self, bits: u32, sample: &[u8]) -> u64 {
        let len = u32::try_from(sample.len()).unwrap();
        assert!(sample.len() + 8 <= self.size);
        let at = self.next;
        // SAFETY: the data is mapped twice in a row, so that a record of the ring's size is contiguous.
        unsafe {
            std::ptr::copy_nonoverlapping(sample.as_ptr(), self.data(at).add(8), sample.len());
        };
        self.header(at, len | bits);
        self.next = at + (u64::from(len) + 8).next_multiple_of(8);
        at
    }

    /// Makes all written records visible.
    pub(crate) fn publish(&self) {
        self.set_producer_pos(self.next);
    }

    /// Writes and publishes.
    pub(crate) fn send(&mut self, sample: &[u8]) {
        self.write(0, sample);
        self.publish();
    }

    /// The free bytes, records not yet published counted as used.
    pub(crate) fn free(&self) -> usize {
        self.size - usize::try_from(self.next - self.consumer_pos()).unwrap()
    }
}

impl Drop for RawRing {
    fn drop(&mut self) {
        // SAFETY: both were mapped by `new` with these lengths, and nothing borrows them.
        unsafe {
            munmap(self.consumer.as_ptr().cast(), self.page).unwrap();
            munmap(self.producer.as_ptr().cast(), self.page + 2 * self.size).unwrap();
        }
    }
}
