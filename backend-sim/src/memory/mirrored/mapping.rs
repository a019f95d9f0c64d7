//! The data area of a mirrored ring, mapped twice in a row. Invariant: both halves are readable and writable, and live as
//! long as the value.

use std::io;
use std::ptr;
use std::sync::atomic::AtomicU32;

use rustix::fd::BorrowedFd;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use user_ringbuf_core::RingSize;

use crate::memory::MemoryError;

/// The data area mapped twice in a row.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) base: *mut u8,
    len: usize,
}

impl Mirror {
    pub(super) fn twice(area: BorrowedFd<'_>, size: RingSize) -> Result<Self, MemoryError> {
        let one = size.bytes() as usize;
        let len = one.checked_mul(2).ok_or(MemoryError::TooLarge { bytes: size.bytes_u64() })?;
        // SAFETY: a new mapping at an address of the system's choice touches no memory that anyone has.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE) }
            .map_err(system("mmap"))?;
        // Unmapped on the way out if one of the next fails.
        let mapping = Self { base: base.cast(), len };
        let access = ProtFlags::READ | ProtFlags::WRITE;
        for copy in 0..2 {
            // SAFETY: the half replaced lies within the address range that was just reserved, and nothing uses it yet.
            unsafe {
                let half = mapping.base.add(copy * one);
                mmap(half.cast(), one, access, MapFlags::SHARED | MapFlags::FIXED, area, 0).map_err(system("mmap"))?;
            }
        }
        Ok(mapping)
    }

    /// The byte at `offset`.
    ///
    /// # Safety
    /// `offset` is less than the ring's size.
    #[inline(always)]
    pub(super) unsafe fn at(&self, offset: u32) -> *mut u8 {
        // SAFETY: the mapping has twice the ring's size.
        unsafe { self.base.add(offset as usize) }
    }

    /// The length word at `offset`.
    ///
    /// # Safety
    /// `offset` is a multiple of 4 and less than the ring's size.
    #[inline(always)]
    pub(super) unsafe fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: four bytes from a multiple of 4 lie in the mapping, which is aligned to a page and lives as long as
        // `self`. Other accesses to a header are atomic too, or ordered by the protocol.
        unsafe { AtomicU32::from_ptr(self.at(offset).cast()) }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are those of the mapping made in `twice`, and nothing can use it any more. Nothing
        // can be done about a failure.
        let _ = unsafe { munmap(self.base.cast(), self.len) };
    }
}

// SAFETY: the mapping belongs to no thread, and is used through shared references as the seam's contract allows.
unsafe impl Send for Mirror {}
// SAFETY: as above.
unsafe impl Sync for Mirror {}

pub(super) fn system(call: &'static str) -> impl Fn(rustix::io::Errno) -> MemoryError {
    move |errno| MemoryError::System { call, why: io::Error::from(errno) }
}
