//! Two floors. The *store floor*: the plain stores that any producer of this protocol must do, and nothing else. The
//! *checked floor*: with the two checks that keep a ring from being jammed: that nothing else has moved `producer_pos`, and
//! that there is room.
//!
//! No lengths that could be wrong. The store floor is only for a ring that is known to have room for the burst.

use std::borrow::Borrow;
use std::hint::black_box;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use user_ringbuf_linux::{BUSY_BIT, Map};

use crate::rounds::Contender;
use crate::sources::{Sources, pick};

/// The name of whoever makes only the stores that must be made.
pub(crate) const FLOOR: &str = "store floor";
/// The name of whoever makes the checks as well.
pub(crate) const CHECKED: &str = "checked floor";

/// Memory of a ring, mapped once more.
#[derive(Debug)]
struct Stretch {
    start: NonNull<u8>,
    len: usize,
}

impl Stretch {
    fn new(map: &Map, len: usize, prot: ProtFlags, offset: usize) -> Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, map, u64::try_from(offset)?) };
        let start = NonNull::new(start.context("map the ring for the floor")?.cast());
        Ok(Self { start: start.context("mmap answered null")?, len })
    }

    fn position(&self) -> &AtomicU64 {
        // SAFETY: the position is the first word of its page, mapped as long as `self` lives.
        unsafe { self.start.cast().as_ref() }
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing points into it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The ring's pages: the consumer's, and the producer's with the doubled data area behind it.
#[derive(Debug)]
pub(crate) struct FloorPages {
    consumer: Stretch,
    producer: Stretch,
    pub(super) data: *mut u8,
    pub(super) mask: u64,
}

impl FloorPages {
    pub(crate) fn new(map: &Map) -> Result<Self> {
        let (page, area) = (page_size(), 2 * usize::try_from(map.size())?);
        let consumer = Stretch::new(map, page, ProtFlags::READ, 0)?;
        let producer = Stretch::new(map, page + area, ProtFlags::READ | ProtFlags::WRITE, page)?;
        // SAFETY: the data area begins one page into the mapping.
        let data = unsafe { producer.start.add(page) }.as_ptr();
        Ok(Self { consumer, producer, data, mask: u64::from(map.size()) - 1 })
    }

    #[inline(always)]
    pub(super) fn consumer_pos(&self) -> &AtomicU64 {
        self.consumer.position()
    }

    #[inline(always)]
    pub(super) fn producer_pos(&self) -> &AtomicU64 {
        self.producer.position()
    }

    /// Writes `count` samples of `len` bytes, each at a place that it takes from `word`, which other threads take from as
    /// well: what any producer for many threads must do, and nothing else. Nothing is published.
    ///
    /// # Safety
    /// As for [`FloorProducer::publish`], all threads together; the samples have 8 bytes or more.
    #[inline(always)]
    pub(crate) unsafe fn write_contended(&self, word: &AtomicU64, len: u32, numbers: Range<u64>) {
        let (data, mask) = (self.data, self.mask);
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

/// A producer with the pages at hand, or behind a pointer.
#[derive(Debug)]
pub(crate) struct FloorProducer<P = FloorPages> {
    pub(super) pages: P,
    position: u64,
    /// Up to where there is room, as far as is known.
    limit: u64,
}

impl<P: Borrow<FloorPages>> FloorProducer<P> {
    /// The limit, if the ring is as this producer left it at `shown` and a record fits before `end`.
    #[inline(always)]
    fn check(&self, limit: u64, shown: u64, end: u64) -> Result<u64> {
        // Relaxed: only this producer stores there.
        let found = self.pages.borrow().producer_pos().load(Ordering::Relaxed);
        if found == shown && limit.wrapping_sub(end) <= i64::MAX.unsigned_abs() {
            return Ok(limit);
        }
        let pages = self.pages.borrow();
        look_for_room(pages.consumer_pos(), pages.mask + 1, [found, shown, end])
    }

    /// Publishes `count` samples of `len` bytes, `BATCH` of them at once, with the checks or without. `fill` writes what the
    /// case asks for.
    ///
    /// # Safety
    /// The ring has room for them, nothing else produces, and `fill` writes `len` bytes at most where it is told.
    #[inline(always)]
    pub(crate) unsafe fn publish<const BATCH: u64, const CHECKED: bool>(
        &mut self,
        len: u32,
        count: u64,
        mut fill: impl FnMut(*mut u8),
    ) -> Result<()> {
        let FloorPages { data, mask, .. } = *self.pages.borrow();
        let extent = u64::from((len + 15) & !7);
        let (mut position, mut limit) = (self.position, self.limit);
        let mut left = count;
        while left > 0 {
            let shown = position;
            for _ in 0..left.min(BATCH) {
                if CHECKED {
                    limit = self.check(limit, shown, position + extent)?;
                }
                // SAFETY: the offset lies within the data area, and its copy follows.
                unsafe {
                    let record = data.add(usize::try_from(position & mask).unwrap_unchecked());
                    record.cast::<u64>().write(u64::from(len));
                    fill(record.add(8));
                }
                position += extent;
            }
            // Pairs with the kernel's acquire load of producer_pos.
            self.pages.borrow().producer_pos().store(position, Ordering::Release);
            left -= left.min(BATCH);
        }
        (self.position, self.limit) = (position, limit);
        Ok(())
    }

    /// Publishes `OUTSTANDING` busy records at a time and commits them in reverse; each begins with its number. Without the
    /// checks it keeps a record's address; with them also what a sample must know that is filled and submitted without its
    /// producer: the ring, where it begins, how long it is and how much it takes.
    ///
    /// # Safety
    /// As for [`publish`](Self::publish); the samples have 8 bytes or more.
    #[inline(always)]
    pub(crate) unsafe fn publish_in_reverse<const OUTSTANDING: usize, const CHECKED: bool>(
        &mut self,
        len: u32,
        mut numbers: Range<u64>,
    ) -> Result<()> {
        let FloorPages { data, mask, .. } = *self.pages.borrow();
        let extent = (len + 15) & !7;
        let (mut position, mut limit) = (self.position, self.limit);
        let mut records = [Kept { address: ptr::null_mut(), start: 0, offset: 0, len: 0, extent: 0 }; OUTSTANDING];
        while !numbers.is_empty() {
            let mut count = 0;
            for (place, number) in records.iter_mut().zip(numbers.by_ref()) {
                if CHECKED {
                    limit = self.check(limit, position, position + u64::from(extent))?;
                }
                // SAFETY: the offset lies within the data area, and its copy follows.
                unsafe {
                    let offset = u32::try_from(position & mask).unwrap_unchecked();
                    let record = data.add(offset as usize);
                    record.cast::<u64>().write(u64::from(len | BUSY_BIT));
                    record.add(8).cast::<u64>().write(number);
                    if CHECKED {
                        *place = Kept { address: data, start: position, offset, len, extent };
                    } else {
                        place.address = record;
                    }
                }
                position += u64::from(extent);
                count += 1;
                // Pairs with the kernel's acquire load of producer_pos.
                self.pages.borrow().producer_pos().store(position, Ordering::Release);
            }
            if CHECKED {
                // Somebody else may submit them: all of it is kept.
                black_box(&mut records);
            }
            for place in records.iter().take(count).rev() {
                // SAFETY: a header of this loop, aligned. Pairs with the kernel's acquire load of it.
                unsafe {
                    if CHECKED {
                        let Kept { address, offset, len, .. } = *place;
                        AtomicU32::from_ptr(address.add(offset as usize).cast()).store(len, Ordering::Release);
                    } else {
                        AtomicU32::from_ptr(place.address.cast()).store(len, Ordering::Release);
                    }
                }
            }
        }
        (self.position, self.limit) = (position, limit);
        Ok(())
    }
}

/// What is kept of a record until it is submitted.
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "a sample can be asked for its position, and shortened; nothing here does that")]
struct Kept {
    /// The record's address, or that of the data area.
    address: *mut u8,
    start: u64,
    offset: u32,
    len: u32,
    extent: u32,
}

// SAFETY: the pages are shared memory; who writes where is the caller's promise (`write_contended`).
unsafe impl Sync for FloorPages {}

/// Another look: the new limit, or why there is none.
#[cold]
#[inline(never)]
fn look_for_room(consumer_pos: &AtomicU64, size: u64, [found, shown, end]: [u64; 3]) -> Result<u64> {
    ensure!(found == shown, "another producer moved the position from {shown} to {found}");
    // Pairs with the kernel's release store of consumer_pos.
    let limit = consumer_pos.load(Ordering::Acquire).wrapping_add(size);
    ensure!(limit.wrapping_sub(end) <= size, "there is no room up to {end}");
    Ok(limit)
}

/// The floor with the checks or without, as a contender: `work` publishes the samples of these numbers.
pub(crate) fn contender<'c, const CHECKED: bool>(
    map: &Map,
    work: impl FnMut(&mut FloorProducer, Range<u64>) -> Result<()> + 'c,
) -> Result<Contender<'c>> {
    producing::<FloorPages, CHECKED>(map, work)
}

