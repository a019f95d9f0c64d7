//! The fake kernel: a drain that does what `bpf_user_ringbuf_drain` does, check by check and in its order.
//!
//! Written once over [`KernelMemory`], so that it runs on ordinary simulated memory and under the model checker alike.
//! Invariants: it never panics and never reads outside the data area, whatever stands in memory; it stores nothing
//! but the consumer position. Kernel counterpart: `bpf_user_ringbuf_drain`, `__bpf_user_ringbuf_peek` and
//! `__bpf_user_ringbuf_sample_release` in `kernel/bpf/ringbuf.c`.

mod drained;
mod fault;

use core::ops::ControlFlow;

use user_ringbuf_core::drain::{FORCE_WAKEUP, MAX_RECORDS_PER_DRAIN, NO_WAKEUP};
use user_ringbuf_core::{BUSY_BIT, MAX_SAMPLE_LEN, Position, RecordState, record_extent};

use crate::kernel_memory::KernelMemory;
pub use drained::{DrainError, Drained};
pub use fault::{Fault, UnknownFault};

/// The kernel's side of one simulated ring.
///
/// ```
/// use std::ops::ControlFlow;
/// use user_ringbuf_sim::{DrainError, FakeKernel, KernelMemory};
///
/// fn first_sample<M: KernelMemory>(kernel: &FakeKernel<M>) -> Option<Vec<u8>> {
///     let mut first = None;
///     let drained = kernel.drain(0, |sample| {
///         first = Some(sample.to_vec());
///         // As the BPF callback's `return 1`: this sample is consumed, the next one waits.
///         ControlFlow::Break(())
///     });
///     assert!(drained.returned.is_ok());
///     first
/// }
/// ```
#[derive(Debug)]
#[doc(alias = "bpf_user_ringbuf_drain")]
pub struct FakeKernel<M> {
    memory: M,
    fault: Option<Fault>,
}

/// What `__bpf_user_ringbuf_peek` answers.
enum Peek {
    /// A sample of `len` bytes behind the header at `offset`; releasing it stores `end`.
    Sample { offset: u32, len: u32, end: Position },
    /// -EAGAIN: a discarded record was skipped, and `consumer_pos` is behind it already.
    Discarded,
    /// -ENODATA: nothing there, or nothing that may be looked at.
    Nothing,
    /// An error that the drain returns.
    Error(DrainError),
}

impl<M: KernelMemory> FakeKernel<M> {
    /// A kernel that does everything right.
    pub fn new(memory: M) -> Self {
        Self { memory, fault: None }
    }

    /// A kernel with a planted fault, for showing that a comparison with the real one finds it.
    pub fn with_fault(memory: M, fault: Fault) -> Self {
        Self { memory, fault: Some(fault) }
    }

    /// The memory that this kernel works on.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Drains once: `bpf_user_ringbuf_drain(map, callback, ctx, flags)`.
    ///
    /// `flags` may hold [`NO_WAKEUP`] and [`FORCE_WAKEUP`]; the callback gets each submitted sample and says whether
    /// to go on (the BPF callback's 0) or to stop behind this one (its 1). At most [`MAX_RECORDS_PER_DRAIN`] records
    /// are taken, discarded ones counted. `consumer_pos` is stored after each record, so what came before an error or a
    /// stop stays consumed. The callback may drain again, and gets [`DrainError::Busy`] as in the kernel.
    ///
    /// Should the callback panic, the ring stays busy for every later drain.
    ///
    /// # Minimum kernel version
    /// The helper that this imitates came with Linux 6.1.
    pub fn drain(&self, flags: u64, mut callback: impl FnMut(&[u8]) -> ControlFlow<()>) -> Drained {
        // The kernel looks at the flags before it looks whether another drain is at work.
        if flags & !(NO_WAKEUP | FORCE_WAKEUP) != 0 {
            return Drained::refused(DrainError::Invalid);
        }
        if !self.memory.kernel_begin_drain() {
            return Drained::refused(DrainError::Busy);
        }
        let began = (self.fault == Some(Fault::ConsumerKeptOnError)).then(|| self.memory.kernel_load_consumer());

        let (mut consumed, mut discarded) = (0, 0);
        let mut error = None;
        let mut sample = Vec::new();
        while consumed < self.cap() {
            match self.peek() {
                Peek::Sample { offset, len, end } => {
                    self.memory.kernel_read_sample(offset, len, &mut sample);
                    let flow = callback(&sample);
                    // Pairs with the producer's acquire load of consumer_pos: the sample was read before.
                    self.memory.kernel_store_consumer(end.get());
                    consumed += 1;
                    if flow.is_break() {
                        break;
                    }
                }
                Peek::Discarded => {
                    consumed += 1;
                    discarded += 1;
                }
                Peek::Nothing => break,
                Peek::Error(why) => {
                    error = Some(why);
                    break;
                }
            }
        }
        if let (Some(began), Some(_)) = (began, error) {
            self.memory.kernel_store_consumer(began);
        }
        self.memory.kernel_end_drain();

        let woke = flags & FORCE_WAKEUP != 0 || (flags & NO_WAKEUP == 0 && consumed > 0);
        let returned = error.map_or(Ok(consumed - discarded), Err);
        Drained { returned, consumed, discarded, woke }
    }

