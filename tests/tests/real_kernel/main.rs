//! Every operation of a producer against the real kernel: what goes in is what a BPF program gets.
//!
//! Each test makes a ring of its own, with a consumer in the kernel that hands back what it saw. Without rights a test
//! says that it was skipped; with `USER_RINGBUF_REQUIRE_KERNEL=1` it fails then.

mod batch;
mod detached;
mod full;
mod lanes;
mod large;
mod layout;
mod pins;
mod positions;
mod producer;
mod reopen;
mod shared;
mod turns;
