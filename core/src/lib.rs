//! The user ring buffer protocol: how user space publishes samples that a BPF program drains from a
//! `BPF_MAP_TYPE_USER_RINGBUF` map.
//!
//! This crate reserves and submits over *abstract* memory. A backend supplies the memory and every atomic access
//! ([`RingMemory`]): `user-ringbuf-linux` over the kernel's map, `user-ringbuf-sim` over a simulated one. The crate needs
//! no std, no allocator and no dependency, and knows no operating system.
//!
//! # Example
//! On a simulated ring of 64 bytes, with a simulated kernel that drains it:
//! ```
//! use user_ringbuf_core::{Producer, ReserveError};
//! use user_ringbuf_sim::{FakeKernel, HeapMemory};
//!
//! let memory = HeapMemory::new(64)?;
//! let mut producer = Producer::attach(&memory)?;
//!
//! // Reserve a sample, fill it in place, submit it. A record is 8 bytes of header, the sample, and padding.
//! let mut sample = producer.reserve(5)?;
//! sample.write(0, b"hello")?;
//! let end = sample.submit();
//! assert_eq!(producer.used()?, 16);
//!
//! // A batch becomes visible all at once, or not at all.
//! let mut batch = producer.batch();
//! batch.push(b"one")?;
//! batch.push(b"two")?;
//! batch.submit()?;
//!
//! // A full ring is an error, with the numbers in it; nothing waits unless it is asked to.
//! assert_eq!(producer.push(&[0; 32]), Err(ReserveError::Full { needed: 40, available: 16 }));
//!
//! // The kernel drains, and the room is free again.
//! let (_, samples) = FakeKernel::new(&memory).collect(0);
//! assert_eq!(samples, [&b"hello"[..], b"one", b"two"]);
//! assert!(producer.is_consumed(end));
//! producer.push(&[0; 32])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which producer
//! - [`Producer`] is the exclusive one, for one thread at a time. Its [`Sample`]s and [`Batch`]es are invisible to the
//!   kernel until they are submitted, and leave no trace if they are dropped.
//! - [`DetachedSample`]s ([`Producer::reserve_detached`]) are not bound to the producer: several at once, from any thread,
//!   submitted in any order.
//! - A [`Lane`] is a stretch of the ring for one thread, which publishes many samples in it without touching shared words.
//!   An [`AutoLane`] takes and gives up lanes by itself.
//! - [`Shared`] is a producer for many threads, without a lock.
//! - [`Raw`] keeps libbpf's contract instead, for those who share a ring with it.
//!
//! # Looking at a ring, and repairing it
//! [`Survey`] and [`Records`] walk a ring and say whether the kernel can take what is in it. [`repair()`] frees a ring whose
//! producer is gone.
//!
//! # The protocol
//! - [`Header`], [`RingSize`], [`SampleLen`] and [`Position`] are its arithmetic: all lengths and positions are in bytes.
//! - [`Role`] is the ordering table: every atomic access, and what it pairs with.
//! - [`kernel`] has the flags, the limit and the errors of a drain.
//!
//! Nothing here panics, whatever the shared memory holds: what is read from it is checked before it is used.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod error;
mod format;
mod observe;
mod produce;
mod seam;
mod wait;

pub use error::{AttachError, AttachFailed, ReserveError};
pub use format::header::{BUSY_BIT, DISCARD_BIT, HEADER_LEN, Header, RecordState};
pub use format::layout::{MAX_SAMPLE_LEN, RingSize, SampleLen, SizeError, record_extent};
pub use format::position::{Corruption, Position};
pub use observe::records::{Damage, Record, Records};
pub use observe::repair::{Repair, plan_repair, repair};
pub use observe::survey::{Survey, Tally, Verdict};
pub use produce::auto_lane::{AutoLane, AutoSample};
pub use produce::batch::{Batch, BatchSample};
pub use produce::detached::DetachedSample;
pub use produce::lane::{Lane, LaneSample};
pub use produce::payload::{BeyondSample, Payload};
pub use produce::producer::Producer;
pub use produce::raw::Raw;
pub use produce::sample::Sample;
pub use produce::shared::Shared;
pub use seam::kernel::{self, KernelError};
pub use seam::memory::{ContiguousMemory, RingId, RingMemory, RingPositions, RingView};
pub use seam::role::Role;
pub use wait::{BlockingError, MAX_TIMEOUT, Wait, Wake};

/// The examples in `README.md` are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