    /// Drains once and keeps every sample.
    pub fn collect(&self, flags: u64) -> (Drained, Vec<Vec<u8>>) {
        let mut samples = Vec::new();
        let drained = self.drain(flags, |sample| {
            samples.push(sample.to_vec());
            ControlFlow::Continue(())
        });
        (drained, samples)
    }

    /// `__bpf_user_ringbuf_peek`: the checks in the kernel's order, and the skipping of a discarded record.
    fn peek(&self) -> Peek {
        let producer = self.memory.kernel_load_producer();
        if producer % 8 != 0 {
            return Peek::Error(DrainError::Invalid);
        }
        let consumer = self.memory.kernel_load_consumer();
        // Compared as plain numbers, as the kernel does: a producer position that has passed 2^64 is silence.
        if consumer >= producer {
            return Peek::Nothing;
        }
        // The kernel has no such check, because it never stores such a position: only raw images of a test have one.
        if consumer % 8 != 0 {
            return Peek::Error(DrainError::Invalid);
        }
        let at = Position::new(consumer);
        let offset = at.offset(self.memory.size());
        let header = self.memory.kernel_load_header(offset);
        let total = self.extent(header.len());

        // These come before the flag bits: a bad length jams the ring, busy or discarded or not.
        if let Err(why) = self.check_length(header.len(), total, producer - consumer) {
            return Peek::Error(why);
        }
        let end = at.advance(u64::from(total));
        let busy_first = self.fault == Some(Fault::BusyBeforeDiscard) && header.word() & BUSY_BIT != 0;
        match header.state() {
            RecordState::Discarded if !busy_first => {
                self.memory.kernel_store_consumer(end.get());
                Peek::Discarded
            }
            RecordState::Discarded | RecordState::Busy => Peek::Nothing,
            RecordState::Submitted => Peek::Sample { offset, len: header.len(), end },
        }
    }

    /// What the kernel demands of a record's length; `ahead` is the distance to the producer position.
    fn check_length(&self, len: u32, total: u32, ahead: u64) -> Result<(), DrainError> {
        let beyond_producer = u64::from(total) > ahead;
        let beyond_ring = total > self.memory.size().bytes();
        let beyond_dynptr = len > self.sample_limit();
        let invalid_first = self.fault != Some(Fault::ChecksReordered);
        if beyond_producer && invalid_first {
            return Err(DrainError::Invalid);
        }
        if beyond_ring || beyond_dynptr {
            return Err(DrainError::TooBig);
        }
        if beyond_producer {
            return Err(DrainError::Invalid);
        }
        Ok(())
    }

    /// `BPF_MAX_USER_RINGBUF_SAMPLES`.
    fn cap(&self) -> u32 {
        // Not without any cap: a wild producer position would then keep the drain busy for ever.
        if self.fault == Some(Fault::CapTooLarge) { 2 * MAX_RECORDS_PER_DRAIN } else { MAX_RECORDS_PER_DRAIN }
    }

    /// `DYNPTR_MAX_SIZE`.
    fn sample_limit(&self) -> u32 {
        if self.fault == Some(Fault::SampleLimit) { MAX_SAMPLE_LEN + 1 } else { MAX_SAMPLE_LEN }
    }

    /// `round_up(sample_len + BPF_RINGBUF_HDR_SZ, 8)`.
    fn extent(&self, len: u32) -> u32 {
        let wrong = self.fault == Some(Fault::Rounding) && len % 8 == 0;
        record_extent(len) + if wrong { 8 } else { 0 }
    }
}

#[cfg(test)]
mod tests;