fn producing<'c, P: Borrow<FloorPages> + From<FloorPages> + 'c, const CHECKED: bool>(
    map: &Map,
    work: impl FnMut(&mut FloorProducer<P>, Range<u64>) -> Result<()> + 'c,
) -> Result<Contender<'c>> {
    let begin = |producer: &mut FloorProducer<P>| {
        producer.position = producer.pages.borrow().published();
        producer.limit = producer.position;
        Ok(())
    };
    let name = if CHECKED { self::CHECKED } else { FLOOR };
    let producer = FloorProducer { pages: FloorPages::new(map)?.into(), position: 0, limit: 0 };
    Ok(Contender::beginning(name, producer, begin, work))
}

/// Whole samples of a known length in a loop, `BATCH` of them shown at once.
pub(crate) fn whole<const LEN: usize, const BATCH: u64, const CHECKED: bool>(map: &Map) -> Result<Contender<'static>> {
    let (samples, len) = (Sources::fixed::<LEN>(), u32::try_from(LEN)?);
    contender::<CHECKED>(map, move |producer, numbers| {
        let (mut number, count) = (numbers.start, numbers.end - numbers.start);
        // SAFETY: a burst is what the ring holds; contenders take turns; `LEN` bytes are the sample's size.
        unsafe {
            producer.publish::<BATCH, CHECKED>(len, count, |sample| {
                sample.cast::<[u8; LEN]>().write(*pick(&samples, number));
                number += 1;
            })
        }
    })
}

