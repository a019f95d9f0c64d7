//! Memory that a child shares with its parent, in which it notes each sample that it has submitted. It outlives the
//! child, whatever kills it.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use user_ringbuf_kit::stamp::Stamp;
use user_ringbuf_linux::Position;

use crate::tally::Tally;

/// Producers of one child.
pub const PRODUCERS: usize = 2;
/// Sequences that a producer's part of the board keeps apart: more than any ring here holds samples.
const PLACES: usize = 8192;
const WORDS: usize = PLACES * PRODUCERS;
const BYTES: usize = WORDS * size_of::<Word>();

/// What is noted of a sample: its sequence + 1, and the position at which its record ends.
type Word = [AtomicU64; 2];

/// For each producer, the last submitted samples.
#[derive(Debug)]
pub struct Board(NonNull<Word>);

// SAFETY: the board is shared memory of atomics.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    /// A board that this process shares with those that it forks.
    ///
    /// # Errors
    /// If the memory can't be had.
    pub fn new() -> anyhow::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe { mmap_anonymous(null_mut(), BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED) }?;
        Ok(Self(NonNull::new(start.cast()).ok_or_else(|| anyhow::anyhow!("mapped at address 0"))?))
    }

    fn words(&self) -> &[Word] {
        // SAFETY: `new` mapped as many words, for as long as the board lives; all access is atomic.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), WORDS) }
    }

    /// Notes that a sample is submitted whose record ends at `end`.
    ///
    /// # Panics
    /// If there is no such producer.
    pub fn note(&self, stamp: Stamp, end: Position) {
        let place = usize::try_from(stamp.sequence).unwrap_or(0) % PLACES;
        let [sequence, position] = &self.words()[stamp.producer as usize * PLACES + place];
        // Read only once the child is dead, which may be after the first store.
        position.store(end.get(), Ordering::Relaxed);
        sequence.store(stamp.sequence + 1, Ordering::Release);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.words().iter().flatten().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Whether anything was submitted.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.words().iter().any(|[sequence, _]| sequence.load(Ordering::Relaxed) != 0)
    }

    /// Those of the last submitted samples that did not arrive, and where their records end.
    #[must_use]
    pub fn missing(&self, arrived: &Tally) -> Vec<(Stamp, Position)> {
        let submitted = (0..).zip(self.words().chunks(PLACES)).flat_map(|(producer, words)| {
            let noted = words.iter().map(|word| word.each_ref().map(|word| word.load(Ordering::Relaxed)));
            noted.filter_map(move |[sequence, end]| {
                Some((Stamp { producer, sequence: sequence.checked_sub(1)? }, Position::new(end)))
            })
        });
        submitted.filter(|(stamp, _)| !arrived.has(*stamp)).collect()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: `new` made this mapping, and all references into it borrow the board. It fails for wrong arguments only.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_submitted_and_did_not_arrive_is_missing_and_what_was_passed_over_is_too_however_long_ago() {
        let (board, mut arrived) = (Board::new().unwrap(), Tally::new(PRODUCERS));
        assert!(!board.is_marked());
        let stamp = |producer, sequence| Stamp { producer, sequence };
        let laps = 3 * u64::try_from(PLACES).unwrap();
        let lost = [stamp(0, 5), stamp(1, laps - 1)];
        for stamp in (0..laps).flat_map(|sequence| [stamp(0, sequence), stamp(1, sequence)]) {
            board.note(stamp, Position::new(stamp.sequence * 8));
            if !lost.contains(&stamp) {
                arrived.note(&stamp.sample(100));
            }
        }
        // What arrived without a note was submitted just before the child died.
        arrived.note(&stamp(0, laps).sample(100));
        assert_eq!(board.missing(&arrived), [(lost[1], Position::new((laps - 1) * 8))]);
        assert_eq!(arrived.passed_over(), [lost[0]]);
        board.clear();
        assert!(!board.is_marked());
    }
}
