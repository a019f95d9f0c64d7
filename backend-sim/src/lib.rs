//! A simulated kernel for BPF user ring buffers.
#![deny(unsafe_code)]

mod clock;
mod consumer;
mod crash;
mod epoll;
mod fake_kernel;
#[expect(unsafe_code, reason = "passes the seam's operations on")]
mod hooked;
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
pub use fake_kernel::{DrainError, Drained, FakeKernel, Fault, UnknownFault};
pub use hooked::{Fate, Hook, Hooked, STEP_BYTES, Step};
pub use kernel_memory::KernelMemory;
#[cfg(target_os = "linux")]
pub use memory::SimMemory;
pub use memory::{BeyondRing, HeapMemory, MemoryError, RawAccess, RingImage, WrongSize};
pub use model::Answer;
pub use operations::{Damage, DecodeError, Finish, MAX_OPERATIONS, Operation, PLACES, ParseError, Program};
pub use orderings::{Orderings, UnknownRole, role_by_name};
pub use runner::{Bench, Mismatch, Report, SimBench, run, run_on, run_on_heap, stale_ring};
pub use user_ringbuf_core as core;
