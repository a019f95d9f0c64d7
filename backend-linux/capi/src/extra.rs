//! Functions that libbpf does not offer.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::{ptr, slice};

use rustix::fd::{IntoRawFd, OwnedFd};
use user_ringbuf_linux::{KernelError, Map, MappingView, Position, Survey, Verdict};

use crate::errno::{Errno, zero_or};
use crate::handle::{Ring, busy, get, timeout, with_map};

/// The largest size of a C object.
const MOST: usize = usize::MAX / 2;

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_push(rb: *mut Ring, data: *const c_void, size: usize) -> c_int {
    // SAFETY: the caller's promise is passed on.
    zero_or(unsafe {
        get(rb).and_then(|ring| {
            ring.raw().push(bytes(data, size)?)?;
            Ok(())
        })
    })
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_push_batch(rb: *mut Ring, samples: *const libc::iovec, count: usize) -> c_int {
    // SAFETY: the caller's promise is passed on.
    zero_or(unsafe { get(rb).and_then(|ring| push_batch(ring, samples, count)) })
}

/// # Safety
/// As in C.
#[inline(always)]
unsafe fn push_batch(ring: &Ring, samples: *const libc::iovec, count: usize) -> Result<(), Errno> {
    if samples.is_null() && count > 0 || count > MOST / size_of::<libc::iovec>() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: by the caller's promise, and not NULL.
    let samples = if count == 0 { &[] } else { unsafe { slice::from_raw_parts(samples, count) } };
    // SAFETY: by the caller's promise.
    unsafe { ring.raw().push_all(samples.iter().map(|sample| bytes(sample.iov_base, sample.iov_len))) }?;
    Ok(())
}

/// # Safety
/// `data` has `size` readable bytes.
#[inline(always)]
unsafe fn bytes<'d>(data: *const c_void, size: usize) -> Result<&'d [u8], Errno> {
    match size {
        0 => Ok(&[]),
        _ if data.is_null() => Err(Errno(libc::EINVAL)),
        _ if size > MOST => Err(Errno(libc::E2BIG)),
        // SAFETY: by the caller's promise.
        _ => Ok(unsafe { slice::from_raw_parts(data.cast(), size) }),
    }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_submit_len(rb: *mut Ring, sample: *mut c_void, size: u32) -> c_int {
    // SAFETY: the caller's promise is passed on.
    let done = unsafe { get(rb) }.and_then(|ring| {
        let offset = ring.header_of(sample)?;
        // SAFETY: `header_of` gives a multiple of 8 below the size; the rest is the caller's promise.
        busy(unsafe { ring.raw().submit_len(offset, size as usize) }.map_err(|_| Errno(libc::EINVAL))?)
    });
    zero_or(done)
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_position(rb: *const Ring) -> u64 {
    // SAFETY: the caller's promise is passed on.
    unsafe { get(rb) }.map_or(0, |ring| ring.raw().position().get())
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_wait_consumed(rb: *mut Ring, position: u64, timeout_ms: c_int) -> c_int {
    // SAFETY: the caller's promise is passed on.
    let done = unsafe { get(rb) }.and_then(|ring| {
        let timeout = timeout(timeout_ms)?;
        ring.raw().wait_consumed(Position::new(position), &mut ring.queue().waiter(), timeout)?;
        Ok(())
    });
    zero_or(done)
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_cancel(rb: *mut Ring) {
    // SAFETY: the caller's promise is passed on.
    if let Ok(ring) = unsafe { get(rb) } {
        ring.queue().cancel();
    }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_resume(rb: *mut Ring) {
    // SAFETY: the caller's promise is passed on.
    if let Ok(ring) = unsafe { get(rb) } {
        ring.queue().resume();
    }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_claim(rb: *mut Ring, map_fd: c_int) -> c_int {
    // SAFETY: the caller's promise is passed on.
    zero_or(unsafe { get(rb).and_then(|ring| with_map(map_fd, |map| ring.claim(map))) })
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_map_create(name: *const c_char, size: u64) -> c_int {
    // SAFETY: by the caller's promise.
    let name = unsafe { text(name) }.map(|name| name.to_str().map_err(|_| Errno(libc::EINVAL)));
    match name.unwrap_or(Ok("")).and_then(|name| Ok(Map::create(name, size)?)) {
        Ok(map) => OwnedFd::from(map).into_raw_fd(),
        Err(why) => why.minus_one(),
    }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_map_open(path: *const c_char) -> c_int {
    // SAFETY: by the caller's promise.
    match unsafe { text(path) }.ok_or(Errno(libc::EINVAL)).and_then(|path| Ok(Map::from_pin(path)?)) {
        Ok(map) => OwnedFd::from(map).into_raw_fd(),
        Err(why) => why.minus_one(),
    }
}

/// # Safety
/// NULL or a zero-terminated string.
unsafe fn text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: by the caller's promise.
    if text.is_null() { None } else { Some(unsafe { CStr::from_ptr(text) }) }
}

/// `struct uringbuf_state`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct State {
    /// Size of the caller's structure.
    pub sz: usize,
    /// One of `URINGBUF_EMPTY` and the others.
    pub verdict: c_int,
    /// The error that a drain returns at the obstacle, or 0.
    pub kernel_errno: c_int,
    /// Bytes in the data area.
    pub ring_size: u64,
    /// `consumer_pos`.
    pub consumer: u64,
    /// `producer_pos`.
    pub producer: u64,
    /// Position of the record that the kernel can't pass; `consumer` if there is none.
    pub obstacle: u64,
    /// Submitted records.
    pub submitted: u64,
    /// Busy records.
    pub busy: u64,
    /// Discarded records.
    pub discarded: u64,
    /// Damaged stretches.
    pub damaged: u64,
    /// Records that the kernel takes before it reaches the obstacle.
    pub ready: u64,
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_inspect(map_fd: c_int, state: *mut State) -> c_int {
    if state.is_null() {
        return Errno(libc::EINVAL).minus_one();
    }
    // SAFETY: the caller's structure begins with its size.
    let sz = unsafe { (&raw const (*state).sz).read() };
    if sz < size_of::<usize>() {
        return Errno(libc::EINVAL).minus_one();
    }
    let seen = with_map(map_fd, |map| Ok(Survey::of(&MappingView::new(map)?)));
    let seen = match seen {
        Ok(survey) => state_of(&survey, sz),
        Err(why) => return why.minus_one(),
    };
    let known = sz.min(size_of::<State>());
    // SAFETY: the caller's structure has `sz` bytes.
    unsafe { ptr::copy_nonoverlapping((&raw const seen).cast::<u8>(), state.cast::<u8>(), known) };
    0
}

fn state_of(survey: &Survey, sz: usize) -> State {
    let consumer = survey.consumer.get();
    let (verdict, obstacle) = match survey.verdict {
        Verdict::Empty => (0, consumer),
        Verdict::Flowing => (1, consumer),
        Verdict::Held { record } => (2, record.start.get()),
        Verdict::Jammed { damage } => (3, damage.start().get()),
        // Errors in the positions themselves.
        _ => (4, consumer),
    };
    let kernel_errno = survey.verdict.kernel_error().map_or(0, KernelError::errno);
    State {
        sz,
        verdict,
        kernel_errno,
        ring_size: survey.size.bytes_u64(),
        consumer,
        producer: survey.producer.get(),
        obstacle,
        submitted: survey.submitted.records,
        busy: survey.busy.records,
        discarded: survey.discarded.records,
        damaged: survey.damaged.records,
        ready: survey.ready,
    }
}
