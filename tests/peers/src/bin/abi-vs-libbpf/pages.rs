//! A ring's pages, mapped by hand: to fill samples, to compare bytes, and to move positions.

use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use user_ringbuf_linux::Map;

#[derive(Debug)]
pub(crate) struct Pages {
    consumer: *mut u8,
    producer: *mut u8,
    page: usize,
    size: usize,
}

impl Pages {
    pub(crate) fn new(map: &Map) -> Result<Self> {
        let (page, size) = (page_size(), usize::try_from(map.size())?);
        let map_at = |len, prot, at| {
            // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use.
            unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, map, at) }.context("map the ring's pages")
        };
        let consumer = map_at(page, ProtFlags::READ, 0)?.cast();
        let producer = map_at(page + size, ProtFlags::READ | ProtFlags::WRITE, page as u64)?.cast();
        Ok(Self { consumer, producer, page, size })
    }

    pub(crate) fn consumer(&self) -> u64 {
        // SAFETY: the first word of a mapped page.
        unsafe { self.consumer.cast::<u64>().read_volatile() }
    }

    fn producer_pos(&self) -> &AtomicU64 {
        // SAFETY: the first word of a mapped page.
        unsafe { &*self.producer.cast::<AtomicU64>() }
    }

    pub(crate) fn producer(&self) -> u64 {
        self.producer_pos().load(Ordering::Acquire)
    }

    pub(crate) fn set_producer(&self, position: u64) {
        self.producer_pos().store(position, Ordering::Release);
    }

    /// Reads the ring's bytes. Calls take turns, so nothing writes meanwhile.
    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: mapped, and a copy of what the libraries write through other addresses.
        unsafe { slice::from_raw_parts(self.producer.add(self.page), self.size) }
    }

    /// Header and pad at this offset.
    pub(crate) fn header(&self, offset: u32) -> u64 {
        // SAFETY: below the size, and aligned.
        unsafe { self.producer.add(self.page + offset as usize).cast::<u64>().read_volatile() }
    }

    pub(crate) fn set_header(&self, offset: u32, header: u64) {
        // SAFETY: as in `header`.
        unsafe { self.producer.add(self.page + offset as usize).cast::<u64>().write_volatile(header) };
    }

    /// Fills `len` bytes of a sample with what `number` makes of their places.
    pub(crate) fn fill(&self, header: u32, len: u32, number: u64) {
        for at in 0..len as usize {
            let place = (header as usize + 8 + at) & (self.size - 1);
            let [low, ..] = (number ^ at as u64).to_le_bytes();
            // SAFETY: below the size.
            unsafe { self.producer.add(self.page + place).write(low) };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing points there any more.
        unsafe {
            let _ = munmap(self.consumer.cast(), self.page);
            let _ = munmap(self.producer.cast(), self.page + self.size);
        }
    }
}
