//! The real kernel behind `user-ringbuf`: `BPF_MAP_TYPE_USER_RINGBUF` maps, without libbpf.
//!
//! - [`Map`] finds or makes a map, and says what the kernel says about it.
//! - [`Mapping`] is its memory, on which the core's [`Producer`] and [`Shared`] work; [`MappingView`] only looks.
//! - [`EpollWaiter`] sleeps until a drain makes room.
//! - [`DrainProgram`] is a consumer in the kernel, for self-tests.
//! - [`probe()`] says what this kernel has, and what this process may do.
//!
//! # Which producer
//! `Producer<&Mapping>` borrows its memory and lives in a scope. `Producer<Mapping>` owns it: a struct can hold one, and a
//! thread can take it along. `Producer<Arc<Mapping>>` besides hands out [`DetachedSample`]s and [`Lane`]s that are sent to
//! other threads ([`Mapping`] has an example). The example `sensor` is a whole program of the second kind: it notices that
//! its ring was replaced ([`Map::is_pinned_at`]), opens the new one, waits for room, and ends when another thread says so.
//!
//! # Errors
//! Each error says what went wrong, with the numbers involved; its documentation says what to do next. A report that walks the
//! chain of causes tells each of them once:
//! - An inner error is the [`source`](core::error::Error::source), and its text is not part of the outer one's.
//! - A variant that only passes another error on ([`MapError::Bpf`]) has that error's text and source.
//! - An error number is part of the error that carries it, as in `std::io::Error`, and not a source.
//! - The core's errors tell what they hold in their own text, and have no source.
//!
//! # Types of other crates
//! What this crate takes and returns, and does not define, can be named through it: [`Errno`], [`Arg`] (a path, as text, as
//! `OsStr` and `Path`, or as a C string), and the descriptors of std or, without std, of rustix.
#![no_std]
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
pub use asynchronous::{AsyncError, AsyncProducer, AsyncShared, NotAsync, Reactor, ReactorError, WakeFd};
// The type that the aliases of each runtime are made with.
#[cfg(feature = "async-io")]
pub use ::async_io::Async;
#[cfg(feature = "tokio")]
pub use ::tokio::io::unix::AsyncFd;
#[cfg(feature = "async-io")]
pub use asynchronous::{AsyncIoProducer, AsyncIoShared};
#[cfg(feature = "tokio")]
pub use asynchronous::{TokioProducer, TokioShared};
pub use bpf::{BpfCommand, BpfError};
pub use drain::{DrainError, DrainOptions, DrainProgram, Drained, MAX_LOG, Samples, WakeupFlags};
#[cfg(feature = "alloc")]
pub use holders::Holders;
pub use holders::{Claimant, Holder};
pub use map::{Capability, FromFdError, MAX_NAME, MAX_SIZE, Map, MapError, PathTail, map_type_name, rounded_size};
pub use mapping::{Claim, Mapping, MappingError, MappingRef, MappingView};
pub use probe::{KernelRelease, Obstacle, Probe, Support, probe};
pub use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
pub use rustix::io::Errno;
pub use rustix::path::Arg;
pub use user_ringbuf_core::*;
pub use wait::{Canceller, EpollWaiter, Recheck, Spin, WaiterError, Yield};
