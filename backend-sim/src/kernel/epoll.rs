//! Readiness as epoll reports it for a user ring buffer, level- and edge-triggered.
//!
//! Invariant: a watch has at most one event to give, however many drains have woken since. Kernel counterpart:
//! `ringbuf_map_poll_user` for the level, `wake_up_all(&rb->waitq)` for the edge, and epoll's ready list between them:
//! epoll looks at the level only of what is on that list, and takes off it what turns out not to be ready.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory::KernelMemory;

/// How many drains have woken: what `rb->waitq` tells the waiters.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue(AtomicU64);

impl WaitQueue {
    pub(crate) fn wake(&self) {
        // Pairs with the acquire load below: a thread that sees the wake sees the consumer position that came with it.
        self.0.fetch_add(1, Ordering::Release);
    }

    fn wakes(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// When an epoll registration reports an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Without `EPOLLET`: at every look while any byte is free. Waiting for more room than that spins.
    Level,
    /// With `EPOLLET`: once at registration, then once after drains that wake.
    #[doc(alias = "EPOLLET")]
    Edge,
}

/// One epoll instance that watches one ring for `EPOLLOUT`.
///
/// ```
/// use user_ringbuf_sim::{FakeKernel, HeapMemory, Trigger, Producer, kernel::NO_WAKEUP};
///
/// let memory = HeapMemory::new(64)?;
/// let kernel = FakeKernel::new(&memory);
/// let mut producer = Producer::attach(&memory)?;
/// let mut watch = kernel.watch(Trigger::Edge);
/// assert!(watch.event(), "at registration");
/// assert!(!watch.event());
///
/// producer.push(b"first")?;
/// assert!(kernel.collect(NO_WAKEUP).0.returned.is_ok());
/// assert!(!watch.event(), "this drain wakes no waiter");
///
/// producer.push(b"second")?;
/// assert!(kernel.collect(0).0.woke);
/// assert!(watch.event());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Watch<'k, M> {
    memory: &'k M,
    waiters: &'k WaitQueue,
    trigger: Trigger,
    /// Whether the registration is on epoll's ready list.
    listed: bool,
    seen: u64,
}

impl<'k, M: KernelMemory> Watch<'k, M> {
    pub(super) fn new(memory: &'k M, waiters: &'k WaitQueue, trigger: Trigger) -> Self {
        // Registration looks at the level once, whatever the trigger.
        Self { memory, waiters, trigger, listed: is_writable(memory), seen: waiters.wakes() }
    }

    /// Whether `epoll_wait` with a timeout of zero would report `EPOLLOUT` now. Takes the event.
    pub fn event(&mut self) -> bool {
        let wakes = self.waiters.wakes();
        if wakes != self.seen {
            self.seen = wakes;
            self.listed = true;
        }
        let reported = self.listed && is_writable(self.memory);
        self.listed = reported && self.trigger == Trigger::Level;
        reported
    }
}

/// Whether any byte of the ring is free: `ringbuf_map_poll_user`.
fn is_writable(memory: &impl KernelMemory) -> bool {
    // The consumer first, as `ringbuf_avail_data_sz` does.
    let consumer = memory.kernel_load_consumer();
    memory.kernel_load_producer().wrapping_sub(consumer) < memory.size().bytes_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{FORCE_WAKEUP, FakeKernel, NO_WAKEUP};
    use crate::memory::HeapMemory;
    use user_ringbuf_core::Producer;

    fn fill(memory: &HeapMemory) {
        let mut producer = Producer::attach(memory).unwrap();
        while producer.push(&[0; 8]).is_ok() {}
    }

    fn one(memory: &HeapMemory) {
        Producer::attach(memory).unwrap().push(&[0; 8]).unwrap();
    }

    #[test]
    fn an_edge_is_reported_once_at_registration_and_once_after_waking_drains() {
        let memory = HeapMemory::new(64).unwrap();
        let kernel = FakeKernel::new(&memory);
        let mut watch = kernel.watch(Trigger::Edge);
        assert_eq!([watch.event(), watch.event()], [true, false]);
        one(&memory);
        assert!(!watch.event(), "the producer's own sample is not an event");
        for (flags, event) in [(0, true), (0, false), (NO_WAKEUP, false), (FORCE_WAKEUP, true)] {
            let _ = kernel.collect(flags);
            assert_eq!([watch.event(), watch.event()], [event, false], "{flags}");
        }
    }

    #[test]
    fn several_wakes_are_one_edge() {
        let memory = HeapMemory::new(64).unwrap();
        let kernel = FakeKernel::new(&memory);
        let mut watch = kernel.watch(Trigger::Edge);
        watch.event();
        for _ in 0..3 {
            one(&memory);
            assert!(kernel.collect(0).0.woke);
        }
        assert_eq!([watch.event(), watch.event()], [true, false]);
    }

    #[test]
    fn a_drain_that_only_discards_is_an_edge() {
        let memory = HeapMemory::new(64).unwrap();
        let kernel = FakeKernel::new(&memory);
        let mut watch = kernel.watch(Trigger::Edge);
        watch.event();
        Producer::attach(&memory).unwrap().reserve_detached(8).unwrap().discard();
        assert_eq!(kernel.collect(0).0.returned, Ok(0));
        assert!(watch.event());
    }

    #[test]
    fn a_full_ring_is_no_event_and_a_wake_between_a_failed_reserve_and_the_wait_is_not_lost() {
        let memory = HeapMemory::new(64).unwrap();
        fill(&memory);
        let kernel = FakeKernel::new(&memory);
        let mut watch = kernel.watch(Trigger::Edge);
        assert!(!watch.event());
        assert!(kernel.collect(0).0.woke);
        assert!(watch.event());
        assert!(kernel.collect(FORCE_WAKEUP).0.woke);
        fill(&memory);
        assert!(!watch.event(), "the wake was for room that is gone again");
    }

    #[test]
    fn a_level_is_reported_as_long_as_a_byte_is_free() {
        let memory = HeapMemory::new(64).unwrap();
        let kernel = FakeKernel::new(&memory);
        let mut watch = kernel.watch(Trigger::Level);
        assert!((0..10).all(|_| watch.event()));
        one(&memory);
        assert!((0..10).all(|_| watch.event()), "partly full: waiting spins");
        fill(&memory);
        assert!(!watch.event());
        let _ = kernel.collect(NO_WAKEUP);
        assert!(!watch.event(), "epoll no longer looks at what was not ready, until a drain wakes");
        let _ = kernel.collect(FORCE_WAKEUP);
        assert!(watch.event() && watch.event());
    }

    #[test]
    fn each_watch_gets_every_edge() {
        let memory = HeapMemory::new(64).unwrap();
        let kernel = FakeKernel::new(&memory);
        let mut watches = [kernel.watch(Trigger::Edge), kernel.watch(Trigger::Edge)];
        assert!(watches.iter_mut().all(Watch::event));
        one(&memory);
        let _ = kernel.collect(0);
        assert!(watches.iter_mut().all(Watch::event));
    }
}
