//! The floors of the C library: what any functions with this contract must do, one call per step and nothing else. They
//! load the position that they stored the last time, since another handle may have moved it. The checked ones also see to it
//! that there is room, that the positions are possible, and that what is submitted is a busy record of this ring.

use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use user_ringbuf_linux::{BUSY_BIT, Map};

use super::floor::{FloorPages, contender};
use crate::rounds::Contender;
use crate::sources::{NO_VECTOR, Sources, gather};

const HEADER: u64 = 8;

const fn extent(len: u32) -> u64 {
    (len as u64 + HEADER + 7) & !7
}

/// Whether the positions are possible, and everything up to `end` has room.
#[inline(always)]
fn check(pages: &FloorPages, found: u64, end: u64) -> bool {
    // Pairs with the kernel's release store of consumer_pos.
    let consumer = pages.consumer_pos().load(Ordering::Acquire);
    (consumer | found) & 7 == 0 && end.wrapping_sub(consumer) <= pages.mask + 1
}

/// # Safety
/// The ring has room, and nothing else reserves.
#[inline(never)]
unsafe fn reserve<const CHECKED: bool>(pages: &FloorPages, len: u32) -> *mut u8 {
    let found = pages.producer_pos().load(Ordering::Relaxed);
    let end = found.wrapping_add(extent(len));
    if CHECKED && (len > BUSY_BIT >> 2 || !check(pages, found, end)) {
        return ptr::null_mut();
    }
    // SAFETY: the header lies within the data area, and its copy follows.
    let record = unsafe { pages.data.add(usize::try_from(found & pages.mask).unwrap_unchecked()) };
    // SAFETY: as above; the record is the caller's.
    unsafe { record.cast::<u64>().write(u64::from(len | BUSY_BIT)) };
    // Pairs with the kernel's acquire load of producer_pos.
    pages.producer_pos().store(end, Ordering::Release);
    // SAFETY: as above.
    unsafe { record.add(8) }
}

/// # Safety
/// The sample is of `reserve`, and was not submitted since.
#[inline(never)]
unsafe fn submit<const CHECKED: bool>(pages: &FloorPages, sample: *mut u8) -> bool {
    // SAFETY: the header is in front of the sample, and aligned.
    let header = unsafe { AtomicU32::from_ptr(sample.sub(8).cast()) };
    if CHECKED {
        let offset = header.as_ptr().addr().wrapping_sub(pages.data.addr());
        if offset & 7 != 0 || u64::try_from(offset).is_ok_and(|offset| offset > pages.mask) {
            return false;
        }
    }
    let word = header.load(Ordering::Relaxed);
    if CHECKED && word & BUSY_BIT == 0 {
        return false;
    }
    // Pairs with the kernel's acquire load of the header.
    header.store(word & !BUSY_BIT, Ordering::Release);
    true
}

/// # Safety
/// As for `reserve`, and the vectors are those of samples.
#[inline(never)]
unsafe fn push(pages: &FloorPages, samples: &[libc::iovec]) -> bool {
    let found = pages.producer_pos().load(Ordering::Relaxed);
    let mut position = found;
    for sample in samples {
        let Ok(len) = u32::try_from(sample.iov_len) else { return false };
        let end = position.wrapping_add(extent(len));
        if len > BUSY_BIT >> 2 || !check(pages, found, end) {
            return false;
        }
        // SAFETY: the record lies within the doubled data area and is the caller's, and the sample's bytes lie elsewhere.
        unsafe {
            let record = pages.data.add(usize::try_from(position & pages.mask).unwrap_unchecked());
            record.cast::<u64>().write(u64::from(len));
            ptr::copy_nonoverlapping(sample.iov_base.cast(), record.add(8), sample.iov_len);
        }
        position = end;
    }
    // Pairs with the kernel's acquire load of producer_pos.
    pages.producer_pos().store(position, Ordering::Release);
    true
}

/// Reserve, write 8 bytes, submit.
pub(crate) fn two_calls<const CHECKED: bool>(map: &Map, len: u32) -> Result<Contender<'static>> {
    contender::<CHECKED>(map, move |producer, numbers| {
        let len = black_box(len);
        for number in numbers {
            // SAFETY: a burst is what the ring holds; the sample has 8 bytes or more, is ours, and is submitted once.
            unsafe {
                let sample = reserve::<CHECKED>(&producer.pages, len);
                ensure!(!sample.is_null(), "there is no room");
                sample.cast::<u64>().write(number);
                ensure!(submit::<CHECKED>(&producer.pages, sample), "not a busy record");
            }
        }
        Ok(())
    })
}

/// Whole samples of a length that only the caller knows, `batch` of them per call: the checked floor.
pub(crate) fn pushed<const LEN: usize>(map: &Map, batch: usize) -> Result<Contender<'static>> {
    let samples = Sources::fixed::<LEN>();
    let mut vectors = vec![NO_VECTOR; batch];
    contender::<true>(map, move |producer, mut numbers| {
        while !numbers.is_empty() {
            let shown = gather(&mut vectors, &samples, &mut numbers);
            // SAFETY: a burst is what the ring holds; the vectors are those of the sources.
            ensure!(unsafe { push(&producer.pages, shown) }, "there is no room");
        }
        Ok(())
    })
}
