//! How standard input is cut into samples: a line each, or a frame with its length in front.
//!
//! Pure: bytes in, samples and their places out; no reading, no ring. Invariants: whatever the bytes, nothing panics,
//! and what a caller must keep between two calls never exceeds the longest sample and a frame's length in front of
//! it ([`Parser::max_rest`]): what is longer is skipped as it comes.

use clap::ValueEnum;
use memchr::memchr;
use serde::Serialize;

/// Bytes of the length in front of a frame.
const PREFIX: usize = size_of::<u32>();

/// How samples are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// A sample a line: the newline ends it and is no part of it. A last line needs no newline.
    Lines,
    /// A sample a frame: its length as a little-endian u32, then so many bytes.
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

/// Where a sample stands in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which line or frame, from 1.
    pub number: u64,
    /// Offset of its first byte in the input, from 0. A frame begins with its length.
    pub at: u64,
}

/// What came next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'i> {
    /// A whole sample.
    Sample {
        /// Where it stands.
        place: Place,
        /// Its bytes, without newline or length.
        bytes: &'i [u8],
    },
    /// A sample that is longer than the longest one taken. Its bytes are skipped.
    TooLong {
        /// Where it stands.
        place: Place,
        /// Its length in bytes.
        len: u64,
    },
    /// What is left is no whole sample: call again with more behind it.
    NeedsInput,
    /// The input has ended, and nothing is left of it.
    End,
}

/// The input ended within a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// It ended within the length.
    #[error("frame {} (at byte {}) is cut off: only {got} of the 4 bytes of its length are there", place.number, place.at)]
    LengthCut {
        /// Where the frame stands.
        place: Place,
        /// Bytes of the length that are there.
        got: usize,
    },
    /// It ended within the sample.
    #[error("frame {} (at byte {}) is cut off: it announces {announced} bytes, and {got} are there", place.number, place.at)]
    FrameCut {
        /// Where the frame stands.
        place: Place,
        /// The sample's length as announced, in bytes.
        announced: u32,
        /// Bytes of the sample that are there.
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

/// Cuts input into samples, as it comes.
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
    /// Where the next line or frame stands.
    place: Place,
}

impl Parser {
    /// A parser at the beginning of an input, for samples of at most `max` bytes.
    #[must_use]
    pub fn new(framing: Framing, max: usize) -> Self {
        Self { framing, max, state: State::Whole { scanned: 0 }, place: Place { number: 1, at: 0 } }
    }

    /// How samples are told apart.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Most bytes that a caller has to keep when [`Step::NeedsInput`] is the answer.
    #[must_use]
    pub fn max_rest(&self) -> usize {
        match self.framing {
            Framing::Lines => self.max,
            Framing::U32 => self.max.saturating_add(PREFIX),
        }
    }

    /// What stands at the beginning of `input`, and how many bytes of it are done with.
    ///
    /// The next call goes on behind those: `input` then begins there, and may be longer. `ended` says that nothing
    /// comes after it.
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
        // A length that this machine can't count is more than any ring takes.
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

    /// Goes on behind a line or frame of `len` bytes, newline or length included, and says where it stood.
    #[inline]
    fn pass(&mut self, len: u64) -> Place {
        let place = self.place;
        // Wrapping: no input is this long, and a count must not cost a branch.
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

/// A count of bytes as a frame's length can tell it; more than that is as good as `u32::MAX`.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
