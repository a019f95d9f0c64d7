//! Cases made up from a seed: legal rings and damaged ones, and what is near the limits more often than chance allows.

use fastrand::Rng;
use user_ringbuf_sim::Program;
use user_ringbuf_sim::{BUSY_BIT, DISCARD_BIT, MAX_SAMPLE_LEN, record_extent};

use super::image::{Call, Case, Ground, Image, Piece, Start, Tail, Work};

/// Makes up the case of this number.
#[must_use]
pub fn draw(seed: u64, number: u64, page: u32) -> Case {
    // Two numbers into one: neighbours of either must not look alike.
    let rng = Rng::with_seed(Rng::with_seed(seed).u64(..) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Draw { rng, page }.case()
}

type Kind = fn(&mut Draw) -> Case;

/// What is drawn, and about how often in ten thousand times.
const KINDS: [(u32, Kind); 14] = [
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
struct Row {
    size: u32,
    pieces: Vec<Piece>,
    end: u32,
}

impl Row {
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

    fn record(&mut self, row: &mut Row, flags: u32) -> bool {
        let len = self.sample_len();
        let (pad, sample) = (self.pad(), self.sample(len));
        row.add(flags, pad, &sample)
    }

    /// Some records that the kernel takes.
    fn row(&mut self, most: u32) -> Row {
        let mut row = Row::new(self.page);
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

    fn legal(&mut self) -> Case {
        let row = self.row(16);
        self.drained(row.image())
    }

    fn empty(&mut self) -> Case {
        self.drained(Image { pieces: vec![], tail: Tail::Ahead(0) })
    }

    /// Not a byte is free: by one record, or by many.
    fn full(&mut self) -> Case {
        let mut row = self.row(4);
        let (left, pad) = (row.left(), self.pad());
        if left >= 8 {
            let shorter = if left > 8 { self.rng.u32(..8) } else { 0 };
            let sample = self.sample(left - 8 - shorter);
            let flags = self.one_of(&[0, 0, 0, BUSY_BIT, DISCARD_BIT]);
            row.add(flags, pad, &sample);
        }
        self.drained(row.image())
    }

    fn discarded(&mut self) -> Case {
        let mut row = self.row(2);
        for _ in 0..self.rng.u32(1..24) {
            self.record(&mut row, DISCARD_BIT);
        }
        if self.rng.bool() {
            self.record(&mut row, 0);
        }
        self.drained(row.image())
    }

    /// A busy record holds what is behind it.
    fn held(&mut self) -> Case {
        let mut row = self.row(6);
        self.record(&mut row, BUSY_BIT);
        for _ in 0..self.rng.u32(..4) {
            self.record(&mut row, 0);
        }
        self.drained(row.image())
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

    /// A record whose length can't be, or just can.
    fn bad_length(&mut self) -> Case {
        let mut row = self.row(6);
        let behind = 8 * self.rng.u32(..=row.left().min(96) / 8);
        let word = self.flags() | self.limit(self.page, behind);
        row.header(word);
        row.end += behind;
        let mut image = row.image();
        if self.rng.bool() {
            // Some laps ahead, so that the ring's size is what the record is beyond. Where the length can be after
            // all, busy records may stop the kernel.
            image.tail = Tail::Ahead(u64::from(self.page) * self.rng.u64(1..16) + 8 * self.rng.u64(..64));
            let row_end = image.pieces.last().map_or(0, |last| last.at);
            let obstacles = (0..self.page).step_by(61 * 8).filter(|at| *at > row_end);
            image.pieces.extend(obstacles.map(|at| Piece::record(at, BUSY_BIT | 8, 0, &[])));
        }
        self.drained(image)
    }

    /// A producer position that can't be, on a ring that would be legal.
    fn wrong_tail(&mut self) -> Case {
        let mut row = self.row(6);
        let end = u64::from(row.end);
        row.header(BUSY_BIT | 8);
        let tail = match self.rng.u32(..8) {
            0..3 => Tail::Ahead(end + self.rng.u64(1..8)),
            3 => Tail::Ahead(0_u64.wrapping_sub(8 * self.rng.u64(1..1024))),
            4 => Tail::Ahead(0_u64.wrapping_sub(self.rng.u64(1..1 << 40))),
            5 => Tail::At(self.one_of(&[0, 8, 1 << 31, u64::MAX, 1 << 63, (1 << 32) - 8])),
            6 => Tail::Ahead(end.saturating_sub(8)),
            _ => Tail::At(self.rng.u64(..)),
        };
        self.drained(Image { tail, ..row.image() })
    }

    /// The producer is further ahead than the ring is large: the kernel goes round and takes what it took before,
    /// until it comes upon the obstacle, or the callback has enough.
    fn replayed(&mut self) -> Case {
        let mut row = Row::new(self.page);
        let mut stop_after = 0;
        let obstacle = self.rng.bool();
        while row.left() > 0 {
            let (left, len) = (row.left(), self.rng.u32(8..512).next_multiple_of(8));
            let sample = self.sample(if left < len + 16 { left - 8 } else { len });
            let flags = self.one_of(&[0, 0, DISCARD_BIT]);
            row.add(flags, 0, &sample);
        }
        let mut image = row.image();
        let last = image.pieces.len() - 1;
        if obstacle {
            let at = self.rng.usize(..=last);
            let word = self.one_of(&[BUSY_BIT, 1 << 29, BUSY_BIT | DISCARD_BIT | (MAX_SAMPLE_LEN + 1)]);
            image.pieces[at].bytes[..4].copy_from_slice(&word.to_ne_bytes());
        } else {
            // At least one sample must come round, or the callback is never asked.
            let word = u32::try_from(image.pieces[last].bytes.len() - 8).unwrap_or(0);
            image.pieces[last].bytes[..4].copy_from_slice(&word.to_ne_bytes());
            // On large pages a lap has more records than that: as often as not the callback asks for more than one.
            stop_after = self.rng.u32(1..u32::try_from(2 * image.pieces.len()).unwrap_or(0).max(200));
        }
        let laps = self.rng.u64(1..=4);
        image.tail = match self.rng.u32(..4) {
            0 => Tail::At(0_u64.wrapping_sub(8 * self.rng.u64(1..1024))),
            1 => Tail::Ahead(u64::from(self.page) + 8),
            2 => Tail::Ahead(u64::from(self.page) * laps),
            _ => Tail::Ahead(u64::from(self.page) + 8 * self.rng.u64(1..1 << 20)),
        };
        let call = Call { stop_after, ..self.call(1) };
        self.small(Work::Drain(image, vec![call]))
    }

    /// Any bytes: all of them, or with lengths that are short.
    fn noise(&mut self) -> Case {
        let mut bytes = self.sample(self.page);
        let mask = self.one_of(&[u32::MAX, 0x3f, BUSY_BIT | DISCARD_BIT | 0xff, DISCARD_BIT | 0x3f, 0x0100_0fff]);
        for word in bytes.chunks_exact_mut(4) {
            if let Some(chunk) = word.first_chunk_mut() {
                *chunk = (u32::from_ne_bytes(*chunk) & mask).to_ne_bytes();
            }
        }
        let tail = match self.rng.u32(..40) {
            // Dear, where everything is discarded.
            0 => Tail::At(self.rng.u64(..) & !7),
            1..10 => Tail::Ahead(self.rng.u64(..=u64::from(self.page))),
            _ => Tail::Ahead(8 * self.rng.u64(..=u64::from(self.page) / 8)),
        };
        let image = Image { pieces: vec![Piece { at: 0, bytes }], tail };
        // Noise may go round and round.
        let call = Call { stop_after: self.rng.u32(1..400), ..self.call(1) };
        self.small(Work::Drain(image, vec![call]))
    }

    /// Records near the limit of a dynptr, and positions about a multiple of 2^32.
    fn huge(&mut self) -> Case {
        let size = Ground::Huge.size(self.page);
        let limit = MAX_SAMPLE_LEN;
        let (word, extent) = match self.rng.u32(..8) {
            // The longest sample, with all its bytes: dear.
            0 if self.once_in(100) => (self.one_of(&[limit, limit - 1, limit - 7]), 1 << 24),
            0..2 => (DISCARD_BIT | self.flags() | self.one_of(&[limit, limit - 7, limit - 8]), 1 << 24),
            2 => (BUSY_BIT | limit, 1 << 24),
            3 => (self.flags() | self.one_of(&[size - 8, size - 9, size - 7]), size - 8),
            4 => (self.flags() | self.rng.u32(limit + 1..size), size - 8),
            _ => (self.flags() | self.one_of(&[limit + 1, limit + 1, limit + 2, limit + 8]), 1 << 24),
        };
        let mut row = Row::new(size);
        for _ in 0..self.rng.u32(..4) {
            self.record(&mut row, 0);
        }
        let (mut pieces, first) = (row.pieces, row.end);
        pieces.push(Piece::record(first, word, 0, b"front"));
        // Behind it, if it is taken, come a sample and a busy record: the ring's zeros would be many empty samples.
        let behind = first + record_extent(word);
        if behind <= size - 24 {
            pieces.push(Piece::record(behind, 8, 0, b"behind  "));
            pieces.push(Piece::record(behind + 16, BUSY_BIT, 0, &[]));
        }
        let ahead = match self.rng.u32(..4) {
            0 => u64::from(first + extent),
            1 => u64::from(size),
            2 => u64::from(first + extent) + 16,
            _ => u64::from(first + extent) + 8,
        };
        let start = if self.rng.u32(..4) > 0 { Start::Before4GiB(8 * self.rng.u32(1..256)) } else { self.start(size) };
        let image = Image { pieces, tail: Tail::Ahead(ahead.min(size.into())) };
        let calls = self.calls(&image).into_iter().map(|call| Call { nested: false, ..call }).collect();
        Case { ground: Ground::Huge, start, work: Work::Drain(image, calls) }
    }

    /// Round and round, until one drain takes no more.
    fn capped(&mut self) -> Case {
        let mut row = Row::new(self.page);
        // Callbacks are dear, so that most of it is discarded.
        let submitted = self.once_in(8);
        for _ in 0..self.rng.u32(..8) {
            self.record(&mut row, DISCARD_BIT);
        }
        let sample = self.sample(row.left() - 8);
        row.add(if submitted { 0 } else { DISCARD_BIT }, 0, &sample);
        let image = Image { tail: Tail::Ahead(1 << 40), ..row.image() };
        let start = self.start(self.page);
        let calls = vec![Call { nested: false, stop_after: 0, ..self.call(1) }];
        Case { ground: Ground::High, start, work: Work::Drain(image, calls) }
    }

    /// A legal ring with more records than one drain takes.
    fn many(&mut self) -> Case {
        let size = Ground::Many.size(self.page);
        let count = 131_072 + self.rng.u32(..4) * self.rng.u32(..1000);
        let submitted = self.rng.u32(..131_072 + 2000);
        // Empty records, all but one of them discarded.
        let discarded = DISCARD_BIT.to_ne_bytes();
        let mut bytes: Vec<u8> = (0..count).flat_map(|_| [discarded, [0; 4]]).flatten().collect();
        if let Some(word) = bytes.chunks_exact_mut(8).nth(usize::try_from(submitted).unwrap_or(0)) {
            word[..4].fill(0);
        }
        let image = Image { pieces: vec![Piece { at: 0, bytes }], tail: Tail::Ahead(u64::from(count) * 8) };
        let calls = vec![Call { nested: false, ..self.call(1) }, Call { flags: 1, ..Call::default() }];
        Case { ground: Ground::Many, start: self.start(size), work: Work::Drain(image, calls) }
    }

    /// What damaged rings are repaired from.
    fn repaired(&mut self) -> Case {
        let mut case = match self.rng.u32(..5) {
            0 => self.held(),
            1 | 2 => self.bad_length(),
            3 => self.wrong_tail(),
            _ => self.noise(),
        };
        if let Work::Drain(image, _) = case.work {
            case.work = Work::Repair(image);
        }
        case
    }

    /// Producers at work, as random bytes say.
    fn produced(&mut self) -> Case {
        let mut bytes = vec![0; self.rng.usize(16..96)];
        self.rng.fill(&mut bytes);
        // The first byte is the ring's size, the second says that the first of some common positions follows.
        bytes[0] = u8::try_from(self.page.trailing_zeros() - 3).unwrap_or(0);
        bytes[1] = 1;
        match Program::decode_prefix(&bytes) {
            Ok((program, _)) => self.small(Work::Produce(program)),
            Err(_) => self.empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u32 = 4096;

    #[test]
    fn a_case_is_the_same_each_time_and_another_seed_or_number_makes_another() {
        let case = draw(7, 100, PAGE);
        assert_eq!(draw(7, 100, PAGE), case);
        let others = (0..50).filter(|number| draw(8, *number, PAGE) != draw(7, *number, PAGE)).count();
        assert!(others > 45, "{others}");
        let neighbours = (0..50).filter(|number| draw(7, *number, PAGE) != draw(7, number + 1, PAGE)).count();
        assert!(neighbours > 45, "{neighbours}");
    }

    #[test]
    fn whatever_is_drawn_fits_its_ring_on_every_page_size() {
        for page in [4096, 16384, 65536] {
            for number in 0..20_000 {
                let case = draw(1, number, page);
                let size = case.ground.size(page);
                match case.start {
                    Start::Offset(offset) => assert!(offset % 8 == 0 && offset < size),
                    Start::Before4GiB(bytes) => assert!(bytes % 8 == 0 && bytes > 0),
                }
                let (Work::Drain(image, _) | Work::Repair(image)) = case.work else { continue };
                for piece in &image.pieces {
                    assert!(piece.at < size && piece.bytes.len() <= usize::try_from(size).unwrap(), "{piece}");
                }
            }
        }
    }
}
