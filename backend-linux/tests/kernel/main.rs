//! The crate against the real kernel.
//!
//! What needs rights asks [`user_ringbuf_kit::rights`] first: without them a test says that it was skipped, and with
//! `USER_RINGBUF_REQUIRE_KERNEL=1` it fails.

mod drain;
mod map;
mod map_of_rings;
mod probe;
mod waiting;
