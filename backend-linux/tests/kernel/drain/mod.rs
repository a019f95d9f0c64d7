//! The drain program on rings written by hand.

mod handle;
mod kernel;
mod received;

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::objects;
use user_ringbuf_kit::random;
use user_ringbuf_kit::raw::{BUSY, DISCARD, RawProducer};
use user_ringbuf_kit::rights::without_rights;
use user_ringbuf_linux::{BpfCommand, Capability, DrainError, DrainOptions, DrainProgram, Map, MapError, WakeupFlags};

/// The most records that the kernel takes in one drain.
const BATCH: u32 = 131_072;
/// The longest sample, the limit of a dynptr.
const LONGEST: usize = (1 << 24) - 1;

const QUIET: DrainOptions = DrainOptions::new().wakeup(WakeupFlags::NEVER);

fn setup(ring: u64, log_bytes: usize) -> (RawProducer, DrainProgram) {
    let map = Map::create("drain_test", ring).unwrap();
    let program = DrainProgram::load(&map, log_bytes).unwrap_or_else(|error| panic!("{error}"));
    (RawProducer::new(&map), program)
}

/// Bytes that differ with length and place.
fn pattern(len: usize) -> Vec<u8> {
    random::pattern(len, len)
}

/// Drains, and sees that these samples come, and all of them are logged.
#[track_caller]
fn comes<S: AsRef<[u8]>>(program: &mut DrainProgram, samples: impl IntoIterator<Item = S>) {
    let drained = program.run(&QUIET).unwrap();
    let samples: Vec<_> = samples.into_iter().collect();
    assert_eq!((drained.returned(), drained.unlogged()), (Ok(u32::try_from(samples.len()).unwrap()), 0));
    let lengths = || samples.iter().map(|sample| sample.as_ref().len()).collect::<Vec<_>>();
    assert!(drained.samples().eq(samples.iter().map(AsRef::as_ref)), "not these samples of {:?} bytes", lengths());
}
