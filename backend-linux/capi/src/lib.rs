//! libbpf's `user_ring_buffer` as a C library of its own: the same six functions, without libbpf.
//!
//! What each function does is said in `user_ringbuf.h`; how it is built and installed, in `README.md`. The functions are
//! thin: [`handle`] owns a ring's mapping and wait queue, the core's `Raw` does the work, and [`errno`] words what went
//! wrong as libbpf does. Nothing here is for Rust programs, which want `user-ringbuf-linux`.
//!
//! Invariant: nothing unwinds into C, because nothing panics; what is installed is built with `panic = "abort"` besides.
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

/// Nothing panics; were it not so, a process that ends is better than one that goes on with half a record.
#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `abort` may be called at any time.
    unsafe { libc::abort() }
}
