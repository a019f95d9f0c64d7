//! A ring of the real kernel with a consumer in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, Producer, ReserveError, WakeupFlags, rounded_size};

use user_ringbuf_kit::raw::RawRing;

/// A map, and a program that drains it and returns the samples that the kernel saw.
#[derive(Debug)]
pub struct Ring {
    /// The map.
    pub map: Map,
    drain: DrainProgram,
}

impl Ring {
    /// A new ring of `size` bytes, rounded up to what the kernel takes, whose drains log up to 256 KiB.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn new(size: u64) -> Self {
        Self::with_log(size, 256 * 1024)
    }

    /// A new ring of one page.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn of_a_page() -> Self {
        Self::new(1)
    }

    /// A new ring whose drains log up to `log_bytes` bytes.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn with_log(size: u64, log_bytes: usize) -> Self {
        Self::of(Map::create("tests", size).unwrap_or_else(|error| panic!("{error}")), log_bytes)
    }

    /// A consumer for a map that exists.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn of(map: Map, log_bytes: usize) -> Self {
        let drain = DrainProgram::load(&map, log_bytes).unwrap_or_else(|error| panic!("{error}"));
        Self { map, drain }
    }

    /// Maps the ring for producing.
    ///
    /// # Panics
    /// If that fails.
    pub fn mapping(&self) -> Mapping {
        Mapping::new(&self.map).unwrap_or_else(|error| panic!("{error}"))
    }

    /// An exclusive producer of the ring, with a mapping of its own.
    ///
    /// # Panics
    /// If the ring can't be mapped, or the producer can't attach.
    pub fn producer(&self) -> Producer<Arc<Mapping>> {
        Producer::attach(Arc::new(self.mapping())).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The ring's bytes, through another mapping.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn raw(&self) -> RawRing {
        RawRing::new(&self.map)
    }

    /// Drains everything, and returns the samples that the kernel saw. Wakes no waiter.
    ///
    /// # Panics
    /// If the kernel refuses to drain, or the log was too small.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        self.drain_some(0)
    }

    /// Drains as [`drain`](Self::drain), but `count` samples at most.
    ///
    /// # Panics
    /// As [`drain`](Self::drain).
    pub fn drain_some(&mut self, count: u32) -> Vec<Vec<u8>> {
        let (samples, answer) = self.try_drain(count);
        assert_eq!(answer.map(usize::try_from), Ok(Ok(samples.len())), "what the kernel returned");
        samples
    }

    /// Drains at most `count` samples, or all with 0: the samples that the kernel saw, and what the drain returned.
    ///
    /// # Panics
    /// If the program can't be run, or the log was too small.
    pub fn try_drain(&mut self, count: u32) -> (Vec<Vec<u8>>, Result<u32, Errno>) {
        let options = DrainOptions::new().wakeup(WakeupFlags::NEVER).stop_after(count);
        let drained = self.drain.run(&options).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(drained.unlogged(), 0, "the log is too small");
        (drained.samples().map(<[u8]>::to_vec).collect(), drained.returned())
    }

    /// Runs `produce` on `threads` threads, which get their numbers, and hands what the kernel sees meanwhile to `seen`,
    /// `at_most` samples per drain, until all threads have returned and the ring is empty.
    ///
    /// # Panics
    /// If any thread or `seen` does. No thread is left waiting for one that is gone.
    pub fn drain_while(
        &mut self,
        threads: usize,
        produce: impl Fn(usize, &Consumer) + Sync,
        at_most: u32,
        mut seen: impl FnMut(Vec<Vec<u8>>),
    ) {
        let (consumer, running) = (Consumer { gone: AtomicBool::new(false) }, AtomicUsize::new(threads));
        std::thread::scope(|scope| {
            let _gone = OnDrop(|| consumer.gone.store(true, Ordering::Relaxed));
            for thread in 0..threads {
                let (produce, consumer, running) = (&produce, &consumer, &running);
                scope.spawn(move || {
                    // Pairs with the acquire load below: what the thread submitted comes before.
                    let _done = OnDrop(|| _ = running.fetch_sub(1, Ordering::Release));
                    produce(thread, consumer);
                });
            }
            loop {
                // Looked at before the drain, so that the last drain comes after the last submit.
                let last = running.load(Ordering::Acquire) == 0;
                let samples = self.drain_some(at_most);
                let empty = samples.is_empty();
                seen(samples);
                if last && empty {
                    return;
                }
                std::thread::yield_now();
            }
        });
    }
}

/// The consumer of [`Ring::drain_while`], as its producers know it.
#[derive(Debug)]
pub struct Consumer {
    gone: AtomicBool,
}

impl Consumer {
    /// Tries until the ring is not full.
    ///
    /// # Panics
    /// If the attempt fails for another reason, or the consumer is gone.
    pub fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T, ReserveError>) -> T {
        loop {
            match attempt() {
                Ok(done) => return done,
                Err(error) => assert!(error.is_full(), "{error}"),
            }
            // Relaxed: the flag says no more than itself.
            assert!(!self.gone.load(Ordering::Relaxed), "the consumer is gone");
            std::thread::yield_now();
        }
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The smallest ring's size in bytes: a page.
///
/// # Panics
/// Never: a page is a valid size.
pub fn page() -> usize {
    usize::try_from(rounded_size(1).expect("a page is a valid size")).expect("a page fits the address space")
}
