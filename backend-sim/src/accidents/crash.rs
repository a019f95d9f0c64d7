//! A producer that dies after its k-th memory operation: what a killed process leaves behind.
//!
//! Invariant: once dead, nothing that the producer does changes the ring. It can't be stopped from running on, which
//! is why its writes are lost instead.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Fate, Hook, Hooked, Step};

/// A memory whose producer dies after some operations.
pub type Mortal<'c, M> = Hooked<M, &'c Crash>;

/// Counts the operations of a producer, and kills it after as many as a test says.
///
/// Nothing here is seen by a model checker: a crash belongs to the operation that it takes away.
///
/// ```
/// use user_ringbuf_sim::{Crash, FakeKernel, HeapMemory, Hooked, Producer};
///
/// let memory = HeapMemory::new(64)?;
/// let crash = Crash::never();
/// Producer::attach(Hooked::new(&memory, &crash))?.push(b"counts the operations")?;
///
/// let memory = HeapMemory::new(64)?;
/// let crash = Crash::after(crash.steps() - 1);
/// Producer::attach(Hooked::new(&memory, &crash))?.push(b"all but the last one")?;
/// assert!(crash.has_died());
/// assert!(FakeKernel::new(&memory).collect(0).1.is_empty(), "it was never published");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Crash {
    /// Operations that happen, or `u64::MAX` if all do.
    limit: AtomicU64,
    /// Operations asked for so far, lost ones included.
    asked: AtomicU64,
}

impl Crash {
    /// Lets `steps` operations happen, and no more.
    pub const fn after(steps: u64) -> Self {
        Self { limit: AtomicU64::new(steps), asked: AtomicU64::new(0) }
    }

    /// Counts only.
    pub const fn never() -> Self {
        Self::after(u64::MAX)
    }

    /// Begins another life, of `steps` operations and no more, or of any number with `u64::MAX`.
    pub fn again_after(&self, steps: u64) {
        self.limit.store(steps, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Operations that have happened in this life.
    pub fn steps(&self) -> u64 {
        self.asked.load(Ordering::Relaxed).min(self.limit.load(Ordering::Relaxed))
    }

    /// Whether an operation was lost.
    pub fn has_died(&self) -> bool {
        self.asked.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }
}

impl Hook for Crash {
    fn before(&self, _: Step) -> Fate {
        let lives = self.asked.fetch_add(1, Ordering::Relaxed) < self.limit.load(Ordering::Relaxed);
        if lives { Fate::Happens } else { Fate::IsLost }
    }
}

impl Hook for &Crash {
    fn before(&self, step: Step) -> Fate {
        (**self).before(step)
    }
}

#[cfg(test)]
mod tests {
    use user_ringbuf_core::Producer;

    use super::*;
    use crate::memory::{HeapMemory, RawAccess};

    #[test]
    fn a_dead_producer_writes_nothing_more_and_its_death_shows() {
        let memory = HeapMemory::new(64).unwrap();
        let attaching = Crash::never();
        drop(Producer::attach(Mortal::new(&memory, &attaching)).unwrap());
        // The look at the producer position, and the first word of the sample.
        let crash = Crash::after(attaching.steps() + 2);
        let mut producer = Producer::attach(Mortal::new(&memory, &crash)).unwrap();
        assert!(!crash.has_died());
        producer.push(b"two words").unwrap();
        assert!(crash.has_died());
        assert_eq!(crash.steps(), attaching.steps() + 2);
        let image = memory.snapshot();
        assert_eq!((image.producer, &image.data()[..24]), (0, &b"\0\0\0\0\0\0\0\0two word\0\0\0\0\0\0\0\0"[..]));
    }

    #[test]
    fn the_count_of_one_run_reaches_every_step_of_the_next() {
        let steps_of = |crash: &Crash| {
            let memory = HeapMemory::new(64).unwrap();
            Producer::attach(Mortal::new(&memory, crash)).unwrap().push(b"sample").unwrap();
            memory.snapshot().producer
        };
        let crash = Crash::never();
        assert_eq!(steps_of(&crash), 16);
        let all = crash.steps();
        assert!(all > 0 && !crash.has_died());
        for k in 0..=all {
            let crash = Crash::after(k);
            let published = steps_of(&crash) == 16;
            assert_eq!((published, crash.has_died()), (k == all, k < all));
            // In another life it has as many again.
            crash.again_after(all);
            assert_eq!((steps_of(&crash), crash.steps(), crash.has_died()), (16, all, false));
        }
    }
}
