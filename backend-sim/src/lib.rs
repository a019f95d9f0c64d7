//! A simulated kernel for BPF user ring buffers.

mod kernel_memory;

pub use kernel_memory::KernelMemory;
pub use user_ringbuf_core as core;