/// The same with the checks, one by one, by somebody who has nothing in registers: what the ring is and how far it was written
/// are loaded for each sample, from the producer or through a pointer in it.
pub(crate) fn loaded<P: Borrow<FloorPages> + From<FloorPages> + 'static, const LEN: usize>(
    map: &Map,
) -> Result<Contender<'static>> {
    let (samples, len) = (Sources::fixed::<LEN>(), u32::try_from(LEN)?);
    producing::<P, true>(map, move |producer, numbers| {
        for number in numbers {
            let producer = black_box(&mut *producer);
            let sample = pick(&samples, number);
            // SAFETY: as above.
            unsafe { producer.publish::<1, true>(len, 1, |place| place.cast::<[u8; LEN]>().write(*sample)) }?;
        }
        Ok(())
    })
}

/// The same, by one function call per sample.
pub(crate) fn called<P: Borrow<FloorPages> + From<FloorPages> + 'static, const LEN: usize, const CHECKED: bool>(
    map: &Map,
) -> Result<Contender<'static>> {
    let samples = Sources::fixed::<LEN>();
    producing::<P, CHECKED>(map, move |producer, numbers| {
        for number in numbers {
            // SAFETY: as above.
            unsafe { publish_one::<P, LEN, CHECKED>(producer, pick(&samples, number)) }?;
        }
        Ok(())
    })
}

/// # Safety
/// As for [`FloorProducer::publish`], for one sample.
#[inline(never)]
unsafe fn publish_one<P: Borrow<FloorPages>, const LEN: usize, const CHECKED: bool>(
    producer: &mut FloorProducer<P>,
    from: &[u8; LEN],
) -> Result<()> {
    const { assert!(LEN < 1 << 24, "a sample's length") };
    #[expect(clippy::cast_possible_truncation, reason = "just checked")]
    // SAFETY: the caller's promise is passed on; as many bytes as the sample has.
    unsafe {
        producer.publish::<1, CHECKED>(LEN as u32, 1, |sample| sample.cast::<[u8; LEN]>().write(*from))
    }
}
