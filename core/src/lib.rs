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

#[expect(unsafe_code, reason = "claims the room that it found")]
mod batch;
#[expect(unsafe_code, reason = "splits the record that it holds")]
mod busy;
#[expect(unsafe_code, reason = "gives its own claim back")]
mod claim;
mod detached;
mod error;
mod header;
pub mod kernel;
mod lane;
mod layout;
#[expect(unsafe_code, reason = "the contract of the seam")]
mod memory;
#[expect(unsafe_code, reason = "writes into the record that it holds")]
mod payload;
mod position;
#[expect(unsafe_code, reason = "claims the room that it found")]
mod producer;
#[expect(unsafe_code, reason = "callers keep the contract, as in C")]
mod raw;
#[expect(unsafe_code, reason = "reads headers at checked positions")]
mod records;
#[expect(unsafe_code, reason = "writes into records whose producer is gone")]
mod repair;
mod reservations;
mod role;
mod sample;
#[expect(unsafe_code, reason = "claims the room that it took")]
mod shared;
mod survey;
mod wait;

pub use batch::{Batch, BatchSample};
pub use detached::DetachedSample;
pub use error::{AttachError, AttachFailed, BeyondSample, ReserveError, SizeError};
pub use header::{BUSY_BIT, DISCARD_BIT, HEADER_LEN, Header, RecordState};
pub use kernel::KernelError;
pub use lane::{Lane, LaneSample};
pub use layout::{MAX_EXTENT, MAX_SAMPLE_LEN, RECORD_ALIGN, RingSize, SampleLen, record_extent};
pub use memory::{ContiguousMemory, RingId, RingMemory, RingPositions, RingView};
pub use payload::Payload;
pub use position::{Corruption, Position};
pub use producer::Producer;
pub use raw::Raw;
pub use records::{Damage, Record, Records};
pub use repair::{Repair, plan_repair, repair};
pub use role::Role;
pub use sample::Sample;
pub use shared::Shared;
pub use survey::{Survey, Tally, Verdict};
pub use wait::{BlockingError, MAX_TIMEOUT, Wait, Wake};

/// The examples in `README.md` are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
