//! The kernel's side of a model: the fake kernel, and what must never come of its drains.

use std::sync::Arc;

use ::loom::thread::JoinHandle;
use user_ringbuf_core::kernel::NO_WAKEUP;
use user_ringbuf_core::{Header, RingId, RingSize};

use super::verify;
use crate::loom::LoomMemory;
use crate::{FakeKernel, KernelError, KernelMemory};

/// Drains what is there into `taken`, and says how many samples that were.
pub(super) fn drain<M: KernelMemory>(memory: M, taken: &mut Vec<Vec<u8>>) -> u32 {
    try_drain(memory, taken).expect("one drainer only")
}

/// Drains once beside these threads and once behind them. Returns what came out, and what the threads returned.
pub(super) fn drain_beside<T, const N: usize>(
    memory: &Arc<LoomMemory>,
    threads: [JoinHandle<T>; N],
) -> (Vec<Vec<u8>>, [T; N]) {
    let mut taken = Vec::new();
    drain(memory, &mut taken);
    let returned = threads.map(|thread| thread.join().expect("no panic"));
    drain(memory, &mut taken);
    (taken, returned)
}

/// Panics if there is a sample left to drain.
pub(super) fn finds_nothing(memory: &Arc<LoomMemory>) {
    let mut taken = Vec::new();
    drain(memory, &mut taken);
    verify::same::<&[u8]>(&taken, &[]);
}

/// As [`drain`], where another drain may be at work: `None` for the kernel's -EBUSY.
pub(super) fn try_drain<M: KernelMemory>(memory: M, taken: &mut Vec<Vec<u8>>) -> Option<u32> {
    check(drain_jammed(memory, taken))
}

/// As [`drain`], where the ring may be jammed: what was drained before an error is `taken` all the same.
pub(super) fn drain_jammed<M: KernelMemory>(memory: M, taken: &mut Vec<Vec<u8>>) -> Result<u32, KernelError> {
    let (drained, samples) = FakeKernel::new(memory).collect(NO_WAKEUP);
    taken.extend(samples);
    drained.returned
}

/// What a drain of a sound ring returned: `None` for the kernel's -EBUSY.
pub(super) fn check(returned: Result<u32, KernelError>) -> Option<u32> {
    match returned {
        Ok(count) => Some(count),
        Err(KernelError::Busy) => None,
        // Memory that a correct producer wrote does not jam a kernel: what was read there was not a header yet.
        Err(error) => panic!("stale header: {error}"),
    }
}

/// A ring whose kernel counts positions from elsewhere. The kernel compares positions as plain numbers, and is silent
/// forever once the producer has passed 2^64; the core goes on, and this lets a kernel go on with it.
#[derive(Debug)]
pub(super) struct Shifted {
    memory: Arc<LoomMemory>,
    by: u64,
}

impl Shifted {
    /// `by` is a multiple of the ring's size, so that offsets stay the same.
    pub(super) fn new(memory: Arc<LoomMemory>, by: u64) -> Self {
        Self { memory, by }
    }
}

// SAFETY: the ring's own loads and stores, its positions counted from elsewhere by a multiple of its size.
unsafe impl KernelMemory for Shifted {
    fn size(&self) -> RingSize {
        KernelMemory::size(&self.memory)
    }

    fn kernel_ring_id(&self) -> RingId {
        self.memory.kernel_ring_id()
    }

    fn kernel_load_producer(&self) -> u64 {
        self.memory.kernel_load_producer().wrapping_add(self.by)
    }

    fn kernel_load_consumer(&self) -> u64 {
        self.memory.kernel_load_consumer().wrapping_add(self.by)
    }

    fn kernel_load_header(&self, offset: u32) -> Header {
        self.memory.kernel_load_header(offset)
    }

    fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
        self.memory.kernel_read_sample(offset, len, into);
    }

    unsafe fn kernel_store_consumer(&self, position: u64) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.kernel_store_consumer(position.wrapping_sub(self.by)) };
    }

    fn kernel_begin_drain(&self) -> bool {
        self.memory.kernel_begin_drain()
    }

    unsafe fn kernel_end_drain(&self) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.kernel_end_drain() };
    }
}
