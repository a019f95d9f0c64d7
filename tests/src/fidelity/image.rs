//! What is put on trial: a ring's bytes and positions, and what is done to it.
//!
//! Everything is relative to the consumer position, because a real one can't be set: it only moves by draining.

use std::fmt;

use user_ringbuf_sim::proof::Program;
use user_ringbuf_sim::{BUSY_BIT, DISCARD_BIT, Header};

/// Which ring a case is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ground {
    /// One page, positions below 2^32.
    Low,
    /// One page, positions above 2^32.
    High,
    /// 2 MiB: room for more records than one drain takes.
    Many,
    /// 32 MiB: room for a sample that is longer than a dynptr may be.
    Huge,
}

impl Ground {
    /// Bytes in the ring, on a machine with pages of `page` bytes.
    #[must_use]
    pub const fn size(self, page: u32) -> u32 {
        match self {
            Self::Low | Self::High => page,
            Self::Many => 1 << 21,
            Self::Huge => 1 << 25,
        }
    }
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The ring.
    pub ground: Ground,
    /// Where the consumer is to stand before it begins.
    pub start: Start,
    /// What is done.
    pub work: Work,
}

/// Where the consumer stands: the next such position that it can be moved on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this offset of the data area: a multiple of 8.
    Offset(u32),
    /// So many bytes before a multiple of 2^32: a multiple of 8.
    Before4GiB(u32),
}

/// What is done to the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// The image is drained, once or more often.
    Drain(Image, Vec<Call>),
    /// The image is repaired and drained until it is empty.
    Repair(Image),
    /// Producers do what the program says, and it is drained when the program says so.
    Produce(Program),
}

/// A ring's bytes and its producer position. What no piece covers is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What is written, in this order.
    pub pieces: Vec<Piece>,
    /// The producer position.
    pub tail: Tail,
}

/// A producer position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// So many bytes ahead of the consumer position, across 2^64 if need be: large numbers lie behind it.
    Ahead(u64),
    /// This very position.
    At(u64),
}

impl Tail {
    /// The position, with the consumer at `consumer`.
    #[must_use]
    pub const fn position(self, consumer: u64) -> u64 {
        match self {
            Self::Ahead(bytes) => consumer.wrapping_add(bytes),
            Self::At(position) => position,
        }
    }
}

/// Bytes at one place: most often a record's header and the beginning of its sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes behind the consumer position: below the ring's size.
    pub at: u32,
    /// What stands there: at most the ring's size.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// A record: length word, pad, and as much of the sample as is not zero.
    #[must_use]
    pub fn record(at: u32, word: u32, pad: u32, sample: &[u8]) -> Self {
        let bytes = [&word.to_ne_bytes(), &pad.to_ne_bytes(), sample].concat();
        Self { at, bytes }
    }
}

/// One drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Flags: any value.
    pub flags: u64,
    /// The callback stops behind so many samples; 0 is never.
    pub stop_after: u32,
    /// Whether the callback drains again: on rings of one page only.
    pub nested: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ring {:?}, consumer ", self.ground)?;
        match self.start {
            Start::Offset(offset) => writeln!(f, "at offset {offset}")?,
            Start::Before4GiB(bytes) => writeln!(f, "{bytes} bytes before a multiple of 2^32")?,
        }
        match &self.work {
            Work::Drain(image, calls) => {
                image.fmt(f)?;
                calls.iter().try_for_each(|call| writeln!(f, "  {call}"))
            }
            Work::Repair(image) => writeln!(f, "{image}  repair, then drain until empty"),
            Work::Produce(program) => program.fmt(f),
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        match self.tail {
            Tail::Ahead(bytes) => writeln!(f, "  producer {} bytes ahead", 0_i64.wrapping_add_unsigned(bytes))?,
            Tail::At(position) => writeln!(f, "  producer at {position}")?,
        }
        self.pieces.iter().take(SHOWN).try_for_each(|piece| writeln!(f, "  {piece}"))?;
        match self.pieces.len().checked_sub(SHOWN) {
            Some(more @ 1..) => writeln!(f, "  and {more} more"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((word, rest)) = self.bytes.split_first_chunk() else {
            return write!(f, "{:+}: bytes {:02x?}", self.at, self.bytes);
        };
        let word = u32::from_ne_bytes(*word);
        let flags = match (word & BUSY_BIT != 0, word & DISCARD_BIT != 0) {
            (false, false) => "",
            (true, false) => "BUSY ",
            (false, true) => "DISCARD ",
            (true, true) => "BUSY DISCARD ",
        };
        write!(f, "{:+}: {flags}len {}, then {} bytes", self.at, Header::from_word(word).len(), rest.len())?;
        let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if end > 0 { write!(f, " {:02x?}", &rest[..end.min(16)]) } else { Ok(()) }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drain flags={:#x} stop={}", self.flags, self.stop_after)?;
        if self.nested { f.write_str(" nested") } else { Ok(()) }
    }
}
