//! libbpf's `user_ring_buffer`, called as a C program calls it.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};

use anyhow::{Context, Result};
use user_ringbuf_linux::Map;

use crate::rounds::Contender;
use crate::sources::{Sources, pick};

/// A `struct user_ring_buffer`.
#[derive(Debug)]
pub(crate) struct LibbpfRing(NonNull<libbpf_sys::user_ring_buffer>);

// SAFETY: nothing in libbpf's structure is tied to a thread.
unsafe impl Send for LibbpfRing {}

impl LibbpfRing {
    pub(crate) fn new(map: &Map) -> Result<Self> {
        // SAFETY: the fd is open, and libbpf allows no options.
        let ring = unsafe { libbpf_sys::user_ring_buffer__new(map.as_fd().as_raw_fd(), ptr::null()) };
        NonNull::new(ring).map(Self).ok_or_else(io::Error::last_os_error).context("user_ring_buffer__new")
    }

    /// An error if there is no room, which no burst asks for.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, len: u32) -> io::Result<NonNull<u8>> {
        // SAFETY: the ring lives, and `&mut self` keeps other threads out.
        let sample = unsafe { libbpf_sys::user_ring_buffer__reserve(self.0.as_ptr(), len) };
        NonNull::new(sample.cast()).ok_or_else(io::Error::last_os_error)
    }

    /// Waits up to `timeout` milliseconds for room.
    pub(crate) fn reserve_blocking(&mut self, len: u32, timeout: i32) -> io::Result<NonNull<u8>> {
        // SAFETY: as in `reserve`.
        let sample = unsafe { libbpf_sys::user_ring_buffer__reserve_blocking(self.0.as_ptr(), len, timeout) };
        NonNull::new(sample.cast()).ok_or_else(io::Error::last_os_error)
    }

    /// A handle that can submit while somebody else reserves.
    pub(crate) fn submitter(&self) -> Submitter {
        Submitter(self.0)
    }

    /// # Safety
    /// `sample` came from `reserve` of this ring, and was not submitted since.
    #[inline(always)]
    pub(crate) unsafe fn submit(&self, sample: NonNull<u8>) {
        // SAFETY: the caller's promise is passed on.
        unsafe { libbpf_sys::user_ring_buffer__submit(self.0.as_ptr(), sample.as_ptr().cast()) };
    }
}

/// What a thread needs to submit what it reserved under a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submitter(NonNull<libbpf_sys::user_ring_buffer>);

impl Submitter {
    /// # Safety
    /// The ring lives, and `sample` came from its `reserve` and was not submitted since.
    #[inline(always)]
    pub(crate) unsafe fn submit(self, sample: NonNull<u8>) {
        // SAFETY: the caller's promise is passed on; submitting is thread-safe.
        unsafe { libbpf_sys::user_ring_buffer__submit(self.0.as_ptr(), sample.as_ptr().cast()) };
    }
}

impl Drop for LibbpfRing {
    fn drop(&mut self) {
        // SAFETY: made by `user_ring_buffer__new`, and freed once.
        unsafe { libbpf_sys::user_ring_buffer__free(self.0.as_ptr()) };
    }
}

/// libbpf as a contender: `work` publishes the samples of these numbers.
pub(crate) fn contender<'c>(
    map: &Map,
    work: impl FnMut(&mut LibbpfRing, Range<u64>) -> Result<()> + 'c,
) -> Result<Contender<'c>> {
    Ok(Contender::new("libbpf", LibbpfRing::new(map)?, work))
}

/// Whole samples of a known length, each by two calls: libbpf has no other way.
pub(crate) fn whole<const LEN: usize>(map: &Map) -> Result<Contender<'static>> {
    let (samples, len) = (Sources::fixed::<LEN>(), u32::try_from(LEN)?);
    contender(map, move |ring, numbers| {
        for number in numbers {
            let sample = ring.reserve(len)?;
            // SAFETY: the sample has `LEN` bytes and is ours, and it is submitted once.
            unsafe {
                sample.cast::<[u8; LEN]>().write(*pick(&samples, number));
                ring.submit(sample);
            }
        }
        Ok(())
    })
}
