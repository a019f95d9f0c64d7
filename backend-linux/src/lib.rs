//! The real kernel behind `user-ringbuf`: `BPF_MAP_TYPE_USER_RINGBUF` maps, without libbpf.
//!
//! [`Map`] finds or makes a map and says what the kernel says about it. [`DrainProgram`] is a
//! consumer in the kernel, for self-tests. [`probe()`] says what this kernel has and what this process may do.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bpf;
mod drain;
mod map;
mod probe;

pub use bpf::{BpfCommand, BpfError};
pub use drain::{DrainError, DrainOptions, DrainProgram, Drained, MAX_LOG, Samples, WakeupFlags};
pub use map::{Capability, MAX_NAME, MAX_SIZE, Map, MapError, map_type_name, rounded_size};
pub use probe::{KernelRelease, Obstacle, Probe, Support, probe};
