//! The user ring buffer protocol: how user space publishes samples that a BPF program drains from a
//! `BPF_MAP_TYPE_USER_RINGBUF` map.
//!
//! This crate reserves and submits over *abstract* memory: a backend supplies the memory and every atomic
//! ([`RingMemory`]), `user-ringbuf-linux` over the real map and `user-ringbuf-sim` over a simulated one. It needs no
//! std, no allocator and no dependency, and knows no operating system.
//!
//! - [`Producer`] is the one exclusive writer: [`Sample`]s and [`Batch`]es that the kernel sees only once submitted.
//! - [`Role`] is the ordering table: every atomic access and what it pairs with.
//! - [`Header`], [`RingSize`], [`Position`] are the arithmetic of the protocol.
//!
//! Nothing here panics, whatever the shared memory says: what is read from it is checked before it is used.
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
