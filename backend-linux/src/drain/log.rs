//! The log of received samples: an array map with one value, read through a mapping.
//!
//! Invariant: the map is frozen before the program is loaded, so that no process can write it from user space; the
//! program alone writes, and through this handle it runs only while that is borrowed mutably. Who takes the program's
//! descriptor gives up the log. What nothing here can prevent: that a process with `CAP_SYS_ADMIN` opens the program by
//! its id and runs it meanwhile. That none does is a contract: see the documentation of the handle. Kernel
//! counterparts: `array_map_mmap` in `kernel/bpf/arraymap.c`, `map_freeze` in `kernel/bpf/syscall.c`.

use core::ptr::NonNull;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::DrainError;
use super::program::layout::{CHUNK, HEADER, LOGGED, PREFIX, UNLOGGED, USED};
use crate::bpf::attr::{MapCreate, MapElem};
use crate::bpf::{BpfCommand, bpf, bpf_fd, length};
use crate::fd::borrow;
use crate::map::info::number;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;

/// The largest log in bytes: 256 MiB.
///
/// The verifier bounds offsets into a value by 2^29.
pub const MAX_LOG: usize = 1 << 28;

/// The log's map and its mapping.
#[derive(Debug)]
pub(super) struct Log {
    fd: OwnedFd,
    start: NonNull<u8>,
    mapped: usize,
    capacity: usize,
}

// SAFETY: the mapping belongs to this value alone, is unmapped only on drop, and no thread has a special view of it.
unsafe impl Send for Log {}
// SAFETY: through a shared reference it is only read, and the program that writes it runs only through a mutable one.
unsafe impl Sync for Log {}

impl Log {
    /// Makes a log that holds `bytes`, rounded up to 8.
    pub(super) fn new(bytes: usize) -> Result<Self, DrainError> {
        let too_large = DrainError::LogTooLarge { bytes, max: MAX_LOG };
        if bytes > MAX_LOG {
            return Err(too_large);
        }
        let capacity = bytes.max(PREFIX).next_multiple_of(8);
        let mut attr = MapCreate {
            map_type: ARRAY,
            key_size: 4,
            value_size: length(HEADER + capacity + CHUNK),
            max_entries: 1,
            map_flags: MMAPABLE,
            map_name: *b"urb_drain_log\0\0\0",
            ..Default::default()
        };
        // SAFETY: no address is passed, and the command makes a descriptor.
        let fd = unsafe { bpf_fd(BpfCommand::MapCreate, &mut attr) }?;
        let mut attr = MapElem { map_fd: number(borrow(&fd)), ..Default::default() };
        // SAFETY: no address is passed.
        unsafe { bpf(BpfCommand::MapFreeze, &mut attr) }?;

        let mapped = HEADER + capacity;
        // SAFETY: the kernel chooses the place, so that nothing of ours is replaced.
        let start = unsafe { mmap(core::ptr::null_mut(), mapped, ProtFlags::READ, MapFlags::SHARED, borrow(&fd), 0) }
            .map_err(|errno| DrainError::System { call: "mmap", errno })?;
        let start = NonNull::new(start.cast()).ok_or(too_large)?;
        Ok(Self { fd, start, mapped, capacity })
    }

    /// The descriptor and the capacity, as the program wants them.
    pub(super) fn for_program(&self) -> (i32, u32) {
        (self.fd.as_raw_fd(), length(self.capacity))
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the last run logged, and the number of samples that did not fit.
    pub(super) fn contents(&self) -> (Samples<'_>, u64) {
        // SAFETY: `mapped` bytes are readable as long as `self` lives. No one writes them meanwhile: user space
        // can't (the map is frozen), and the program runs only through `&mut DrainProgram`, which owns this
        // (that nothing else runs it is assumed: see the module).
        let value = unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.mapped) };
        let (header, data) = value.split_at_checked(HEADER).unwrap_or_default();
        let word = |at| read_word(header.get(at..).unwrap_or_default()).unwrap_or(0);
        let used = usize::try_from(word(USED)).unwrap_or(usize::MAX);
        let samples =
            Samples { rest: data.get(..used).unwrap_or(data), left: usize::try_from(word(LOGGED)).unwrap_or(0) };
        (samples, word(UNLOGGED))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and no borrow of it outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

fn read_word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|word| u64::from_ne_bytes(*word))
}

/// The samples that a drain received, oldest first: each as the bytes that the kernel handed to the callback.
///
/// Each begins at a multiple of 8 bytes in memory, as the sample does in the ring.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Samples<'a> {
    /// None at all.
    pub(super) fn none() -> Self {
        Self { rest: &[], left: 0 }
    }
}

impl<'a> Iterator for Samples<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let len = usize::try_from(read_word(self.rest)?).ok()?;
        let sample = self.rest.get(PREFIX..PREFIX.checked_add(len)?)?;
        let next = len.checked_next_multiple_of(8)?.checked_add(PREFIX)?;
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Samples<'_> {}
impl core::iter::FusedIterator for Samples<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_length_and_without_their_padding() {
        let mut log = std::vec::Vec::new();
        for sample in [&b"abc"[..], b"", b"12345678"] {
            log.extend_from_slice(&u64::try_from(sample.len()).unwrap().to_ne_bytes());
            log.extend_from_slice(sample);
            log.resize(log.len().next_multiple_of(8), 0xff);
        }
        let samples = Samples { rest: &log, left: 3 };
        assert_eq!(samples.len(), 3);
        assert!(samples.eq([&b"abc"[..], b"", b"12345678"]));
    }

    #[test]
    fn a_log_that_lies_ends_early() {
        let log = 100_u64.to_ne_bytes();
        assert_eq!(Samples { rest: &log, left: 5 }.next(), None);
        let log = u64::MAX.to_ne_bytes();
        assert_eq!(Samples { rest: &log, left: 5 }.next(), None);
        assert_eq!(Samples { rest: &[], left: 5 }.count(), 0);
    }
}
