//! The kernel's own view of a ring: what `bpf_user_ringbuf_drain` reads and writes, and in which ordering.
//!
//! The fake kernel is written once over this trait; ordinary simulated memory and the model checker's memory supply
//! it. Its orderings are the kernel's and are never weakened: what the tests weaken is the producer's side.

use user_ringbuf_core::{Header, RingId, RingSize};

/// No other object has this address as long as the memory lives there.
pub(crate) fn ring_id_at<T>(address: *const T) -> RingId {
    RingId::new(address.addr() as u64)
}

/// A ring as the kernel sees it.
pub trait KernelMemory {
    /// Size of the data area.
    fn size(&self) -> RingSize;

    /// Which ring this is: what its producer's memory says too, so that a waiter for another one is refused.
    fn kernel_ring_id(&self) -> RingId;

    /// `smp_load_acquire(&rb->producer_pos)` in `__bpf_user_ringbuf_peek`.
    fn kernel_load_producer(&self) -> u64;

    /// `smp_load_acquire(&rb->consumer_pos)` in `__bpf_user_ringbuf_peek`.
    fn kernel_load_consumer(&self) -> u64;

    /// `smp_load_acquire(hdr)`: the length word at `offset`, a multiple of 8 below the ring's size.
    fn kernel_load_header(&self, offset: u32) -> Header;

    /// What the program reads through its dynptr: `len` bytes behind the header at `offset`, across the end of the
    /// data area if need be. `len` is at most the ring's size less 8. Replaces what `into` held.
    fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>);

    /// `smp_store_release(&rb->consumer_pos, ..)` in `__bpf_user_ringbuf_sample_release`.
    fn kernel_store_consumer(&self, position: u64);

    /// `atomic_try_cmpxchg(&rb->busy, 0, 1)`: whether this drain may begin.
    fn kernel_begin_drain(&self) -> bool;

    /// `atomic_set_release(&rb->busy, 0)`.
    fn kernel_end_drain(&self);
}

macro_rules! forward_kernel_memory {
    ($($pointer:tt)*) => {
        impl<M: KernelMemory + ?Sized> KernelMemory for $($pointer)* {
            fn size(&self) -> RingSize {
                (**self).size()
            }

            fn kernel_ring_id(&self) -> RingId {
                (**self).kernel_ring_id()
            }

            fn kernel_load_producer(&self) -> u64 {
                (**self).kernel_load_producer()
            }

            fn kernel_load_consumer(&self) -> u64 {
                (**self).kernel_load_consumer()
            }

            fn kernel_load_header(&self, offset: u32) -> Header {
                (**self).kernel_load_header(offset)
            }

            fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
                (**self).kernel_read_sample(offset, len, into);
            }

            fn kernel_store_consumer(&self, position: u64) {
                (**self).kernel_store_consumer(position);
            }

            fn kernel_begin_drain(&self) -> bool {
                (**self).kernel_begin_drain()
            }

            fn kernel_end_drain(&self) {
                (**self).kernel_end_drain();
            }
        }
    };
}

forward_kernel_memory!(&M);
forward_kernel_memory!(std::sync::Arc<M>);
