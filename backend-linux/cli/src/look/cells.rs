//! The data area as a row of cells, each of which shows the worst of what lies in it.
//!
//! Cells are stretches of the data area, not of the stream of positions: records that wrap past its end show at both
//! ends, as they lie there.

use user_ringbuf_linux::RingSize;

/// Most cells of a row.
const MOST: u32 = 64;

/// What lies in a stretch of the data area, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Free,
    Discarded,
    Submitted,
    Busy,
    Damaged,
    /// The positions are wrong, so it is not known where a record begins.
    Unknown,
}

impl Part {
    pub(crate) const fn mark(self) -> char {
        match self {
            Self::Free => '.',
            Self::Discarded => 'x',
            Self::Submitted => '#',
            Self::Busy => 'B',
            Self::Damaged => '!',
            Self::Unknown => '?',
        }
    }
}

/// The row.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    parts: Vec<Part>,
    /// Bytes per cell, a power of two, as a shift.
    shift: u32,
}

impl Cells {
    pub(crate) fn new(size: RingSize, part: Part) -> Self {
        // Both are powers of two, and a cell never splits a header.
        let cells = MOST.min(size.bytes() / 8);
        let shift = (size.bytes() / cells).ilog2();
        Self { parts: (0..cells).map(|_| part).collect(), shift }
    }

    /// Notes that `bytes` bytes from `offset` on are `part`, past the end of the data area if need be.
    pub(crate) fn note(&mut self, offset: u32, bytes: u32, part: Part) {
        let last = u64::from(offset) + u64::from(bytes.max(1)) - 1;
        let first = offset >> self.shift;
        let count = (last >> self.shift) - u64::from(first) + 1;
        let len = self.parts.len();
        let first = usize::try_from(first).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(len).min(len);
        for at in first..first + count {
            if let Some(cell) = self.parts.get_mut(if at < len { at } else { at - len }) {
                *cell = part.max(*cell);
            }
        }
    }

    /// The cell that `offset` lies in.
    pub(crate) fn of(&self, offset: u32) -> usize {
        usize::try_from(offset >> self.shift).unwrap_or(0)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes per cell.
    pub(crate) fn bytes(&self) -> u32 {
        1 << self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(size: u64, notes: &[(u32, u32, Part)]) -> String {
        let mut cells = Cells::new(RingSize::new(size).unwrap(), Part::Free);
        for (offset, bytes, part) in notes {
            cells.note(*offset, *bytes, *part);
        }
        cells.parts().iter().map(|part| part.mark()).collect()
    }

    #[test]
    fn a_record_fills_the_cells_that_it_touches_and_no_others() {
        assert_eq!(row(64, &[]), "........");
        assert_eq!(row(64, &[(8, 16, Part::Submitted), (24, 8, Part::Busy)]), ".##B....");
        let row = row(4096, &[(64, 64, Part::Submitted), (128, 72, Part::Discarded)]);
        assert_eq!((row.len(), &row[..6]), (64, ".#xx.."));
    }

    #[test]
    fn a_record_that_wraps_shows_at_both_ends_and_a_full_ring_everywhere() {
        assert_eq!(row(64, &[(48, 32, Part::Submitted)]), "##....##");
        assert_eq!(row(64, &[(40, 64, Part::Submitted)]), "########");
    }

    #[test]
    fn a_cell_shows_the_worst_that_lies_in_it() {
        let small = [(0, 16, Part::Submitted), (16, 16, Part::Busy), (32, 16, Part::Discarded)];
        assert!(row(4096, &small).starts_with("B..."));
        assert!(row(4096, &[(0, 8, Part::Damaged), (8, 8, Part::Busy)]).starts_with("!..."));
    }

    #[test]
    fn the_largest_ring_has_cells_too() {
        let row = row(1 << 31, &[((1 << 31) - 8, 1 << 30, Part::Submitted)]);
        assert_eq!((row.matches('#').count(), row.len()), (33, 64));
    }
}
