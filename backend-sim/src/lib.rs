//! A simulated kernel for BPF user ring buffers.

mod fake_kernel;
mod kernel_memory;

pub use fake_kernel::{DrainError, Drained, FakeKernel, Fault, UnknownFault};
pub use kernel_memory::KernelMemory;
pub use user_ringbuf_core as core;
