//! How standard input is cut into samples: one per line, or one per frame with its length in front.
//!
//! Pure: bytes in, samples and their places out; no reading, no ring. Invariants: no input causes a panic, and what a
//! caller must keep between two calls never exceeds the longest sample and the length in front of it
//! ([`Parser::max_rest`]): longer ones are skipped as they are read.

use clap::ValueEnum;
use memchr::memchr;
use serde::Serialize;

/// Bytes of the length in front of a frame.
const PREFIX: usize = size_of::<u32>();

/// How the input is cut into samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// One sample per line. The newline is not part of it; the last line needs none.
    Lines,
    /// One sample per frame: its length as a little-endian u32, then that many bytes.
    U32,
}

impl Framing {
    /// What one sample is called in words: `"line"` or `"frame"`.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Lines => "line",
            Self::U32 => "frame",
        }
    }
}

/// Where a sample is in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which line or frame, from 1.
    pub number: u64,
    /// Offset of its first byte in the input, from 0. A frame starts with its length.
    pub at: u64,
}

/// What came next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'i> {
    /// A whole sample.
    Sample {
        /// Where it starts.
        place: Place,
        /// Its bytes, without newline or length.
        bytes: &'i [u8],
    },
    /// A sample that is longer than the limit. Its bytes are skipped.
    TooLong {
        /// Where it starts.
        place: Place,
        /// Its length in bytes.
        len: u64,
    },
    /// What is left is not a whole sample: call again with more behind it.
    NeedsInput,
    /// The input has ended, and nothing is left of it.
    End,
}

/// The input ended within a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// It ended within the length.
    #[error("frame {} (at byte {}) is cut off: the input has only {got} of the 4 bytes of its length", place.number, place.at)]
    LengthCut {
        /// Where the frame starts.
        place: Place,
        /// Bytes of the length that the input has.
        got: usize,
    },
    /// It ended within the sample.
    #[error("frame {} (at byte {}) is cut off: its length is {announced} bytes, and the input has {got} of them", place.number, place.at)]
    FrameCut {
        /// Where the frame starts.
        place: Place,
        /// The sample's length as the frame says, in bytes.
        announced: u32,
        /// Bytes of the sample that the input has.
        got: u32,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// At the beginning of a line or frame; the first `scanned` bytes hold no newline.
    Whole { scanned: usize },
    /// Within a line that is too long, `len` bytes of which are gone.
    SkippingLine { len: u64 },
    /// Within a frame that is too long and was reported.
    SkippingFrame { place: Place, announced: u32, left: u32 },
}

/// Cuts input into samples as it is read.
///
/// ```
/// use user_ringbuf_cli::framing::{Framing, Parser, Step};
///
/// let mut parser = Parser::new(Framing::Lines, 4088);
/// let (taken, step) = parser.next(b"a\nb", false)?;
/// assert!(matches!(step, Step::Sample { bytes: b"a", .. }));
/// assert_eq!(parser.next(&b"a\nb"[taken..], false)?, (0, Step::NeedsInput));
/// # Ok::<(), user_ringbuf_cli::framing::FramingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parser {
    framing: Framing,
    max: usize,
    state: State,
    /// Where the next line or frame starts.
    place: Place,
}

impl Parser {
    /// A parser at the beginning of an input, for samples of at most `max` bytes.
    #[must_use]
    pub fn new(framing: Framing, max: usize) -> Self {
        Self { framing, max, state: State::Whole { scanned: 0 }, place: Place { number: 1, at: 0 } }
    }

    /// How this parser cuts.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Most bytes that a caller has to keep after [`Step::NeedsInput`].
    #[must_use]
    pub fn max_rest(&self) -> usize {
        match self.framing {
            Framing::Lines => self.max,
            Framing::U32 => self.max.saturating_add(PREFIX),
        }
    }

