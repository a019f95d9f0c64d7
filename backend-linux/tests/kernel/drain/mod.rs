//! The drain program on rings written by hand.

mod handle;
mod kernel;
mod received;

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use user_ringbuf_linux::{
    BpfCommand, Capability, DrainError, DrainOptions, DrainProgram, MAX_LOG, Map, MapError, WakeupFlags,
};

use crate::support::ring::{BUSY, DISCARD, RawRing};
use crate::support::{may_bpf, objects, without_rights};

/// The most records that the kernel takes in one drain.
const BATCH: u32 = 131_072;
/// The longest sample, the limit of a dynptr.
const LONGEST: usize = (1 << 24) - 1;

const QUIET: DrainOptions = DrainOptions::new().wakeup(WakeupFlags::NEVER);

fn setup(ring: u64, log_bytes: usize) -> (RawRing, DrainProgram) {
    let map = Map::create("drain_test", ring).unwrap();
    let program = DrainProgram::load(&map, log_bytes).unwrap_or_else(|error| panic!("{error}"));
    (RawRing::new(&map), program)
}

/// Bytes that differ with length and place.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = u64::try_from(len).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[7]
        })
        .collect()
}
