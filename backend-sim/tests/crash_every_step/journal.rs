//! A mortal producer's memory, and what it did before it died.

use std::cell::RefCell;

use user_ringbuf_sim::proof::Witness;
use user_ringbuf_sim::{Crash, Fate, HeapMemory, Hook, Hooked, RecordState, Step};

/// The rings' size.
pub(super) const SIZE: u64 = 256;

/// A mortal producer's memory, and what it did before it died.
pub(super) struct Journal {
    pub(super) crash: Crash,
    pub(super) done: RefCell<Vec<Step>>,
}

impl Hook for &Journal {
    fn before(&self, step: Step) -> Fate {
        let fate = self.crash.before(step);
        if fate == Fate::Happens {
            self.done.borrow_mut().push(step);
        }
        fate
    }
}

impl Witness for &Journal {}

impl Journal {
    pub(super) fn new(crash: Crash) -> Self {
        Self { crash, done: RefCell::default() }
    }

    /// Which of the samples the kernel must get: those of busy records that were committed, and all
    /// others at once if their position was published.
    pub(super) fn submitted(&self, samples: &[Vec<u8>], publishes_late: bool) -> Vec<Vec<u8>> {
        let done = self.done.borrow();
        if publishes_late {
            let published = done.iter().any(|step| matches!(step, Step::Publish(_)));
            return if published { samples.to_vec() } else { vec![] };
        }
        let committed = |sample: &&Vec<u8>| {
            done.iter().any(|step| match step {
                Step::CommitHeader { header, .. } => {
                    header.state() == RecordState::Submitted && header.len() as usize == sample.len()
                }
                _ => false,
            })
        };
        samples.iter().filter(committed).cloned().collect()
    }
}

pub(super) type Memory<'a> = Hooked<&'a HeapMemory, &'a Journal>;
