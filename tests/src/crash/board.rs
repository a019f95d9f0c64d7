//! Memory that a child shares with its parent, in which it notes each sample that it has submitted. It outlives the
//! child, whatever kills it.

use std::ffi::c_void;
use std::fs::File;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use user_ringbuf_kit::stamp::Stamp;

/// Producers of one child.
pub const PRODUCERS: u32 = 2;
/// Sequences that a producer's part of the board keeps apart: more than any ring here holds samples.
const PLACES: u64 = 8192;
const WORDS_EACH: usize = 8192;
const WORDS: usize = WORDS_EACH * PRODUCERS as usize;

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

    /// How many of the samples noted did not arrive, given the same notes of what did, but for those that
    /// [`Arrived::settle`] has counted.
    #[must_use]
    pub fn missing(&self, arrived: &Arrived) -> u64 {
        let settled = (0..WORDS).map(|place| arrived.settled.get(place / WORDS_EACH).copied().unwrap_or(0));
        let words = self.words().iter().zip(&arrived.words).zip(settled);
        // A later sample at the same place stands for the earlier one: by then the ring had gone round.
        words.map(|((sent, arrived), settled)| u64::from(sent.load(Ordering::Relaxed) > settled.max(*arrived))).sum()
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
    /// Sequences of each producer below which nothing can come any more.
    settled: [u64; PRODUCERS as usize],
    /// Sequences that were passed over.
    gaps: u64,
    /// Samples that came twice or after a later one of the same producer.
    pub out_of_order: u64,
}

impl Default for Arrived {
    fn default() -> Self {
        let none = [0; PRODUCERS as usize];
        Self { words: vec![0; WORDS], counts: [(0, 0); PRODUCERS as usize], settled: none, gaps: 0, out_of_order: 0 }
    }
}

impl Arrived {
    /// Notes a sample that arrived.
    pub fn note(&mut self, stamp: Stamp) {
        let Some((count, next)) = self.counts.get_mut(stamp.producer as usize) else {
            self.out_of_order += 1;
            return;
        };
        *count += 1;
        match stamp.sequence.checked_sub(*next) {
            None => self.out_of_order += 1,
            Some(gap) => {
                self.gaps += gap;
                *next = stamp.sequence + 1;
            }
        }
        self.words[place(stamp)] = stamp.sequence + 1;
    }

    /// How many samples are lost among those that arrived, as long as nothing was repaired: producers submit in the
    /// order of their sequences or hold back what lies behind, and no drain gets past a busy record. A repair discards
    /// such records, and what arrives behind them may leave gaps.
    pub fn settle(&mut self) -> u64 {
        self.settled = self.counts.map(|(_, next)| next);
        self.gaps
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

    #[test]
    fn a_gap_is_a_lost_sample_however_long_ago_and_counts_once() {
        let board = Board::new().unwrap();
        let mut arrived = Arrived::default();
        for sequence in 0..3 * PLACES {
            let stamp = Stamp { producer: 1, sequence };
            board.note(stamp);
            if sequence != 5 && sequence != 3 * PLACES - 2 {
                arrived.note(stamp);
            }
        }
        assert_eq!(arrived.settle(), 2);
        assert_eq!(board.missing(&arrived), 0);
        // What a repair leaves a gap for is held against the board alone.
        arrived.note(Stamp { producer: 1, sequence: 3 * PLACES + 1 });
        assert_eq!(board.missing(&arrived), 0);
        board.note(Stamp { producer: 1, sequence: 3 * PLACES });
        assert_eq!((board.missing(&arrived), arrived.out_of_order), (1, 0));
    }
}
