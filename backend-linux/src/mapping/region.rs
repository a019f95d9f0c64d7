//! One mmap of the map, unmapped on drop, and the arithmetic of what lies where.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::param::page_size;
use user_ringbuf_core::RingSize;

use super::MappingError;
use crate::claim::Failed;
use crate::map::Map;

/// Where the parts of a ring lie, in bytes, for this machine's page size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    page: usize,
    size: RingSize,
    /// The producer page and both copies of the data area.
    writable: usize,
}

/// A stretch of the map's mmap space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    what: &'static str,
    offset: u64,
    len: usize,
}

impl Layout {
    pub(super) fn of(map: &Map) -> Result<Self, MappingError> {
        let page = page_size();
        let size = RingSize::new(u64::from(map.size())).map_err(|_| MappingError::Size { bytes: map.size() })?;
        if cfg!(target_pointer_width = "32") && kernel_has_32_bits() {
            return Err(MappingError::Kernel32Bit);
        }
        Ok(Self { page, size, writable: writable_len(page, size)? })
    }

    pub(super) fn page(&self) -> usize {
        self.page
    }

    pub(super) fn size(&self) -> RingSize {
        self.size
    }

    pub(super) fn consumer_page(&self) -> Stretch {
        Stretch { what: "the consumer page", offset: 0, len: self.page }
    }

    pub(super) fn producer_and_data(&self) -> Stretch {
        // A page is far smaller than 2^64 bytes, so this widens on every platform.
        Stretch { what: "the producer page and the data", offset: self.page as u64, len: self.writable }
    }
}

fn writable_len(page: usize, size: RingSize) -> Result<usize, MappingError> {
    let bytes = page as u64 + 2 * size.bytes_u64();
    let too_large = MappingError::TooLarge { bytes };
    let len = usize::try_from(bytes).map_err(|_| too_large)?;
    // No object may be larger than `isize::MAX`: pointer offsets are signed.
    if isize::try_from(len).is_err() { Err(too_large) } else { Ok(len) }
}

/// A 32-bit process can't tell from its own width; the kernel's name of the machine does.
fn kernel_has_32_bits() -> bool {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_bytes();
    !(machine.ends_with(b"64") || machine.starts_with(b"aarch64") || machine == b"ppc64le" || machine == b"s390x")
}

/// Whether the map's descriptor can only be read, or only be written.
fn is_opened_one_way(map: &Map) -> bool {
    fcntl_getfl(map).is_ok_and(|flags| flags & OFlags::RWMODE != OFlags::RDWR)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

/// One mapping, unmapped on drop.
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<c_void>,
    len: usize,
}

impl Region {
    pub(super) fn map(map: &Map, stretch: &Stretch, access: Access) -> Result<Self, MappingError> {
        let prot = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        let Stretch { what, offset, len } = *stretch;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory that is in use.
        let start =
            unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, map, offset) }.map_err(
                |errno| match errno {
                    // The kernel answers so to a descriptor opened for reading only, and for writing only.
                    Errno::INVAL | Errno::ACCESS if is_opened_one_way(map) => {
                        MappingError::NotReadWrite { id: map.id() }
                    }
                    errno => MappingError::Mmap { what, bytes: len, errno },
                },
            )?;
        let start = NonNull::new(start).ok_or(MappingError::Mmap { what, bytes: len, errno: Errno::FAULT })?;
        Ok(Self { start, len })
    }

    /// Makes sure that processes forked from now on don't inherit the memory.
    pub(super) fn keep_from_children(&self) -> Result<(), MappingError> {
        // SAFETY: the mapping is ours alone, and this process's memory stays as it is.
        unsafe { madvise(self.start.as_ptr(), self.len, Advice::LinuxDontFork) }
            .map_err(|errno| Failed { call: "madvise(MADV_DONTFORK)", errno }.into())
    }

    /// The address `offset` bytes in, which lies within the mapping.
    #[inline(always)]
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.len);
        // SAFETY: callers pass 0 or the page size, and every mapping has a page and the data area behind it.
        unsafe { self.start.cast::<u8>().add(offset) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `map` made this mapping, and all holders of pointers into it hold the region too. munmap of a whole
        // mapping fails only for wrong arguments, so there is nothing to report.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_ring_fits_a_64_bit_address_space_and_not_a_32_bit_one() {
        let largest = RingSize::new(1 << 31).unwrap();
        let bytes = (1_u64 << 32) + 4096;
        let got = writable_len(4096, largest);
        match usize::try_from(bytes) {
            Ok(len) => assert_eq!(got, Ok(len)),
            Err(_) => assert_eq!(got, Err(MappingError::TooLarge { bytes })),
        }
    }

    #[test]
    fn both_copies_of_the_data_and_the_producer_page_are_mapped_for_every_page_size() {
        for page in [4096, 16384, 65536] {
            assert_eq!(writable_len(page, RingSize::new(1 << 16).unwrap()), Ok(page + 2 * 65536));
        }
    }
}
