//! The fake kernel: a drain that does what `bpf_user_ringbuf_drain` does, check by check and in its order.
//!
//! It is generic over [`KernelMemory`], so that it runs on ordinary simulated memory and under the model checker alike.
//! Invariants: it never panics and never reads outside the data area, whatever stands in memory; it stores nothing
//! but the consumer position. Kernel counterpart: `bpf_user_ringbuf_drain`, `__bpf_user_ringbuf_peek` and
//! `__bpf_user_ringbuf_sample_release` in `kernel/bpf/ringbuf.c`.
//!
//! The flags, limits and errors here are those of the core's `kernel` module.

mod drained;
mod epoll;
mod rules;

use core::ops::ControlFlow;

pub use user_ringbuf_core::kernel::*;
use user_ringbuf_core::{Position, RecordState};

use crate::memory::KernelMemory;
pub use drained::Drained;
use epoll::WaitQueue;
pub use epoll::{Trigger, Watch};
pub use rules::{KernelRules, Length, Rules};

/// The kernel's side of one simulated ring.
///
/// ```
/// use std::ops::ControlFlow;
/// use user_ringbuf_sim::{FakeKernel, KernelError, KernelMemory};
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
pub struct FakeKernel<M, R: Rules + ?Sized = KernelRules> {
    memory: M,
    rules: &'static R,
    waiters: WaitQueue,
}

/// What `__bpf_user_ringbuf_peek` returns.
enum Peek {
    /// A sample of `len` bytes behind the header at `offset`; releasing it stores `end`.
    Sample { offset: u32, len: u32, end: Position },
    /// -EAGAIN: a discarded record was skipped, and `consumer_pos` is behind it already.
    Discarded,
    /// -ENODATA: nothing there, or nothing that may be looked at.
    Nothing,
    /// An error that the drain returns.
    Error(KernelError),
}

/// A drain between two records.
#[derive(Debug)]
pub(crate) struct UnderWay {
    flags: u64,
    back_on_error: Option<u64>,
    consumed: u32,
    discarded: u32,
    error: Option<KernelError>,
    /// Where the sample ends that was handed out and not yet released.
    held: Option<Position>,
}

impl<M: KernelMemory> FakeKernel<M> {
    /// The kernel's side of the ring in `memory`.
    ///
    /// Make one per ring, and share it. Drains of two exclude each other as in the kernel, by the memory's own flag; but
    /// each has its own wait queue, where the kernel's belongs to the map: a drain of one does not wake a
    /// [watch](Self::watch) of the other.
    pub fn new(memory: M) -> Self {
        Self::with_rules(memory, &KernelRules)
    }
}

impl<M: KernelMemory, R: Rules + ?Sized> FakeKernel<M, R> {
    pub(crate) fn with_rules(memory: M, rules: &'static R) -> Self {
        Self { memory, rules, waiters: WaitQueue::default() }
    }

