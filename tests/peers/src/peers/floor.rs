//! The floor: the plain stores that any producer of this protocol must do, and nothing else.
//!
//! No checks, no room, no lengths that could be wrong: only for a ring that is known to have room for the burst.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use user_ringbuf_linux::{BUSY_BIT, Map};

use crate::rounds::Contender;

/// The ring's producer page and doubled data area, mapped once more.
#[derive(Debug)]
pub(crate) struct FloorPages {
    start: *mut u8,
    len: usize,
    mask: u64,
    position: u64,
}

impl FloorPages {
    pub(crate) fn new(map: &Map) -> Result<Self> {
        let page = page_size();
        let len = page + 2 * usize::try_from(map.size())?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, map, u64::try_from(page)?) }
            .context("map the ring for the floor")?;
        ensure!(!start.is_null(), "mmap answered null");
        Ok(Self { start: start.cast(), len, mask: u64::from(map.size()) - 1, position: 0 })
    }

    fn producer_pos(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of the producer page, mapped as long as `self` lives.
        unsafe { &*self.start.cast::<AtomicU64>() }
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: the data area begins one page into the mapping.
        unsafe { self.start.add(self.len - 2 * usize::try_from(self.mask + 1).unwrap_or(0)) }
    }

    /// Publishes `count` samples of `len` bytes, of which `fill` writes what the case asks for.
    ///
    /// # Safety
    /// The ring has room for them, nothing else produces, and `fill` writes `len` bytes at most where it is told.
    #[inline(always)]
    pub(crate) unsafe fn publish(&mut self, len: u32, count: u64, mut fill: impl FnMut(*mut u8)) {
        let (data, mask) = (self.data(), self.mask);
        let extent = u64::from((len + 15) & !7);
        let mut position = self.position;
        let producer_pos = self.producer_pos();
        for _ in 0..count {
            // SAFETY: the offset lies within the data area, and its copy follows.
            unsafe {
                let record = data.add(usize::try_from(position & mask).unwrap_unchecked());
                record.cast::<u64>().write(u64::from(len));
                fill(record.add(8));
            }
            position += extent;
            // Pairs with the kernel's acquire load of producer_pos.
            producer_pos.store(position, Ordering::Release);
        }
        self.position = position;
    }

    /// Publishes `OUTSTANDING` busy records at a time and commits them in reverse; each begins with its number.
    ///
    /// # Safety
    /// As for [`publish`](Self::publish); the samples have 8 bytes or more.
    #[inline(always)]
    pub(crate) unsafe fn publish_in_reverse<const OUTSTANDING: usize>(&mut self, len: u32, mut numbers: Range<u64>) {
        let (data, mask) = (self.data(), self.mask);
        let extent = u64::from((len + 15) & !7);
        let mut position = self.position;
        let producer_pos = self.producer_pos();
        let mut records = [ptr::null_mut::<u8>(); OUTSTANDING];
        while !numbers.is_empty() {
            let mut count = 0;
            for (place, number) in records.iter_mut().zip(numbers.by_ref()) {
                // SAFETY: the offset lies within the data area, and its copy follows.
                unsafe {
                    let record = data.add(usize::try_from(position & mask).unwrap_unchecked());
                    record.cast::<u64>().write(u64::from(len | BUSY_BIT));
                    record.add(8).cast::<u64>().write(number);
                    *place = record;
                }
                position += extent;
                count += 1;
                // Pairs with the kernel's acquire load of producer_pos.
                producer_pos.store(position, Ordering::Release);
            }
            for record in records.iter().take(count).rev() {
                // SAFETY: a header of this loop, aligned. Pairs with the kernel's acquire load of it.
                unsafe { AtomicU32::from_ptr(record.cast()) }.store(len, Ordering::Release);
            }
        }
        self.position = position;
    }

    /// Writes `count` samples of `len` bytes, each at a place that it takes from `word`, which other threads take from as
    /// well: what any producer for many threads must do, and nothing else. Nothing is published.
    ///
    /// # Safety
    /// As for [`publish`](Self::publish), all threads together; the samples have 8 bytes or more.
    #[inline(always)]
    pub(crate) unsafe fn write_contended(&self, word: &AtomicU64, len: u32, numbers: Range<u64>) {
        let (data, mask) = (self.data(), self.mask);
        let extent = u64::from((len + 15) & !7);
        for number in numbers {
            let position = word.fetch_add(extent, Ordering::Relaxed);
            // SAFETY: the offset lies within the data area, and its copy follows; the place is this thread's.
            unsafe {
                let record = data.add(usize::try_from(position & mask).unwrap_unchecked());
                record.cast::<u64>().write(u64::from(len));
                record.add(8).cast::<u64>().write(number);
            }
        }
    }

    /// Publishes everything up to `position`.
    ///
    /// # Safety
    /// All records up to there are written, and nothing else produces.
    pub(crate) unsafe fn publish_up_to(&self, position: u64) {
        // Pairs with the kernel's acquire load of producer_pos.
        self.producer_pos().store(position, Ordering::Release);
    }

    /// Where the ring's records end.
    pub(crate) fn published(&self) -> u64 {
        // Relaxed: the position is compared with nothing, and the ring is empty.
        self.producer_pos().load(Ordering::Relaxed)
    }

    /// Does to the samples' bytes what [`publish`](Self::publish) does, and publishes nothing.
    ///
    /// # Safety
    /// As for [`publish`](Self::publish).
    #[inline(always)]
    pub(crate) unsafe fn only_fill(&mut self, len: u32, count: u64, mut fill: impl FnMut(*mut u8)) {
        let (data, mask) = (self.data(), self.mask);
        let extent = u64::from((len + 15) & !7);
        let mut position = self.position;
        for _ in 0..count {
            // SAFETY: as in `publish`.
            fill(unsafe { data.add(usize::try_from(position & mask).unwrap_unchecked()).add(8) });
            position += extent;
        }
    }
}

// SAFETY: the pages are shared memory; who writes where is the caller's promise (`write_contended`).
unsafe impl Sync for FloorPages {}

impl Drop for FloorPages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing points into it any more.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// The floor as a contender.
pub(crate) struct Floor<F> {
    name: &'static str,
    publishes: bool,
    pages: FloorPages,
    work: F,
}

impl<F: FnMut(&mut FloorPages, u64, u64)> Floor<F> {
    /// `work` publishes samples through [`FloorPages::publish`].
    pub(crate) fn new(map: &Map, work: F) -> Result<Self> {
        Ok(Self { name: "store floor", publishes: true, pages: FloorPages::new(map)?, work })
    }

    /// `work` writes bytes through [`FloorPages::only_fill`].
    pub(crate) fn memcpy(map: &Map, work: F) -> Result<Self> {
        Ok(Self { name: "memcpy", publishes: false, pages: FloorPages::new(map)?, work })
    }
}

impl<F: FnMut(&mut FloorPages, u64, u64)> Contender for Floor<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin(&mut self) -> Result<()> {
        self.pages.position = self.pages.published();
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        (self.work)(&mut self.pages, first, count);
        Ok(())
    }

    fn publishes(&self) -> bool {
        self.publishes
    }
}
