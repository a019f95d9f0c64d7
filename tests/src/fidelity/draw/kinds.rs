//! The kinds of cases that are drawn.

use user_ringbuf_sim::proof::Program;
use user_ringbuf_sim::{BUSY_BIT, DISCARD_BIT, MAX_SAMPLE_LEN, record_extent};

use super::{Chain, Draw};
use crate::fidelity::image::{Call, Case, Ground, Image, Piece, Start, Tail, Work};

impl Draw {
    pub(super) fn legal(&mut self) -> Case {
        let row = self.row(16);
        self.drained(row.image())
    }

    pub(super) fn empty(&mut self) -> Case {
        self.drained(Image { pieces: vec![], tail: Tail::Ahead(0) })
    }

    /// Not a byte is free: by one record, or by many.
    pub(super) fn full(&mut self) -> Case {
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

    pub(super) fn discarded(&mut self) -> Case {
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
    pub(super) fn held(&mut self) -> Case {
        let mut row = self.row(6);
        self.record(&mut row, BUSY_BIT);
        for _ in 0..self.rng.u32(..4) {
            self.record(&mut row, 0);
        }
        self.drained(row.image())
    }

    /// A record whose length can't be, or just can.
    pub(super) fn bad_length(&mut self) -> Case {
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
    pub(super) fn wrong_tail(&mut self) -> Case {
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
    pub(super) fn replayed(&mut self) -> Case {
        let mut row = Chain::new(self.page);
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
    pub(super) fn noise(&mut self) -> Case {
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
    pub(super) fn huge(&mut self) -> Case {
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
        let mut row = Chain::new(size);
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
    pub(super) fn capped(&mut self) -> Case {
        let mut row = Chain::new(self.page);
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
    pub(super) fn many(&mut self) -> Case {
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
    pub(super) fn repaired(&mut self) -> Case {
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
    pub(super) fn produced(&mut self) -> Case {
        let mut bytes = vec![0; self.rng.usize(16..96)];
        self.rng.fill(&mut bytes);
        // The first byte is the ring's size, the second says that the first of some common positions follows.
        bytes[0] = u8::try_from(self.page.trailing_zeros() - 3).unwrap_or(0);
        bytes[1] = 1;
        let program = Program::decode(&bytes).expect("long enough for a head");
        self.small(Work::Produce(program))
    }
}
