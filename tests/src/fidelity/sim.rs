//! The fake kernel's side: a simulated ring of the real one's size.

use std::ops::ControlFlow;
use std::sync::Arc;

use user_ringbuf_sim::kernel::NO_WAKEUP;
use user_ringbuf_sim::kernel::Rules;
use user_ringbuf_sim::proof::Fault;
use user_ringbuf_sim::{
    FakeKernel, KernelMemory, MemoryError, Position, RawAccess, RingImage, RingSize, SimMemory, Trigger,
};

use super::image::Call;
use super::side::{Answer, Side};

/// A simulated ring and the fake kernel.
#[derive(Debug)]
pub struct SimRing {
    kernel: FakeKernel<Arc<SimMemory>, dyn Rules>,
    log_bytes: usize,
}

impl SimRing {
    /// An empty ring of `size` bytes, drained by a kernel with this fault or none, and a log of `log_bytes` bytes.
    ///
    /// # Errors
    /// If there is no such memory.
    pub fn new(size: u32, log_bytes: usize, fault: Option<Fault>) -> Result<Self, MemoryError> {
        let memory = Arc::new(SimMemory::new(size.into())?);
        // SAFETY: the samples of a trial are filled by writes, and nothing else has this ring.
        let kernel = unsafe { FakeKernel::with_fault(memory, fault) };
        Ok(Self { kernel, log_bytes })
    }

    fn ring_size(&self) -> RingSize {
        KernelMemory::size(self.kernel.memory())
    }
}

impl Side for SimRing {
    type Memory = SimMemory;

    fn size(&self) -> u32 {
        self.ring_size().bytes()
    }

    fn memory(&self) -> Arc<SimMemory> {
        Arc::clone(self.kernel.memory())
    }

    fn consumer(&self) -> u64 {
        self.kernel.memory().kernel_load_consumer()
    }

    fn producer(&self) -> u64 {
        self.kernel.memory().kernel_load_producer()
    }

    fn set_producer(&mut self, position: u64) {
        // SAFETY: the samples of a trial are filled by writes, not as slices.
        unsafe { self.kernel.memory().set_producer(position) };
    }

    fn write(&mut self, position: u64, bytes: &[u8]) {
        let offset = Position::new(position).offset(self.ring_size());
        // SAFETY: by the trait's contract nothing else is at work on the ring, so no slice of a sample exists.
        unsafe { self.kernel.memory().write_raw(offset, bytes) }.unwrap_or_else(|error| panic!("{error}"));
    }

    fn word(&self, offset: u32) -> u32 {
        self.kernel.memory().kernel_load_header(offset).word()
    }

    fn snapshot(&self) -> RingImage {
        self.kernel.memory().snapshot()
    }

    fn move_to(&mut self, target: u64) -> anyhow::Result<()> {
        // SAFETY: between two trials there is no sample.
        unsafe { self.kernel.memory().set_consumer(target) };
        self.set_producer(target);
        Ok(())
    }

    fn drain(&mut self, call: &Call, _wakes: bool) -> anyhow::Result<Answer> {
        let mut watch = self.kernel.watch(Trigger::Edge);
        // The event of the registration.
        watch.event();
        let mut answer = Answer::default();
        let mut log = Some(self.log_bytes);
        let mut count = 0_u32;
        let drained = self.kernel.drain(call.flags, |sample| {
            // As the drain program's log: 8 bytes and the sample, up to a multiple of 8. Once one does not fit,
            // none does any more.
            log = log.and_then(|left| left.checked_sub(8 + sample.len().next_multiple_of(8)));
            match log {
                Some(_) => answer.samples.push(sample.to_vec()),
                None => answer.unlogged += 1,
            }
            if call.nested {
                answer.nested = self.kernel.drain(NO_WAKEUP, |_| ControlFlow::Continue(())).code();
            }
            count += 1;
            if count == call.stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        answer.returned = drained.code();
        answer.consumer = self.consumer();
        // epoll reports nothing while the ring looks full, so it is looked at as an empty one.
        let producer = self.producer();
        // SAFETY: as in `set_producer`.
        unsafe { self.kernel.memory().set_producer(answer.consumer) };
        answer.woke = watch.event();
        // SAFETY: as above.
        unsafe { self.kernel.memory().set_producer(producer) };
        Ok(answer)
    }
}