    /// Reads what is at the beginning of `input`, and returns it with the number of bytes that it takes.
    ///
    /// For the next call, `input` must begin behind these bytes, and may be longer. `ended` says that the input ends with
    /// it.
    ///
    /// # Errors
    /// [`FramingError`] if the input has ended within a frame.
    #[inline]
    pub fn next<'i>(&mut self, input: &'i [u8], ended: bool) -> Result<(usize, Step<'i>), FramingError> {
        match (self.framing, self.state) {
            (Framing::Lines, State::Whole { scanned }) => Ok(self.next_line(input, scanned, ended)),
            (Framing::U32, State::Whole { .. }) => self.next_frame(input, ended),
            (_, State::SkippingLine { len }) => Ok(self.skip_line(input, len, ended)),
            (_, State::SkippingFrame { place, announced, left }) => {
                self.skip_frame(input, place, announced, left, ended)
            }
        }
    }

    #[inline]
    fn next_line<'i>(&mut self, input: &'i [u8], scanned: usize, ended: bool) -> (usize, Step<'i>) {
        let newline = memchr(b'\n', input.get(scanned..).unwrap_or_default());
        let Some(len) = newline.map(|at| scanned + at) else {
            return self.unended_line(input, ended);
        };
        let (line, _) = input.split_at(len);
        let place = self.pass(count(len) + 1);
        let step = if len <= self.max { Step::Sample { place, bytes: line } } else { too_long(place, count(len)) };
        (len + 1, step)
    }

    #[cold]
    fn unended_line<'i>(&mut self, input: &'i [u8], ended: bool) -> (usize, Step<'i>) {
        let len = input.len();
        if len > self.max {
            self.state = State::SkippingLine { len: 0 };
            return self.skip_line(input, 0, ended);
        }
        if !ended {
            self.state = State::Whole { scanned: len };
            return (0, Step::NeedsInput);
        }
        if len == 0 {
            return (0, Step::End);
        }
        self.state = State::Whole { scanned: 0 };
        (len, Step::Sample { place: self.pass(count(len)), bytes: input })
    }

    #[cold]
    fn skip_line<'i>(&mut self, input: &'i [u8], gone: u64, ended: bool) -> (usize, Step<'i>) {
        let (rest, taken) = match memchr(b'\n', input) {
            Some(at) => (at, at + 1),
            None => (input.len(), input.len()),
        };
        let len = gone.saturating_add(count(rest));
        if taken == rest && !ended {
            self.state = State::SkippingLine { len };
            return (taken, Step::NeedsInput);
        }
        self.state = State::Whole { scanned: 0 };
        let place = self.pass(len.saturating_add(count(taken - rest)));
        (taken, too_long(place, len))
    }

    #[inline]
    fn next_frame<'i>(&mut self, input: &'i [u8], ended: bool) -> Result<(usize, Step<'i>), FramingError> {
        let Some((prefix, rest)) = input.split_first_chunk::<PREFIX>() else {
            return match (ended, input.len()) {
                (false, _) => Ok((0, Step::NeedsInput)),
                (true, 0) => Ok((0, Step::End)),
                (true, got) => Err(FramingError::LengthCut { place: self.place, got }),
            };
        };
        let announced = u32::from_le_bytes(*prefix);
        // A length that doesn't fit a `usize` is more than any ring takes.
        let len = usize::try_from(announced).unwrap_or(usize::MAX);
        if len > self.max {
            let place = self.pass(u64::from(announced) + count(PREFIX));
            self.state = State::SkippingFrame { place, announced, left: announced };
            return Ok((PREFIX, too_long(place, u64::from(announced))));
        }
        match rest.split_at_checked(len) {
            Some((bytes, _)) => {
                let place = self.pass(u64::from(announced) + count(PREFIX));
                Ok((PREFIX + len, Step::Sample { place, bytes }))
            }
            None if !ended => Ok((0, Step::NeedsInput)),
            None => Err(FramingError::FrameCut { place: self.place, announced, got: narrow(rest.len()) }),
        }
    }

    #[cold]
    fn skip_frame<'i>(
        &mut self,
        input: &'i [u8],
        place: Place,
        announced: u32,
        left: u32,
        ended: bool,
    ) -> Result<(usize, Step<'i>), FramingError> {
        let taken = left.min(narrow(input.len()));
        let left = left - taken;
        let taken = usize::try_from(taken).unwrap_or(input.len());
        if left == 0 {
            self.state = State::Whole { scanned: 0 };
            let (next, step) = self.next_frame(input.get(taken..).unwrap_or_default(), ended)?;
            return Ok((taken + next, step));
        }
        self.state = State::SkippingFrame { place, announced, left };
        if ended {
            Err(FramingError::FrameCut { place, announced, got: announced - left })
        } else {
            Ok((taken, Step::NeedsInput))
        }
    }

    /// Goes on behind a line or frame of `len` bytes, newline or length included, and returns where it started.
    #[inline]
    fn pass(&mut self, len: u64) -> Place {
        let place = self.place;
        // Wrapping: no input is this long, and counting must not cost a branch.
        self.place = Place { number: place.number.wrapping_add(1), at: place.at.wrapping_add(len) };
        if let State::Whole { scanned } = &mut self.state {
            *scanned = 0;
        }
        place
    }
}

fn too_long(place: Place, len: u64) -> Step<'static> {
    Step::TooLong { place, len }
}

/// A count of bytes in memory, which 64 bits hold everywhere.
fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// A count of bytes as a frame's length holds it, at most `u32::MAX`.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
