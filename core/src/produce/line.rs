//! The line of threads that want room of a ring that they share, and how much each may take.
//!
//! A thread that waits for room is in line. One that is not takes what room it finds, up to its share: the ring's size
//! divided by those in line and itself, or [`LEAST`]. Then it lets the others go first, in line as well. Without that, the
//! threads that a drain wakes first would fill the ring by themselves, and so would the last one, when the others have had
//! their share.
//!
//! Invariant: only fairness depends on the line. Its length is a number without ordering, and a thread lets others go
//! first for [`LONGEST`] at most, so one that is stopped in line holds nobody up for longer. Kernel counterpart: none;
//! `bpf_user_ringbuf_drain` wakes all that poll the map at once.

use core::time::Duration;

use crate::seam::memory::RingMemory;
use crate::seam::role::Role;

/// How long a thread that has had its share lets others go first, unless a drain wakes it before.
pub(crate) const LONGEST: Duration = Duration::from_millis(1);

/// The least share, in bytes. Letting others go first takes some microseconds, as long as it takes to fill so much.
const LEAST: u64 = 16 * 1024;

/// How many threads are in line.
#[derive(Debug)]
pub(crate) struct Line<W>(W);

impl<W> Line<W> {
    /// An empty line.
    pub(crate) fn new<M: RingMemory<Word = W>>(memory: &M) -> Self {
        Self(memory.new_word(0))
    }

    /// Counts a thread until the place is dropped.
    pub(crate) fn join<'l, M: RingMemory<Word = W>>(&'l self, memory: &'l M) -> Place<'l, M> {
        self.change(memory, |len| len.saturating_add(1));
        Place { line: self, memory }
    }

    /// Bytes that a thread may take before it lets those in line go first; `None` if the line is empty.
    #[inline]
    pub(crate) fn share<M: RingMemory<Word = W>>(&self, memory: &M) -> Option<u64> {
        let len = memory.load_word(&self.0, Role::CountLine);
        (len > 0).then(|| (memory.size().bytes_u64() / len.saturating_add(1)).max(LEAST))
    }

    fn change<M: RingMemory<Word = W>>(&self, memory: &M, change: impl Fn(u64) -> u64) {
        let mut found = memory.load_word(&self.0, Role::CountLine);
        while let Err(now) = memory.exchange_word(&self.0, found, change(found), Role::CountLine, Role::CountLine) {
            found = now;
        }
    }
}

/// A thread's place in the line.
#[derive(Debug)]
pub(crate) struct Place<'l, M: RingMemory> {
    line: &'l Line<M::Word>,
    memory: &'l M,
}

impl<M: RingMemory> Drop for Place<'_, M> {
    fn drop(&mut self) {
        self.line.change(self.memory, |len| len.saturating_sub(1));
    }
}
