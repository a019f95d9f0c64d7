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

use std::sync::Arc;

use user_ringbuf_linux::{Mapping, Producer};
use user_ringbuf_tests::ring::Ring;

/// A ring of a page, and its producer.
fn page_ring() -> (Ring, Producer<Arc<Mapping>>) {
    let ring = Ring::of_a_page();
    let producer = ring.producer();
    (ring, producer)
}
