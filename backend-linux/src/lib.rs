//! BPF user ring buffers (`BPF_MAP_TYPE_USER_RINGBUF`) on the real kernel, without libbpf.
//!
//! - [`Map`] opens a map (by pin, id or descriptor) or creates one, and reports what the kernel says about it.
//! - [`Mapping`] is the map's memory, on which the core's producers work. [`MappingView`] is read-only.
//! - [`EpollWaiter`] sleeps until a drain makes room; [`Spin`] and [`Yield`] don't sleep.
//! - [`DrainProgram`] is a consumer in the kernel, for self-tests.
//! - [`probe()`] finds out what this kernel supports, and what this process may do.
//!
//! # Example
//! A ring and both of its ends in one program. Creating a map and loading the consumer need `CAP_BPF`; a producer needs
//! only access to the map, which usually comes from [`Map::from_pin`].
//! ```
//! use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, Producer};
//!
//! # if std::env::var_os("USER_RINGBUF_REQUIRE_KERNEL").is_none() && Map::create("example", 65536).is_err() {
//! #     return Ok(()); // no rights here, or an older kernel
//! # }
//! let map = Map::create("example", 65536)?;
//! let mut consumer = DrainProgram::load(&map, 4096)?;
//!
//! let mapping = Mapping::new(&map)?;
//! let mut producer = Producer::attach(&mapping)?;
//! let mut sample = producer.reserve(5)?;
//! sample.copy_from_slice(b"hello");
//! let end = sample.submit();
//!
//! let drained = consumer.run(&DrainOptions::new())?;
//! assert_eq!(drained.returned(), Ok(1));
//! assert!(drained.samples().eq([b"hello"]));
//! assert!(producer.is_consumed(end));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which producer
//! `Producer<&Mapping>` borrows its memory, for use within a scope. `Producer<Mapping>` owns it: a struct can hold it,
//! and a thread can take it along. `Producer<Arc<Mapping>>` can also hand out [`DetachedSample`]s and [`Lane`]s that
//! are sent to other threads ([`Mapping`] has an example). The example `sensor` is a whole program of the second kind:
//! it notices that its ring was replaced ([`Map::is_pinned_at`]), opens the new one, waits for room, and ends when
//! another thread asks for it.
//!
//! # Errors
//! Each error says what went wrong, with the numbers involved; its documentation says what to do next. A report that
//! walks the chain of causes shows each of them once:
//! - An inner error is the [`source`](core::error::Error::source), and its text is not part of the outer one's.
//! - A variant that only passes another error on ([`MapError::Bpf`]) has that error's text and source.
//! - An error number is part of the error that carries it, as in `std::io::Error`, and not a source.
//! - The core's errors show everything in their own text, and have no source.
//!
//! # Types of other crates
//! What this crate takes and returns, and does not define, can be named through it: [`Errno`], [`Arg`] (a path, as
//! text, as `OsStr` and `Path`, or as a C string), and the descriptors of std or, without std, of rustix.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

/// The manual, as it stands in `GUIDE.md`.
#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("../GUIDE.md")]
pub mod guide {}

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
pub use asynchronous::{AsyncError, AsyncProducer, AsyncSet, AsyncShared, NotAsync, Reactor, ReactorError, WakeFd};
// The type that the aliases of each runtime are made with.
#[cfg(feature = "async-io")]
pub use ::async_io::Async;
#[cfg(feature = "tokio")]
pub use ::tokio::io::unix::AsyncFd;
#[cfg(feature = "async-io")]
pub use asynchronous::{AsyncIoProducer, AsyncIoSet, AsyncIoShared};
#[cfg(feature = "tokio")]
pub use asynchronous::{TokioProducer, TokioSet, TokioShared};
pub use bpf::{BpfCommand, BpfError};
pub use drain::{DrainError, DrainOptions, DrainProgram, Drained, MAX_LOG, Samples, WakeupFlags};
pub use holders::{Claimant, Holder};
#[cfg(feature = "alloc")]
pub use holders::{Holders, OpenMaps};
pub use map::{
    Capability, FromFdError, MAX_NAME, MAX_SIZE, Map, MapError, MapIds, MapOfRings, MapOfRingsError, PathTail,
    map_type_name, rounded_size,
};
pub use mapping::{Claim, Mapping, MappingError, MappingRef, MappingView};
pub use probe::{KernelRelease, Obstacle, Probe, Support, probe};
pub use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
pub use rustix::io::Errno;
pub use rustix::path::Arg;
pub use user_ringbuf_core::*;
pub use wait::{Canceller, EpollWaiter, Recheck, Spin, WaiterError, Yield};
#[cfg(feature = "alloc")]
pub use wait::{RingSet, RingSetError, Woken};

/// The examples in `README.md` are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
