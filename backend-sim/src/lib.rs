//! A simulated kernel for BPF user ring buffers: test, model-check and fuzz what publishes into one, without root and
//! without a kernel map.
//!
//! The core's producers run here as they run on the real map; only the memory under them and the consumer on the
//! other side are simulated.
//!
//! ```
//! use std::time::Duration;
//! use user_ringbuf_sim::{FakeKernel, HeapMemory, Producer, Script, ScriptedConsumer};
//!
//! // The fake kernel drains when told to.
//! let memory = HeapMemory::new(4096)?;
//! let mut producer = Producer::attach(&memory)?;
//! producer.push(b"sample")?;
//! let (drained, samples) = FakeKernel::new(&memory).collect(0);
//! assert_eq!((drained.returned, samples), (Ok(1), vec![b"sample".to_vec()]));
//!
//! // Or by a script, on a clock that costs no time: here the ring is full until 5 ms have passed.
//! let consumer = ScriptedConsumer::new(&memory, Script::at(Duration::from_millis(5)));
//! while producer.push(&[0; 24]).is_ok() {}
//! producer.reserve_blocking(24, &mut consumer.waiter(), None)?.submit();
//! assert_eq!(consumer.clock().now(), Duration::from_millis(5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is here
//! - **Memory**: [`SimMemory`] is mapped as the kernel maps a ring, and gives samples as slices; [`HeapMemory`] has any
//!   size, on any platform. [`RingImage`] is a ring as plain values; [`RawAccess`] writes to a ring directly.
//! - **The kernel's side**: [`FakeKernel::drain`] does what `bpf_user_ringbuf_drain` does, check by check. [`Watch`] is
//!   epoll's view of the ring.
//! - **Time**: [`ScriptedConsumer`] drains by a [`Script`] on a [`VirtualClock`], and [`SimWaiter`] waits for it.
//! - **Accidents**: [`Crash`] kills a producer after its k-th memory operation; [`Hooked`] acts between any two.
//! - **Model checking** (feature `loom`): the same producers and the same fake kernel under loom. [`Orderings`] weakens one
//!   role of the protocol.
//!
//! The example `agent-without-root` tests an agent's own code against a stalling, a slow and a wakeup-less consumer.
//!
//! The feature `proof` adds what this project is tested with: programs of operations, a reference model, planted faults, a
//! second reading of the kernel's rules, the loom models. It may change in any release.
//!
//! # How far the likeness goes
//! Return values, consumer positions, samples and wakes are those of the kernel for every ring that a producer or a
//! vandal can leave behind. These differ:
//! - The kernel wakes from an interrupt shortly after the drain; here the wake comes with the drain's end.
//! - A consumer position that is not a multiple of 8 is -EINVAL here. The kernel never stores one, and nothing else can.
//! - Beyond 2^64 bytes the kernel's comparison of positions makes it fall silent for good, and so does the fake.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[expect(unsafe_code, reason = "passes the seam's operations on")]
mod accidents;
#[expect(unsafe_code, reason = "moves the consumer position, by which room is given back")]
pub mod kernel;
#[cfg(feature = "loom")]
pub mod loom;
mod memory;
#[cfg(feature = "proof")]
pub mod proof;
mod time;

pub use accidents::{Crash, Fate, Hook, Hooked, Mortal, STEP_BYTES, Step};
pub use kernel::{Drained, FakeKernel, Trigger, Watch};
pub use memory::{
    BeyondRing, HeapMemory, KernelMemory, MemoryError, Orderings, RawAccess, RingImage, Unsliced, WrongSize,
};
#[cfg(target_os = "linux")]
pub use memory::{SimMemory, SimView};
pub use time::{NeverWoken, Script, ScriptedConsumer, SimWaiter, VirtualClock};
pub use user_ringbuf_core::*;

/// The examples in `README.md` are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
