//! The binary form, made for fuzzers: an opcode byte whose lower five bits always mean an operation, and operands in
//! which one byte reaches the lengths and distances at which things go wrong. It is only read.
//!
//! ```text
//!  size code | start code | opcode + 3 bits of operand | operands | opcode ...
//! ```

use std::fmt;

use user_ringbuf_core::{MAX_SAMPLE_LEN, RingSize};

use super::{Finish, MAX_OPERATIONS, Operation, PLACES, Program, Tampering};

/// Ring sizes are 8 bytes shifted by 0 to 13: up to 64 KiB.
const SIZES: u8 = 14;

/// Lengths up to here are one byte that means itself.
const LITERAL: u8 = 191;

/// This byte, and then four: a length as it is.
const EXPLICIT: u8 = 255;

/// The first opcode of each operation: as many codes as an operation is to be common.
mod opcode {
    pub(super) const PUSH: u8 = 0;
    pub(super) const SAMPLE: u8 = 4;
    pub(super) const BATCH: u8 = 7;
    pub(super) const DETACH: u8 = 9;
    pub(super) const FINISH: u8 = 12;
    pub(super) const LANE: u8 = 15;
    pub(super) const LANE_SAMPLE: u8 = 17;
    pub(super) const CLOSE: u8 = 20;
    pub(super) const WAIT: u8 = 21;
    pub(super) const DRAIN: u8 = 23;
    pub(super) const ATTACH: u8 = 28;
    pub(super) const CRASH: u8 = 29;
    pub(super) const DAMAGE: u8 = 30;
    pub(super) const REPAIR: u8 = 31;
    pub(super) const MASK: u8 = 31;
}

