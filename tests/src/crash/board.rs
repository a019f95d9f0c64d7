//! Memory that a child shares with its parent, in which it notes each sample that it has submitted. It outlives the
//! child, whatever kills it.

use std::ffi::c_void;
use std::fs::File;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::stamp::Stamp;

/// Producers of one child.
pub const PRODUCERS: u32 = 2;
/// Sequences that a producer's part of the board keeps apart: more than any ring here holds samples.
const PLACES: u64 = 8192;
const WORDS: usize = 16384;

/// For each producer, the last submitted samples: the word for sequence s says s + 1 once it is submitted.
#[derive(Debug)]
pub struct Board {
    words: NonNull<AtomicU64>,
    file: OwnedFd,
}

// SAFETY: the board is shared memory of atomics.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    /// A board that child processes inherit.
    ///
    /// # Errors
    /// If the memory can't be had.
    pub fn new() -> anyhow::Result<Self> {
        let file = File::from(memfd_create("board", MemfdFlags::empty())?);
        file.set_len((WORDS * 8).try_into()?)?;
        Self::open(file.into())
    }

    /// The parent's board, from the fd that the child has inherited.
    ///
    /// # Errors
    /// If it can't be mapped.
    pub fn open(file: OwnedFd) -> anyhow::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory that is in use.
        let start =
            unsafe { mmap(null_mut(), WORDS * 8, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0) }?;
        let words = NonNull::new(start.cast()).ok_or_else(|| anyhow::anyhow!("mapped at address 0"))?;
        Ok(Self { words, file })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `open` mapped as many words, for as long as the board lives; all access is atomic.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), WORDS) }
    }

    /// Notes that a sample is submitted.
    pub fn note(&self, stamp: Stamp) {
        // Relaxed: read only once the child is dead.
        self.words()[place(stamp)].store(stamp.sequence + 1, Ordering::Relaxed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.words().iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Whether anything was submitted.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.words().iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// How many of the samples noted did not arrive, given the same notes of what did.
    #[must_use]
    pub fn missing(&self, arrived: &Arrived) -> u64 {
        let words = self.words().iter().zip(&arrived.words);
        // A later sample at the same place stands for the earlier one: by then the ring had gone round.
        words.map(|(submitted, arrived)| u64::from(submitted.load(Ordering::Relaxed) > *arrived)).sum()
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: `open` made this mapping, and all references into it borrow the board. It fails for wrong arguments
        // only.
        let _ = unsafe { munmap(self.words.as_ptr().cast::<c_void>(), WORDS * 8) };
    }
}

/// What arrived, as the board has it.
#[derive(Debug)]
pub struct Arrived {
    words: Vec<u64>,
    /// Samples, and the next sequence due, of each producer.
    counts: [(u64, u64); PRODUCERS as usize],
    /// Samples that came twice or after a later one of the same producer.
    pub out_of_order: u64,
}

impl Default for Arrived {
    fn default() -> Self {
        Self { words: vec![0; WORDS], counts: [(0, 0); PRODUCERS as usize], out_of_order: 0 }
    }
}

impl Arrived {
    /// Notes a sample that arrived.
    pub fn note(&mut self, stamp: Stamp) {
        let Some((count, next)) = self.counts.get_mut(stamp.producer as usize) else {
            self.out_of_order += 1;
            return;
        };
        self.out_of_order += u64::from(stamp.sequence < *next);
        *next = stamp.sequence + 1;
        *count += 1;
        self.words[place(stamp)] = stamp.sequence + 1;
    }

    /// Samples of all producers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(count, _)| count).sum()
    }
}

fn place(stamp: Stamp) -> usize {
    let place = u64::from(stamp.producer % PRODUCERS) * PLACES + stamp.sequence % PLACES;
    usize::try_from(place).map_or(0, |place| place % WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_submitted_and_did_not_arrive_is_missing() {
        let board = Board::new().unwrap();
        let mut arrived = Arrived::default();
        assert!(!board.is_marked());
        for sequence in 0..3 * PLACES {
            for producer in 0..PRODUCERS {
                board.note(Stamp { producer, sequence });
                arrived.note(Stamp { producer, sequence });
            }
        }
        assert_eq!((board.missing(&arrived), arrived.out_of_order), (0, 0));
        board.note(Stamp { producer: 1, sequence: 3 * PLACES });
        assert_eq!(board.missing(&arrived), 1);
        // What arrived without a note was submitted just before the child died.
        arrived.note(Stamp { producer: 0, sequence: 3 * PLACES });
        assert_eq!(board.missing(&arrived), 1);
        arrived.note(Stamp { producer: 0, sequence: 3 });
        assert_eq!(arrived.out_of_order, 1);
        board.clear();
        assert!(!board.is_marked());
    }
}
