//! How an agent checks its own threads under loom, together with the producer that they feed.
//!
//! The agent measures on one thread and publishes on another; between them lies a mailbox of its own making. Loom runs
//! both, the core and the kernel's drain in every interleaving.
#![cfg(feature = "loom")]
#![expect(unsafe_code, reason = "the agent's mailbox hands a plain word from thread to thread")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use agent::{Mailbox, Publisher};
use loom::thread;
use user_ringbuf_sim::kernel::NO_WAKEUP;
use user_ringbuf_sim::loom::LoomMemory;
use user_ringbuf_sim::{FakeKernel, Orderings};
use user_ringbuf_sim::{Producer, RingSize};

/// The agent's own code. In its crate the two `use` lines of loom stand behind a `cfg`, beside those of std; what is
/// generic over [`RingMemory`] needs none.
mod agent {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::{AtomicBool, Ordering};
    use user_ringbuf_sim::{Producer, ReserveError, RingMemory};

    /// Room for one reading on its way from the measuring thread to the publishing one.
    pub(super) struct Mailbox {
        full: AtomicBool,
        reading: UnsafeCell<u64>,
        hand_over: Ordering,
    }

    // SAFETY: `full` says whose turn it is to touch the reading, and is stored with release by the other.
    unsafe impl Sync for Mailbox {}

    impl Mailbox {
        /// `hand_over` is the ordering that says "full", for showing what happens if it is wrong.
        pub(super) fn new(hand_over: Ordering) -> Self {
            Self { full: AtomicBool::new(false), reading: UnsafeCell::new(0), hand_over }
        }

        /// Puts a reading in, unless the last one is still there.
        pub(super) fn put(&self, reading: u64) -> bool {
            if self.full.load(Ordering::Acquire) {
                return false;
            }
            // SAFETY: not full, so it is the measuring thread's turn.
            self.reading.with_mut(|cell| unsafe { *cell = reading });
            self.full.store(true, self.hand_over);
            true
        }

        /// Takes the reading out, if there is one.
        pub(super) fn take(&self) -> Option<u64> {
            if !self.full.load(Ordering::Acquire) {
                return None;
            }
            // SAFETY: full, so it is the publishing thread's turn.
            let reading = self.reading.with(|cell| unsafe { *cell });
            self.full.store(false, Ordering::Release);
            Some(reading)
        }
    }

    /// Publishes readings; one that finds the ring full waits for the next round.
    pub(super) struct Publisher<M: RingMemory> {
        producer: Producer<M>,
        waiting: Option<u64>,
    }

    impl<M: RingMemory> Publisher<M> {
        pub(super) fn new(producer: Producer<M>) -> Self {
            Self { producer, waiting: None }
        }

        /// One round: whether a reading was published.
        pub(super) fn round(&mut self, mailbox: &Mailbox) -> Result<bool, ReserveError> {
            let Some(reading) = self.waiting.take().or_else(|| mailbox.take()) else { return Ok(false) };
            match self.producer.push(&reading.to_ne_bytes()) {
                Ok(_) => Ok(true),
                Err(full) if full.is_full() => {
                    self.waiting = Some(reading);
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        }
    }
}

const READINGS: [u64; 2] = [17, u64::MAX - 4];

/// The agent on a ring that one reading fills, so that the second goes where the first has been.
fn check_agent(hand_over: loom::sync::atomic::Ordering) {
    loom::model(move || {
        let size = RingSize::new(16).expect("a power of two");
        let memory = Arc::new(LoomMemory::new(size, Orderings::of_the_protocol()));
        let mailbox = Arc::new(Mailbox::new(hand_over));

        let measuring = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                for reading in READINGS {
                    while !mailbox.put(reading) {
                        // Loom must be told that this thread waits for another.
                        thread::yield_now();
                    }
                }
            })
        };
        let publishing = {
            let producer = Producer::attach(Arc::clone(&memory)).expect("a new ring");
            thread::spawn(move || {
                let mut publisher = Publisher::new(producer);
                let mut published = 0;
                while published < READINGS.len() {
                    match publisher.round(&mailbox).expect("the only producer") {
                        true => published += 1,
                        false => thread::yield_now(),
                    }
                }
            })
        };

        let kernel = FakeKernel::new(&memory);
        let mut readings = Vec::new();
        while readings.len() < READINGS.len() {
            let (drained, samples) = kernel.collect(NO_WAKEUP);
            drained.returned.expect("a sound ring");
            if samples.is_empty() {
                thread::yield_now();
            }
            readings.extend(samples.iter().map(|sample| u64::from_ne_bytes(sample[..].try_into().expect("8 bytes"))));
        }
        assert_eq!(readings, READINGS);
        measuring.join().expect("no panic");
        publishing.join().expect("no panic");
    });
}

#[test]
fn an_agents_threads_lose_and_tear_nothing_in_any_interleaving() {
    check_agent(loom::sync::atomic::Ordering::Release);
}

#[test]
fn loom_finds_the_ordering_that_the_agent_has_got_wrong() {
    let found = catch_unwind(AssertUnwindSafe(|| check_agent(loom::sync::atomic::Ordering::Relaxed)));
    let message = *found.unwrap_err().downcast::<String>().expect("a message");
    assert!(message.contains("Causality violation"), "{message}");
}
