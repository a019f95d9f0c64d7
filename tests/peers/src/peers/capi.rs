//! The C library, called as a C program calls it: linked, or loaded from its shared object.

use std::env;
use std::ffi::{CString, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::ptr::{self, NonNull};

use anyhow::{Context, Result, bail};
use user_ringbuf::{Options, Ring};
use user_ringbuf_linux::Map;

use crate::peers::floor::FLOOR;
use crate::rounds::Contender;

type New = unsafe extern "C" fn(c_int, *const Options) -> *mut Ring;
type Reserve = unsafe extern "C" fn(*mut Ring, u32) -> *mut c_void;
type Submit = unsafe extern "C" fn(*mut Ring, *mut c_void) -> c_int;
type Push = unsafe extern "C" fn(*mut Ring, *const c_void, usize) -> c_int;
type PushBatch = unsafe extern "C" fn(*mut Ring, *const libc::iovec, usize) -> c_int;
type Free = unsafe extern "C" fn(*mut Ring);

/// What the rows call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Functions {
    new: New,
    reserve: Reserve,
    submit: Submit,
    push: Push,
    push_batch: PushBatch,
    free: Free,
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
        let name = CString::new(path.into_os_string().into_encoded_bytes())?;
        // SAFETY: a name that ends in a zero. The library has no initialisers of its own, and stays loaded.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = NonNull::new(library).with_context(|| format!("load {}", name.to_string_lossy()))?;
        let find = |name: &'static std::ffi::CStr| {
            // SAFETY: the library is loaded.
            let found = unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) };
            NonNull::new(found).with_context(|| format!("{} is missing", name.to_string_lossy()))
        };
        // SAFETY: these are the functions of these names, with the signatures that the header gives them.
        Ok(Some(unsafe {
            Self {
                new: std::mem::transmute::<NonNull<c_void>, New>(find(c"uringbuf_new")?),
                reserve: std::mem::transmute::<NonNull<c_void>, Reserve>(find(c"uringbuf_reserve")?),
                submit: std::mem::transmute::<NonNull<c_void>, Submit>(find(c"uringbuf_submit")?),
                push: std::mem::transmute::<NonNull<c_void>, Push>(find(c"uringbuf_push")?),
                push_batch: std::mem::transmute::<NonNull<c_void>, PushBatch>(find(c"uringbuf_push_batch")?),
                free: std::mem::transmute::<NonNull<c_void>, Free>(find(c"uringbuf_free")?),
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

/// The C library as a contender.
pub(crate) struct Capi<F> {
    handle: CapiRing,
    work: F,
}

impl<F: FnMut(&mut CapiRing, u64, u64) -> io::Result<()>> Capi<F> {
    /// `work` publishes samples: the first number, and how many.
    pub(crate) fn new(functions: Functions, map: &Map, work: F) -> Result<Self> {
        Ok(Self { handle: CapiRing::new(functions, map)?, work })
    }
}

impl<F: FnMut(&mut CapiRing, u64, u64) -> io::Result<()>> Contender for Capi<F> {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn begin(&mut self) -> Result<()> {
        // It loads both positions each time.
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        (self.work)(&mut self.handle, first, count)?;
        Ok(())
    }
}

/// The floor of two calls: what any pair of functions with this contract must do, and nothing else. It loads the position
/// that it stored the last time, since another handle may have moved it, and finds the length in the header.
#[derive(Debug)]
pub(crate) struct TwoCalls {
    data: *mut u8,
    producer_pos: *mut u64,
    mask: u64,
}

#[inline(never)]
extern "C" fn floor_reserve(floor: &TwoCalls, len: u32) -> *mut u8 {
    // SAFETY: whoever makes a `TwoCalls` maps the ring; the burst fits into it.
    unsafe {
        let position = floor.producer_pos.read_volatile();
        let record = floor.data.add(usize::try_from(position & floor.mask).unwrap_unchecked());
        record.cast::<u64>().write_volatile(u64::from(len | user_ringbuf_linux::BUSY_BIT));
        // A release store, on a processor on which every store is one; elsewhere the floor is lower than it can be.
        floor.producer_pos.write_volatile(position + u64::from((len + 15) & !7));
        record.add(8)
    }
}

#[inline(never)]
extern "C" fn floor_submit(_: &TwoCalls, sample: *mut u8) {
    // SAFETY: the sample is of `floor_reserve`, whose bursts do not wrap: they begin at the ring's beginning or behind it
    // by whole records.
    unsafe {
        let header = sample.sub(8).cast::<u32>();
        header.write_volatile(header.read_volatile() & !user_ringbuf_linux::BUSY_BIT);
    }
}

/// The floor as a contender.
pub(crate) struct TwoCallFloor {
    floor: TwoCalls,
    len: u32,
    start: *mut c_void,
    bytes: usize,
}

impl TwoCallFloor {
    pub(crate) fn new(map: &Map, len: u32) -> Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let page = rustix::param::page_size();
        let bytes = page + 2 * usize::try_from(map.size())?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { mmap(ptr::null_mut(), bytes, prot, MapFlags::SHARED, map, u64::try_from(page)?) }?;
        if start.is_null() {
            bail!("mmap answered null");
        }
        // SAFETY: one page into the mapping.
        let data = unsafe { start.cast::<u8>().add(page) };
        let floor = TwoCalls { data, producer_pos: start.cast(), mask: u64::from(map.size()) - 1 };
        Ok(Self { floor, len, start, bytes })
    }
}

impl Drop for TwoCallFloor {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing points into it any more.
        let _ = unsafe { rustix::mm::munmap(self.start, self.bytes) };
    }
}

impl Contender for TwoCallFloor {
    fn name(&self) -> &'static str {
        FLOOR
    }

    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        let len = std::hint::black_box(self.len);
        for number in first..first + count {
            let sample = floor_reserve(&self.floor, len);
            // SAFETY: the sample has 8 bytes or more, and is ours.
            unsafe { sample.cast::<u64>().write(number) };
            floor_submit(&self.floor, sample);
        }
        Ok(())
    }
}
