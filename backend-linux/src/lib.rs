//! The real kernel behind `user-ringbuf`: `BPF_MAP_TYPE_USER_RINGBUF` maps, without libbpf.
//!
//! - [`Map`] finds or makes a map, and says what the kernel says about it.
//! - [`Mapping`] is its memory, on which the core's [`Producer`] and [`Shared`] work; [`MappingView`] only looks.
//! - [`EpollWaiter`] sleeps until a drain makes room.
//! - [`DrainProgram`] is a consumer in the kernel, for self-tests.
//! - [`probe()`] says what this kernel has, and what this process may do.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod asynchronous;
mod bpf;
mod claim;
mod drain;
mod fd;
mod holders;
mod map;
mod mapping;
mod probe;
mod sysctl;
mod wait;

#[cfg(feature = "std")]
pub use asynchronous::{AsyncError, AsyncProducer, AsyncShared, Reactor, ReactorError, WakeFd};
#[cfg(feature = "async-io")]
pub use asynchronous::{AsyncIoProducer, AsyncIoShared};
#[cfg(feature = "tokio")]
pub use asynchronous::{TokioProducer, TokioShared};
pub use bpf::{BpfCommand, BpfError};
pub use drain::{DrainError, DrainOptions, DrainProgram, Drained, MAX_LOG, Samples, WakeupFlags};
#[cfg(feature = "alloc")]
pub use holders::Holders;
pub use holders::{Claimant, Holder};
pub use map::{Capability, MAX_NAME, MAX_SIZE, Map, MapError, map_type_name, rounded_size};
pub use mapping::{Claim, Mapping, MappingError, MappingRef, MappingView};
pub use probe::{KernelRelease, Obstacle, Probe, Support, probe};
pub use user_ringbuf_core::*;
pub use wait::{Canceller, EpollWaiter, Recheck, Spin, WaiterError, Yield};
