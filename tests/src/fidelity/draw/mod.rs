//! Cases made up from a seed: legal rings and damaged ones, and values near the limits more often than chance allows.

mod kinds;

use fastrand::Rng;
use user_ringbuf_sim::{BUSY_BIT, DISCARD_BIT, MAX_SAMPLE_LEN, record_extent};

use super::image::{Call, Case, Ground, Image, Piece, Start, Tail, Work};

/// Makes up the case of this number.
#[must_use]
pub fn draw(seed: u64, number: u64, page: u32) -> Case {
    // Two numbers into one: neighbours of either must not look alike.
    let rng = Rng::with_seed(Rng::with_seed(seed).u64(..) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Draw { rng, page }.case()
}

type Maker = fn(&mut Draw) -> Case;

/// What is drawn, and about how often in ten thousand cases.
const KINDS: [(u32, Maker); 14] = [
    (2000, Draw::legal),
    (500, Draw::full),
    (700, Draw::discarded),
    (200, Draw::empty),
    (1000, Draw::held),
    (1500, Draw::bad_length),
    (900, Draw::wrong_tail),
    (600, Draw::replayed),
    (300, Draw::noise),
    (600, Draw::huge),
    (15, Draw::capped),
    (2, Draw::many),
    (1000, Draw::repaired),
    (500, Draw::produced),
];

struct Draw {
    rng: Rng,
    page: u32,
}

/// Records one behind the other.
struct Chain {
    size: u32,
    pieces: Vec<Piece>,
    end: u32,
}

impl Chain {
    fn new(size: u32) -> Self {
        Self { size, pieces: Vec::new(), end: 0 }
    }

    fn left(&self) -> u32 {
        self.size - self.end
    }

    /// Adds a record if there is room for it.
    fn add(&mut self, flags: u32, pad: u32, sample: &[u8]) -> bool {
        let len = u32::try_from(sample.len()).unwrap_or(u32::MAX);
        let fits = record_extent(len) <= self.left();
        if fits {
            self.pieces.push(Piece::record(self.end, flags | len, pad, sample));
            self.end += record_extent(len);
        }
        fits
    }

    /// Adds a header alone, whatever it says, if there is room for one.
    fn header(&mut self, word: u32) {
        if self.left() >= 8 {
            self.pieces.push(Piece::record(self.end, word, 0, &[]));
        }
    }

    fn image(self) -> Image {
        let tail = Tail::Ahead(self.end.into());
        Image { pieces: self.pieces, tail }
    }
}

impl Draw {
    fn case(&mut self) -> Case {
        let mut at = self.rng.u32(..KINDS.iter().map(|(weight, _)| weight).sum::<u32>());
        for (weight, kind) in KINDS {
            if at < weight {
                return kind(self);
            }
            at -= weight;
        }
        self.empty()
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())]
    }

    /// An offset in a ring of `size`: often close to the end, so that a record wraps.
    fn start(&mut self, size: u32) -> Start {
        let eights = size / 8;
        let offset = match self.rng.u32(..8) {
            0 => 0,
            1..=3 => eights - 1 - self.rng.u32(..eights.min(32)),
            _ => self.rng.u32(..eights),
        };
        Start::Offset(offset * 8)
    }

    fn small(&mut self, work: Work) -> Case {
        let ground = if self.rng.bool() { Ground::Low } else { Ground::High };
        Case { ground, start: self.start(self.page), work }
    }

    fn drained(&mut self, image: Image) -> Case {
        let calls = self.calls(&image);
        self.small(Work::Drain(image, calls))
    }

    fn calls(&mut self, image: &Image) -> Vec<Call> {
        let count = if self.once_in(4) { 2 } else { 1 };
        let most = u32::try_from(image.pieces.len()).unwrap_or(u32::MAX).max(1);
        (0..count).map(|_| self.call(most)).collect()
    }

    fn call(&mut self, most: u32) -> Call {
        let flags = match self.rng.u32(..100) {
            0..55 => 1,
            55..80 => 0,
            80..90 => 2,
            90..96 => 3,
            96 => 4 | self.rng.u64(..4),
            97 => self.rng.u64(..),
            98 => 1 << self.rng.u32(2..64),
            _ => u64::MAX,
        };
        let stop_after = if self.once_in(4) { self.rng.u32(1..=most) } else { 0 };
        Call { flags, stop_after, nested: self.once_in(25) }
    }

    fn sample_len(&mut self) -> u32 {
        match self.rng.u32(..16) {
            0 => 0,
            1 => 7,
            2 => 8,
            3 => 9,
            4 => self.rng.u32(..512),
            _ => self.rng.u32(..48),
        }
    }

    fn sample(&mut self, len: u32) -> Vec<u8> {
        let mut sample = vec![0; usize::try_from(len).unwrap_or(0)];
        self.rng.fill(&mut sample);
        sample
    }

    /// What the kernel never reads.
    fn pad(&mut self) -> u32 {
        if self.once_in(8) { self.rng.u32(..) } else { 0 }
    }

    fn record(&mut self, row: &mut Chain, flags: u32) -> bool {
        let len = self.sample_len();
        let (pad, sample) = (self.pad(), self.sample(len));
        row.add(flags, pad, &sample)
    }

    /// Some records that the kernel takes.
    fn row(&mut self, most: u32) -> Chain {
        let mut row = Chain::new(self.page);
        for _ in 0..self.rng.u32(..=most) {
            let flags = match self.rng.u32(..16) {
                0..3 => DISCARD_BIT,
                3 => DISCARD_BIT | BUSY_BIT,
                _ => 0,
            };
            if !self.record(&mut row, flags) {
                break;
            }
        }
        row
    }

    /// A length at which something changes, in a ring of `size` of which `ahead` bytes lie before the producer.
    fn limit(&mut self, size: u32, ahead: u32) -> u32 {
        let near = |edge: u32, by: u32| edge.saturating_sub(16).saturating_add(by);
        let by = self.rng.u32(..24);
        match self.rng.u32(..10) {
            0 => self.one_of(&[0, 1, 7, 8, 9]),
            1..4 => near(ahead, by),
            4..6 => near(size, by),
            6 => self.one_of(&[MAX_SAMPLE_LEN - 1, MAX_SAMPLE_LEN, MAX_SAMPLE_LEN + 1, MAX_SAMPLE_LEN + 2]),
            7 => self.one_of(&[(1 << 30) - 1, (1 << 30) - 8, 1 << 29]),
            _ => self.rng.u32(..1 << 30),
        }
    }

    fn flags(&mut self) -> u32 {
        self.one_of(&[0, BUSY_BIT, DISCARD_BIT, BUSY_BIT | DISCARD_BIT])
    }
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn a_case_is_the_same_each_time_and_another_seed_or_number_makes_another() {
        let unlike = |seed, by| (0..50).filter(|n| draw(seed, n + by, 4096) != draw(7, *n, 4096)).count();
        assert_eq!(unlike(7, 0), 0);
        assert!(unlike(8, 0) > 45, "another seed");
        assert!(unlike(7, 1) > 45, "another number");
    }
}
