//! A simulated kernel for BPF user ring buffers: test, model-check and fuzz what publishes into one, without root and
//! without a kernel map.
//!
//! The producers of the core run here as they run on the real map; only the memory under them, and the consumer on the
//! other side, are simulated.
//!
//! ```
//! use std::time::Duration;
//! use user_ringbuf_sim::Producer;
//! use user_ringbuf_sim::{FakeKernel, HeapMemory, Script, ScriptedConsumer};
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
//! - **Memory**: [`SimMemory`] is mapped as the kernel maps a ring, and gives samples as slices; [`HeapMemory`] is of
//!   any size, on any platform. [`RingImage`] is a ring as plain values; [`RawAccess`] writes behind everybody's back.
//!   [`Orderings`] weakens one role of the protocol.
//! - **The kernel's side**: [`FakeKernel::drain`] does what `bpf_user_ringbuf_drain` does, check by check. [`Watch`] is
//!   epoll's view of it. [`Fault`] plants a difference, to show that a comparison finds it.
//! - **Time**: [`ScriptedConsumer`] drains by a [`Script`] on a [`VirtualClock`], and [`SimWaiter`] waits for it.
//! - **Accidents**: [`Crash`] kills a producer after its k-th memory operation; [`Hooked`] acts between any two.
//! - **Programs**: [`Program`] is a list of operations, as bytes for fuzzers and as text for people; [`run_on_heap`]
//!   holds one against a reference model.
//! - **Model checking** (feature `loom`): the same producers and the same fake kernel under loom.
//!
//! The example `agent-without-root` tests an agent's own code against a stalling, a slow and a wakeup-less consumer.
//!
//! # How far the likeness goes
//! Return values, consumer positions, samples and wakes are those of the kernel for every ring that a producer or a
//! vandal can leave behind. These differ:
//! - The kernel wakes from an interrupt shortly after the drain; here the wake comes with the drain's end.
//! - A consumer position that is not a multiple of 8 is -EINVAL here. The kernel never stores one, and nobody else can.
//! - Beyond 2^64 bytes the kernel's comparison of positions makes it fall silent for good, and so does the fake.
#![deny(unsafe_code)]

mod clock;
mod consumer;
mod crash;
mod epoll;
#[expect(unsafe_code, reason = "moves the consumer position, by which room is given back")]
mod fake_kernel;
#[expect(unsafe_code, reason = "passes the seam's operations on")]
mod hooked;
#[expect(unsafe_code, reason = "the contract of the kernel's side")]
mod kernel_memory;
#[cfg(feature = "loom")]
pub mod loom;
mod memory;
mod model;
mod operations;
mod orderings;
#[cfg(test)]
mod random;
#[expect(unsafe_code, reason = "repairs rings, and damages them")]
mod runner;

pub use clock::VirtualClock;
pub use consumer::{NeverWoken, Script, ScriptedConsumer, SimWaiter};
pub use crash::{Crash, Mortal};
pub use epoll::{Trigger, Watch};
pub use fake_kernel::{Drained, FakeKernel, Fault, UnknownFault};
pub use hooked::{Fate, Hook, Hooked, STEP_BYTES, Step};
pub use kernel_memory::{KernelMemory, Unsliced};
pub use memory::{BeyondRing, HeapMemory, MemoryError, RawAccess, RingImage, WrongSize};
#[cfg(target_os = "linux")]
pub use memory::{SimMemory, SimView};
pub use model::Answer;
pub use operations::{DecodeError, Finish, MAX_OPERATIONS, Operation, PLACES, ParseError, Program, Tampering};
pub use orderings::{Orderings, UnknownRole, role_by_name};
pub use runner::{Bench, Mismatch, Report, SimBench, run, run_on, run_on_heap, stale_ring};
pub use user_ringbuf_core::*;
