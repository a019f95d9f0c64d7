//! The real ring's pages through mappings of our own: what a trial writes behind the producer's back.
//!
//! Invariant: both mappings live as long as the value. Kernel counterpart: `ringbuf_map_mmap_user`.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::Context;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use user_ringbuf_linux::Map;

/// Consumer page, producer page, and the data area twice in a row.
#[derive(Debug)]
pub(super) struct Pages {
    consumer: Stretch,
    producer: Stretch,
    page: usize,
    size: u32,
}

#[derive(Debug)]
struct Stretch {
    start: NonNull<u8>,
    len: usize,
}

impl Stretch {
    fn map(map: &Map, len: usize, prot: ProtFlags, offset: usize) -> anyhow::Result<Self> {
        let offset = u64::try_from(offset)?;
        // SAFETY: a new mapping at a place of the system's choice touches no memory that is in use.
        let start = unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, map, offset) }
            .with_context(|| format!("mmap of {len} bytes of the ring"))?;
        let start = NonNull::new(start.cast()).context("a mapping at address 0")?;
        Ok(Self { start, len })
    }

    fn position(&self) -> &AtomicU64 {
        // SAFETY: the mapping lives as long as `self`, and its first word is a position; the kernel and the other
        // mappings of this process access it atomically too.
        unsafe { self.start.cast().as_ref() }
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and nobody borrows it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

impl Pages {
    pub(super) fn new(map: &Map) -> anyhow::Result<Self> {
        let page = rustix::param::page_size();
        let size = usize::try_from(map.size())?;
        Ok(Self {
            consumer: Stretch::map(map, page, ProtFlags::READ, 0)?,
            producer: Stretch::map(map, page + 2 * size, ProtFlags::READ | ProtFlags::WRITE, page)?,
            page,
            size: map.size(),
        })
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn consumer(&self) -> u64 {
        // Pairs with the kernel's release store in __bpf_user_ringbuf_sample_release.
        self.consumer.position().load(Ordering::Acquire)
    }

    pub(super) fn producer(&self) -> u64 {
        // Pairs with the release store of the core's producers.
        self.producer.position().load(Ordering::Acquire)
    }

    pub(super) fn set_producer(&self, position: u64) {
        // Pairs with the kernel's acquire load in __bpf_user_ringbuf_peek.
        self.producer.position().store(position, Ordering::Release);
    }

    /// The byte at `position` in the first copy of the data area.
    fn at(&self, position: u64) -> *mut u8 {
        let offset = usize::try_from(position % u64::from(self.size)).unwrap_or(0);
        // SAFETY: below the size, so within the data area, which lies behind the producer page.
        unsafe { self.producer.start.as_ptr().add(self.page + offset) }
    }

    /// `len`, or as much as the ring has.
    fn clamp(&self, len: usize) -> usize {
        len.min(usize::try_from(self.size).unwrap_or(0))
    }

    /// Writes at most the ring's size. No producer may hold a sample meanwhile.
    pub(super) fn write(&self, position: u64, bytes: &[u8]) {
        // SAFETY: the stretch begins in the first copy of the data and is no longer than it, so it ends in the second
        // one at the latest; `bytes` is no part of it, and no slice stands for it while no sample is held.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(position), self.clamp(bytes.len())) };
    }

    /// As [`write`](Self::write), zeros.
    pub(super) fn zero(&self, position: u64, len: u32) {
        // SAFETY: as above.
        unsafe { ptr::write_bytes(self.at(position), 0, self.clamp(usize::try_from(len).unwrap_or(0))) };
    }

    /// The length word at `offset`, a multiple of 8.
    pub(super) fn word(&self, offset: u32) -> u32 {
        // SAFETY: within the data area, aligned because the area is, and accessed atomically by the others too.
        unsafe { AtomicU32::from_ptr(self.at((offset & !7).into()).cast()) }.load(Ordering::Acquire)
    }

    /// The data area.
    pub(super) fn data(&self) -> Vec<u8> {
        let mut data = vec![0; self.clamp(usize::MAX)];
        // SAFETY: the whole of the first copy is mapped, and `data` has its size.
        unsafe { ptr::copy_nonoverlapping(self.at(0), data.as_mut_ptr(), data.len()) };
        data
    }
}
