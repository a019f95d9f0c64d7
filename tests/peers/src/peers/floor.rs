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
use crate::sources::{Sources, pick};

/// The name of whoever makes only the stores that must be made.
pub(crate) const FLOOR: &str = "store floor";

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

    /// Publishes `count` samples of `len` bytes, `BATCH` of them at once. `fill` writes what the case asks for.
    ///
    /// # Safety
    /// The ring has room for them, nothing else produces, and `fill` writes `len` bytes at most where it is told.
    #[inline(always)]
    pub(crate) unsafe fn publish<const BATCH: u64>(&mut self, len: u32, count: u64, mut fill: impl FnMut(*mut u8)) {
        let (data, mask) = (self.data(), self.mask);
        let extent = u64::from((len + 15) & !7);
        let mut position = self.position;
        let producer_pos = self.producer_pos();
        let mut left = count;
        while left > 0 {
            for _ in 0..left.min(BATCH) {
                // SAFETY: the offset lies within the data area, and its copy follows.
                unsafe {
                    let record = data.add(usize::try_from(position & mask).unwrap_unchecked());
                    record.cast::<u64>().write(u64::from(len));
                    fill(record.add(8));
                }
                position += extent;
            }
            // Pairs with the kernel's acquire load of producer_pos.
            producer_pos.store(position, Ordering::Release);
            left -= left.min(BATCH);
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
    pages: FloorPages,
    work: F,
}

impl<F: FnMut(&mut FloorPages, u64, u64)> Floor<F> {
    /// `work` publishes samples through [`FloorPages::publish`].
    pub(crate) fn new(map: &Map, work: F) -> Result<Self> {
        Ok(Self { pages: FloorPages::new(map)?, work })
    }
}

/// Whole samples of a known length in a loop, `BATCH` of them shown at once.
pub(crate) fn whole<const LEN: usize, const BATCH: u64>(map: &Map) -> Result<Box<dyn Contender>> {
    let (samples, len) = (Sources::fixed::<LEN>(), u32::try_from(LEN)?);
    Ok(Box::new(Floor::new(map, move |pages, first, count| {
        let mut number = first;
        // SAFETY: a burst is what the ring holds; contenders take turns; `LEN` bytes are the sample's size.
        unsafe {
            pages.publish::<BATCH>(len, count, |sample| {
                sample.cast::<[u8; LEN]>().write(*pick(&samples, number));
                number += 1;
            });
        }
    })?))
}

/// The same, by one function call per sample.
pub(crate) fn called<const LEN: usize>(map: &Map) -> Result<Box<dyn Contender>> {
    let samples = Sources::fixed::<LEN>();
    Ok(Box::new(Floor::new(map, move |pages, first, count| {
        for number in first..first + count {
            // SAFETY: as above.
            unsafe { publish_one(pages, pick(&samples, number)) };
        }
    })?))
}

/// # Safety
/// As for [`FloorPages::publish`], for one sample.
#[inline(never)]
unsafe fn publish_one<const LEN: usize>(pages: &mut FloorPages, from: &[u8; LEN]) {
    const { assert!(LEN < 1 << 24, "a sample's length") };
    #[expect(clippy::cast_possible_truncation, reason = "just checked")]
    // SAFETY: the caller's promise is passed on; as many bytes as the sample has.
    unsafe {
        pages.publish::<1>(LEN as u32, 1, |sample| sample.cast::<[u8; LEN]>().write(*from));
    }
}

impl<F: FnMut(&mut FloorPages, u64, u64)> Contender for Floor<F> {
    fn name(&self) -> &'static str {
        FLOOR
    }

    fn begin(&mut self) -> Result<()> {
        self.pages.position = self.pages.published();
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        (self.work)(&mut self.pages, first, count);
        Ok(())
    }
}