    /// Begins to watch the ring as an epoll instance does.
    pub fn watch(&self, trigger: Trigger) -> Watch<'_, M> {
        Watch::new(&self.memory, &self.waiters, trigger)
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
    /// stop stays consumed. The callback may drain again, and gets [`KernelError::Busy`] as in the kernel.
    ///
    /// Should the callback panic, the ring stays busy for every later drain.
    ///
    /// # Minimum kernel version
    /// The helper that this imitates came with Linux 6.1.
    pub fn drain(&self, flags: u64, mut callback: impl FnMut(&[u8]) -> ControlFlow<()>) -> Drained {
        let mut drain = match self.begin(flags) {
            Ok(drain) => drain,
            Err(why) => return Drained::refused(why),
        };
        let mut sample = Vec::new();
        while self.next_sample(&mut drain, &mut sample) {
            let flow = callback(&sample);
            self.release(&mut drain);
            if flow.is_break() {
                break;
            }
        }
        self.end(drain)
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

    /// What a drain does before the first record.
    pub(crate) fn begin(&self, flags: u64) -> Result<UnderWay, KernelError> {
        // The kernel looks at the flags before it looks whether another drain is at work.
        if flags & !(NO_WAKEUP | FORCE_WAKEUP) != 0 {
            return Err(KernelError::Invalid);
        }
        if !self.memory.kernel_begin_drain() {
            return Err(KernelError::Busy);
        }
        let back_on_error = self.rules.back_on_error(&|| self.memory.kernel_load_consumer());
        Ok(UnderWay { flags, back_on_error, consumed: 0, discarded: 0, error: None, held: None })
    }

    /// Puts the next sample into `sample`, skipping discarded records. `false` if the drain is over.
    pub(crate) fn next_sample(&self, drain: &mut UnderWay, sample: &mut Vec<u8>) -> bool {
        while drain.consumed < self.rules.most_records() && drain.error.is_none() {
            match self.peek() {
                Peek::Sample { offset, len, end } => {
                    self.memory.kernel_read_sample(offset, len, sample);
                    drain.held = Some(end);
                    return true;
                }
                Peek::Discarded => {
                    drain.consumed += 1;
                    drain.discarded += 1;
                }
                Peek::Nothing => return false,
                Peek::Error(why) => drain.error = Some(why),
            }
        }
        false
    }

    /// `__bpf_user_ringbuf_sample_release`, for the sample that [`next_sample`](Self::next_sample) gave.
    pub(crate) fn release(&self, drain: &mut UnderWay) {
        if let Some(end) = drain.held.take() {
            self.store_consumer(end.get());
            drain.consumed += 1;
        }
    }

    /// What a drain does after the last record.
    pub(crate) fn end(&self, drain: UnderWay) -> Drained {
        let UnderWay { flags, back_on_error, consumed, discarded, error, .. } = drain;
        if let (Some(back), Some(_)) = (back_on_error, error) {
            self.store_consumer(back);
        }
        self.end_drain();
        let woke = flags & FORCE_WAKEUP != 0 || (flags & NO_WAKEUP == 0 && consumed > 0);
        if woke {
            self.waiters.wake();
        }
        Drained { returned: error.map_or(Ok(consumed - discarded), Err), consumed, discarded, woke }
    }

    /// `__bpf_user_ringbuf_peek`: the checks in the kernel's order, and the skipping of a discarded record.
    fn peek(&self) -> Peek {
        let producer = self.memory.kernel_load_producer();
        if producer % 8 != 0 {
            return Peek::Error(KernelError::Invalid);
        }
        let consumer = self.memory.kernel_load_consumer();
        // Compared as plain numbers, as the kernel does: a producer position that has passed 2^64 is silence.
        if consumer >= producer {
            return Peek::Nothing;
        }
        // The kernel has no such check, because it never stores such a position: only raw images of a test have one.
        if consumer % 8 != 0 {
            return Peek::Error(KernelError::Invalid);
        }
        let at = Position::new(consumer);
        let offset = at.offset(self.memory.size());
        let header = self.memory.kernel_load_header(offset);
        let total = self.rules.extent(header.len());

        // These come before the flag bits: a bad length jams the ring, busy or discarded or not.
        let beyond_producer = u64::from(total) > producer - consumer;
        let too_big = total > self.memory.size().bytes() || header.len() > self.rules.longest_sample();
        if let Err(why) = self.rules.check(Length { beyond_producer, too_big }) {
            return Peek::Error(why);
        }
        let end = at.advance(u64::from(total));
        match self.rules.state(header) {
            RecordState::Discarded => {
                self.store_consumer(end.get());
                Peek::Discarded
            }
            RecordState::Busy => Peek::Nothing,
            RecordState::Submitted => Peek::Sample { offset, len: header.len(), end },
        }
    }

    /// Moves the consumer on, in a drain. Pairs with the producer's acquire load of consumer_pos: what lies in front was
    /// read before.
    fn store_consumer(&self, position: u64) {
        // SAFETY: a drain is under way. By the kernel's rules `position` is the end of the record that `peek` found submitted
        // or discarded at the consumer position; whoever planted others promised that nothing is used as a slice.
        unsafe { self.memory.kernel_store_consumer(position) };
    }

    fn end_drain(&self) {
        // SAFETY: an `UnderWay`, which `begin` made, ends here.
        unsafe { self.memory.kernel_end_drain() };
    }
}

#[cfg(test)]
mod tests;
