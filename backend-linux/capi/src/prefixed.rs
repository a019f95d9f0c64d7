//! The six functions under our own prefix.

use core::ffi::{c_int, c_void};

use crate::errno::zero_or;
use crate::handle::{self, Options, Ring, get};

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_new(map_fd: c_int, opts: *const Options) -> *mut Ring {
    // SAFETY: the caller's promise is passed on.
    match unsafe { handle::open(map_fd, opts) } {
        Ok(ring) => ring,
        Err(why) => why.null().cast(),
    }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_reserve(rb: *mut Ring, size: u32) -> *mut c_void {
    // SAFETY: the caller's promise is passed on.
    unsafe { handle::reserve(rb, size) }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_reserve_blocking(rb: *mut Ring, size: u32, timeout_ms: c_int) -> *mut c_void {
    // SAFETY: the caller's promise is passed on.
    match unsafe { get(rb).and_then(|ring| ring.reserve_blocking(size, timeout_ms)) } {
        Ok(sample) => sample,
        Err(why) => why.null(),
    }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_submit(rb: *mut Ring, sample: *mut c_void) -> c_int {
    // SAFETY: the caller's promise is passed on.
    zero_or(unsafe { get(rb).and_then(|ring| ring.submit(sample)) })
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_discard(rb: *mut Ring, sample: *mut c_void) -> c_int {
    // SAFETY: the caller's promise is passed on.
    zero_or(unsafe { get(rb).and_then(|ring| ring.discard(sample)) })
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uringbuf_free(rb: *mut Ring) {
    // SAFETY: the caller's promise is passed on.
    unsafe { handle::free(rb) };
}
