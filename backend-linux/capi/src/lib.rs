//! libbpf's `user_ring_buffer` as a C library of its own: the same six functions, without libbpf.
//!
//! `user_ringbuf.h` documents each function, and `README.md` says how to build and install the library. The functions are
//! thin: a handle owns a ring's mapping and wait queue, the core's `Raw` does the work, and errors become libbpf's `errno`.
//! Rust programs should use `user-ringbuf-linux` instead.
//!
//! Invariant: nothing unwinds into C, because nothing panics. The installed library is built with `panic = "abort"` as well.
#![cfg_attr(not(feature = "std"), no_std)]

mod errno;
mod extra;
mod handle;
#[cfg(feature = "libbpf-names")]
mod libbpf;
mod prefixed;
mod waiter;

pub use extra::*;
pub use handle::{Options, Ring};
#[cfg(feature = "libbpf-names")]
pub use libbpf::*;
pub use prefixed::*;

/// Nothing panics. If something did, aborting would be better than going on with half a record.
#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `abort` may be called at any time.
    unsafe { libc::abort() }
}
