//! libbpf's names. They are in a module, and so in an object file, of their own: a program that also links `libbpf.a` and
//! uses the prefixed names then has each of libbpf's names once.

use core::ffi::{c_int, c_void};

use crate::errno::Errno;
use crate::handle::{self, Options, Ring, get};

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn user_ring_buffer__new(map_fd: c_int, opts: *const Options) -> *mut Ring {
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
pub unsafe extern "C" fn user_ring_buffer__reserve(rb: *mut Ring, size: u32) -> *mut c_void {
    // SAFETY: the caller's promise is passed on.
    unsafe { handle::reserve(rb, size) }
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn user_ring_buffer__reserve_blocking(
    rb: *mut Ring,
    size: u32,
    timeout_ms: c_int,
) -> *mut c_void {
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
pub unsafe extern "C" fn user_ring_buffer__submit(rb: *mut Ring, sample: *mut c_void) {
    // SAFETY: the caller's promise is passed on.
    refused(unsafe { get(rb).and_then(|ring| ring.submit(sample)) });
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn user_ring_buffer__discard(rb: *mut Ring, sample: *mut c_void) {
    // SAFETY: the caller's promise is passed on.
    refused(unsafe { get(rb).and_then(|ring| ring.discard(sample)) });
}

/// See `user_ringbuf.h`.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn user_ring_buffer__free(rb: *mut Ring) {
    // SAFETY: the caller's promise is passed on.
    unsafe { handle::free(rb) };
}

/// These return nothing; `errno` tells if nothing was done.
#[inline(always)]
fn refused(done: Result<(), Errno>) {
    if let Err(why) = done {
        why.minus_one();
    }
}
