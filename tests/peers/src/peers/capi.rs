//! The C library, called as a C program calls it: linked, or loaded from its shared object.

use std::env;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::ptr::{self, NonNull};

use anyhow::{Context, Result};
use libloading::Library;
use user_ringbuf::{Options, Ring};
use user_ringbuf_linux::Map;

use crate::rounds::Contender;

/// What the rows call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Functions {
    new: unsafe extern "C" fn(c_int, *const Options) -> *mut Ring,
    reserve: unsafe extern "C" fn(*mut Ring, u32) -> *mut c_void,
    submit: unsafe extern "C" fn(*mut Ring, *mut c_void) -> c_int,
    push: unsafe extern "C" fn(*mut Ring, *const c_void, usize) -> c_int,
    push_batch: unsafe extern "C" fn(*mut Ring, *const libc::iovec, usize) -> c_int,
    free: unsafe extern "C" fn(*mut Ring),
}

impl Functions {
    /// As a program that links the static library has it.
    pub(crate) fn linked() -> Self {
        Self {
            new: user_ringbuf::uringbuf_new,
            reserve: user_ringbuf::uringbuf_reserve,
            submit: user_ringbuf::uringbuf_submit,
            push: user_ringbuf::uringbuf_push,
            push_batch: user_ringbuf::uringbuf_push_batch,
            free: user_ringbuf::uringbuf_free,
        }
    }

    /// The shared library that `USER_RINGBUF_SO` names, or that `make-install` has built in this tree; `None` without.
    pub(crate) fn loaded() -> Result<Option<Self>> {
        let path = match env::var_os("USER_RINGBUF_SO") {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/capi/libuser_ringbuf.so"),
        };
        if !path.exists() {
            return Ok(None);
        }
        // SAFETY: the library has no initialisers of its own, and stays loaded.
        let library = ManuallyDrop::new(unsafe { Library::new(path) }?);
        // SAFETY: these are the functions of these names, with the signatures that the header gives them.
        Ok(Some(unsafe {
            Self {
                new: *library.get(b"uringbuf_new")?,
                reserve: *library.get(b"uringbuf_reserve")?,
                submit: *library.get(b"uringbuf_submit")?,
                push: *library.get(b"uringbuf_push")?,
                push_batch: *library.get(b"uringbuf_push_batch")?,
                free: *library.get(b"uringbuf_free")?,
            }
        }))
    }
}

/// A handle.
#[derive(Debug)]
pub(crate) struct CapiRing {
    functions: Functions,
    ring: NonNull<Ring>,
}

impl CapiRing {
    fn new(functions: Functions, map: &Map) -> Result<Self> {
        // SAFETY: the fd is open, and there are no options.
        let ring = unsafe { (functions.new)(map.as_fd().as_raw_fd(), ptr::null()) };
        let ring = NonNull::new(ring).ok_or_else(io::Error::last_os_error).context("uringbuf_new")?;
        Ok(Self { functions, ring })
    }

    #[inline(always)]
    pub(crate) fn reserve(&mut self, len: u32) -> io::Result<NonNull<u8>> {
        // SAFETY: the handle lives, and contenders take turns.
        let sample = unsafe { (self.functions.reserve)(self.ring.as_ptr(), len) };
        NonNull::new(sample.cast()).ok_or_else(io::Error::last_os_error)
    }

    /// # Safety
    /// `sample` came from `reserve`, and was not submitted since.
    #[inline(always)]
    pub(crate) unsafe fn submit(&mut self, sample: NonNull<u8>) {
        // SAFETY: the caller's promise is passed on.
        unsafe { (self.functions.submit)(self.ring.as_ptr(), sample.as_ptr().cast()) };
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: as in `reserve`, and the bytes are there.
        zero(unsafe { (self.functions.push)(self.ring.as_ptr(), bytes.as_ptr().cast(), bytes.len()) })
    }

    #[inline(always)]
    pub(crate) fn push_batch(&mut self, samples: &[libc::iovec]) -> io::Result<()> {
        // SAFETY: as in `reserve`; the caller's vectors are those of samples that live.
        zero(unsafe { (self.functions.push_batch)(self.ring.as_ptr(), samples.as_ptr(), samples.len()) })
    }
}

#[inline(always)]
fn zero(answer: c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Drop for CapiRing {
    fn drop(&mut self) {
        // SAFETY: opened by the same library, and not used any more.
        unsafe { (self.functions.free)(self.ring.as_ptr()) };
    }
}

/// The C library as a contender: `work` publishes the samples of these numbers.
pub(crate) fn contender<'c>(
    functions: Functions,
    map: &Map,
    work: impl FnMut(&mut CapiRing, Range<u64>) -> Result<()> + 'c,
) -> Result<Contender<'c>> {
    Ok(Contender::new("ours", CapiRing::new(functions, map)?, work))
}
