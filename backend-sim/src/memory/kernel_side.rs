//! The kernel's own view of a ring: what `bpf_user_ringbuf_drain` reads and writes, and in which ordering.
//!
//! The fake kernel is generic over this trait, which ordinary simulated memory and the model checker's memory implement.
//! Its orderings are the kernel's and are never weakened: the tests weaken the producer's side.

use user_ringbuf_core::{Header, RingId, RingSize};

/// An identity: no other object has this address while the memory lives there.
pub(crate) fn ring_id_at<T>(address: *const T) -> RingId {
    RingId::new(address.addr() as u64)
}

/// A ring as the kernel sees it.
///
/// # Safety
/// Implementations promise, for as long as the value lives:
///
/// 1. The loads give what stands in the ring, in the ordering that is named, and
///    [`kernel_begin_drain`](Self::kernel_begin_drain) returns `true` once until the drain is ended.
/// 2. They may take place beside everything that this process does to the ring, its producer's work included: as for a
///    [`RingView`](user_ringbuf_core::RingView).
/// 3. Each reference or clone stands for the same ring.
pub unsafe trait KernelMemory {
    /// Size of the data area.
    fn size(&self) -> RingSize;

    /// The ring's identity, the same as its producer's memory reports, so that a waiter for another ring is refused.
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
    ///
    /// # Safety
    /// The caller has begun a drain, and `position` is where a record ends that was submitted or discarded, the first
    /// behind the old position. Over memory that lends no slices of samples ([`Unsliced`]), any position at any time.
    unsafe fn kernel_store_consumer(&self, position: u64);

    /// `atomic_try_cmpxchg(&rb->busy, 0, 1)`: whether this drain may begin.
    fn kernel_begin_drain(&self) -> bool;

    /// `atomic_set_release(&rb->busy, 0)`.
    ///
    /// # Safety
    /// The caller has begun the drain, and stores no consumer position any more. Over [`Unsliced`] memory, at any time.
    unsafe fn kernel_end_drain(&self);
}

/// Memory that lends no slice of a sample, so that a test may do anything to it: store any position, write any byte, lose
/// any store of the producer. At worst a sample holds garbage.
///
/// # Safety
/// 1. Nothing that is done to the ring through this value's traits is undefined behaviour, whatever stands in it and
///    however many threads do it: each byte of the data area is an atomic word, or a checked cell.
/// 2. The same ring is reachable through no value that is
///    [`ContiguousMemory`](user_ringbuf_core::ContiguousMemory).
pub unsafe trait Unsliced {}

macro_rules! forward_kernel_memory {
    ($($pointer:tt)*) => {
        // SAFETY: a pointer to a ring stands for that ring, which keeps every obligation itself.
        unsafe impl<M: KernelMemory + ?Sized> KernelMemory for $($pointer)* {
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

            unsafe fn kernel_store_consumer(&self, position: u64) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).kernel_store_consumer(position) };
            }

            fn kernel_begin_drain(&self) -> bool {
                (**self).kernel_begin_drain()
            }

            unsafe fn kernel_end_drain(&self) {
                // SAFETY: the caller's promise is passed on.
                unsafe { (**self).kernel_end_drain() };
            }
        }

        // SAFETY: as above.
        unsafe impl<M: Unsliced + ?Sized> Unsliced for $($pointer)* {}
    };
}

forward_kernel_memory!(&M);
forward_kernel_memory!(std::sync::Arc<M>);