/// Why bytes are not a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end within the head, or within an operation.
    Truncated {
        /// Where the part begins that is not whole.
        at: usize,
    },
    /// The positions begin at a place that is not a multiple of 8.
    UnalignedStart {
        /// Where they begin.
        start: u64,
    },
    /// There are more than [`MAX_OPERATIONS`].
    TooManyOperations {
        /// Where the first one too many begins.
        at: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at } => write!(f, "the part that begins at byte {at} is cut off"),
            Self::UnalignedStart { start } => write!(f, "the positions begin at {start}, which is not a multiple of 8"),
            Self::TooManyOperations { at } => {
                write!(f, "at byte {at} begins an operation beyond the {MAX_OPERATIONS} that a program may have")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl Program {
    /// The program that `bytes` are.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not exactly a head and whole operations.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match Self::decode_prefix(bytes)? {
            (program, None) => Ok(program),
            (_, Some(why)) => Err(why),
        }
    }

    /// The program that `bytes` begin with, and why it ends before they do: the error says where.
    ///
    /// # Errors
    /// [`DecodeError`] if not even the head is whole.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Self, Option<DecodeError>), DecodeError> {
        let mut reader = Reader { bytes, at: 0, size: 8 };
        let (size, start) = reader.head().ok_or(DecodeError::Truncated { at: 0 })?;
        if start % 8 != 0 {
            return Err(DecodeError::UnalignedStart { start });
        }
        let mut operations = Vec::new();
        while reader.at < bytes.len() {
            let at = reader.at;
            if operations.len() == MAX_OPERATIONS {
                return Ok((Self { size, start, operations }, Some(DecodeError::TooManyOperations { at })));
            }
            let Some(operation) = reader.operation() else {
                return Ok((Self { size, start, operations }, Some(DecodeError::Truncated { at })));
            };
            operations.push(operation);
        }
        Ok((Self { size, start, operations }, None))
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    size: u32,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = self.bytes.get(self.at..)?.first_chunk().copied()?;
        self.at += N;
        Some(array)
    }

    fn head(&mut self) -> Option<(RingSize, u64)> {
        let size = RingSize::new(8 << (self.byte()? % SIZES)).ok()?;
        self.size = size.bytes();
        let bytes = size.bytes_u64();
        let start = match self.byte()? {
            0 => u64::from_le_bytes(self.array()?),
            code => {
                let starts = [
                    0,
                    bytes - 8,
                    3 * bytes + ((bytes / 2) & !7),
                    (1 << 32) - bytes,
                    (1 << 32) - 8,
                    (1 << 51) - 8,
                    (1 << 63) - 8,
                    // Beyond 2^64 the kernel falls silent: some way before, and close to it.
                    0_u64.wrapping_sub(64 * bytes),
                    0_u64.wrapping_sub(bytes + 8),
                ];
                starts[usize::from(code) % starts.len()]
            }
        };
        Some((size, start))
    }

    /// A length: small ones are themselves, large bytes stand for what is about as long as the ring allows.
    fn len(&mut self) -> Option<u32> {
        let (size, code) = (self.size, self.byte()?);
        Some(match code {
            0..=LITERAL => u32::from(code),
            192 => size - 8,
            193 => size - 7,
            194 => size.saturating_sub(9),
            195 => size.saturating_sub(16),
            196 => size,
            197 => size / 2,
            198 => (size / 2).saturating_sub(8),
            199 => size / 4,
            200 => MAX_SAMPLE_LEN,
            201 => MAX_SAMPLE_LEN + 1,
            202 => (1 << 30) - 1,
            203 => u32::MAX,
            204 => 1 << 31,
            205..=254 => (size / 64).saturating_mul(u32::from(code) - 204),
            EXPLICIT => u32::from_le_bytes(self.array()?),
        })
    }

    fn distance(&mut self) -> Option<i64> {
        let (size, code) = (i64::from(self.size), self.byte()?);
        let magnitudes = [8, 16, 24, size, size + 8, 2 * size, 1, 4, 7, 12, 1 << 20, 1 << 32, 1 << 62, i64::MAX];
        Some(match code {
            EXPLICIT => i64::from_le_bytes(self.array()?),
            code => {
                let magnitude: i64 = magnitudes[usize::from(code >> 1) % magnitudes.len()];
                if code & 1 == 0 { magnitude } else { -magnitude }
            }
        })
    }

    /// A length word: two flag bits in front, then what a length is made of.
    fn word(&mut self) -> Option<u32> {
        let code = self.byte()?;
        let flags = u32::from(code & 3) << 30;
        Some(match code >> 2 {
            63 => u32::from_le_bytes(self.array()?),
            len @ 0..=31 => flags | u32::from(len),
            _ => flags | (self.len()? & ((1 << 30) - 1)),
        })
    }

    fn finish(&mut self) -> Option<Finish> {
        Some(match self.byte()? % 8 {
            0 => Finish::Discard,
            1 | 2 => Finish::SubmitLen(self.len()?),
            _ => Finish::Submit,
        })
    }

    fn operation(&mut self) -> Option<Operation> {
        let byte = self.byte()?;
        let high = byte >> 5;
        let place = high % PLACES;
        Some(match byte & opcode::MASK {
            opcode::PUSH..opcode::SAMPLE => Operation::Push { len: self.len()? },
            opcode::SAMPLE..opcode::BATCH => {
                let (len, at, count) = (self.len()?, self.len()?, self.len()?);
                Operation::Sample { len, at, count, finish: self.finish()? }
            }
            opcode::BATCH..opcode::DETACH => {
                // Few samples fit into the byte that is read already; more take one of their own.
                let count = if high == 7 { self.byte()? } else { high };
                let lens = (0..count).map(|_| self.len()).collect::<Option<_>>()?;
                Operation::Batch { lens, submit: self.byte()? % 4 != 0 }
            }
            opcode::DETACH..opcode::FINISH => Operation::Detach { place, len: self.len()? },
            opcode::FINISH..opcode::LANE => Operation::Finish { place, finish: self.finish()? },
            opcode::LANE..opcode::LANE_SAMPLE => Operation::Lane { place, len: self.len()? },
            opcode::LANE_SAMPLE..opcode::CLOSE => {
                let len = self.len()?;
                Operation::LaneSample { place, len, finish: self.finish()? }
            }
            opcode::CLOSE => Operation::Close { place },
            opcode::WAIT..opcode::DRAIN => {
                let (len, timeout_ms) = (self.len()?, self.byte()?);
                let drain_after_ms = if high % 2 == 0 { Some(self.byte()?) } else { None };
                Operation::Wait { len, timeout_ms, drain_after_ms }
            }
            opcode::DRAIN..opcode::ATTACH => {
                let flags = match high >> 1 {
                    3 => match self.byte()? {
                        EXPLICIT => u64::from_le_bytes(self.array()?),
                        flags => u64::from(flags),
                    },
                    flags => u64::from(flags),
                };
                let stop_after = if high & 1 == 0 { None } else { Some(self.len()?) };
                Operation::Drain { flags, stop_after }
            }
            opcode::ATTACH => match high >> 1 {
                1 => Operation::Resume,
                3 => Operation::Ask,
                _ => Operation::Attach { shared: high & 1 == 1 },
            },
            opcode::CRASH => Operation::Crash { after: self.byte()? },
            opcode::DAMAGE => Operation::Tamper(match high % 4 {
                0 => Tampering::Producer(self.distance()?),
                1 => Tampering::Consumer(self.distance()?),
                _ => Tampering::Header { offset: self.len()?, word: self.word()? },
            }),
            opcode::REPAIR.. => Operation::Repair,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::tests::bytes;

    #[test]
    fn whatever_decodes_reads_back_from_its_text() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut operations = 0;
        for _ in 0..20_000 {
            let Ok((program, _)) = Program::decode_prefix(&bytes(&mut rng, 40)) else { continue };
            operations += program.operations.len();
            assert_eq!(program.to_string().parse(), Ok(program));
        }
        assert!(operations > 100_000, "most bytes mean something: {operations} operations");
    }

    #[test]
    fn every_first_byte_of_an_operation_means_one() {
        for byte in 0..=255 {
            let bytes = [[3, 1, byte].as_slice(), &[1; 40]].concat();
            let (program, _) = Program::decode_prefix(&bytes).unwrap();
            assert!(!program.operations.is_empty(), "{byte}");
        }
    }

    #[test]
    fn one_byte_reaches_every_length_at_which_things_change() {
        let lens: Vec<u32> = (0..=254)
            .map(|code| match Program::decode(&[6, 1, opcode::PUSH, code]).unwrap().operations[..] {
                [Operation::Push { len }] => len,
                ref other => panic!("{other:?}"),
            })
            .collect();
        for len in [0, 7, 8, 512 - 8, 512 - 7, 512, (1 << 24) - 1, 1 << 24, (1 << 30) - 1, u32::MAX] {
            assert!(lens.contains(&len), "{len}");
        }
    }

    #[test]
    fn bytes_that_are_not_a_program_are_errors_that_say_where() {
        assert_eq!(Program::decode(&[]), Err(DecodeError::Truncated { at: 0 }));
        assert_eq!(Program::decode(&[3]), Err(DecodeError::Truncated { at: 0 }));
        assert_eq!(Program::decode(&[3, 0, 1, 2, 3]), Err(DecodeError::Truncated { at: 0 }));
        let unaligned = [&[3, 0], &12_u64.to_le_bytes()[..]].concat();
        assert_eq!(Program::decode(&unaligned), Err(DecodeError::UnalignedStart { start: 12 }));
        assert_eq!(Program::decode(&[3, 1, opcode::PUSH, 5, opcode::PUSH]), Err(DecodeError::Truncated { at: 4 }));
        let many = [&[3, 1], &[opcode::REPAIR; MAX_OPERATIONS + 1][..]].concat();
        assert_eq!(Program::decode(&many), Err(DecodeError::TooManyOperations { at: MAX_OPERATIONS + 2 }));
        assert_eq!(Program::decode(&many[..many.len() - 1]).unwrap().operations.len(), MAX_OPERATIONS);
    }
}
