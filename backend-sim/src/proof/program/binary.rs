//! The binary form, made for fuzzers: an opcode byte whose lower five bits always mean an operation, and operands in
//! which one byte reaches the lengths and distances at which things go wrong. It is only read.
//!
//! ```text
//!  size code | start code | opcode + 3 bits of operand | operands | opcode ...
//! ```

use user_ringbuf_core::{MAX_SAMPLE_LEN, RingSize};

use super::{Finish, Operation, PLACES, Program, Tampering};
use crate::proof::input::Source;

/// Most operations in a program.
const MAX_OPERATIONS: usize = 4096;

/// Ring sizes are 8 bytes shifted by 0 to 13: up to 64 KiB.
const SIZES: u8 = 14;

/// Lengths up to here are one byte that means itself.
const LITERAL: u8 = 191;

/// This byte, and then four or eight: a number as it is.
const EXPLICIT: u8 = 255;

impl Program {
    /// The program that `bytes` begin with: an operation that is cut off is left out. `None` if not even the head is whole.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut source = Source::new(bytes);
        let (size, start) = head(&mut source);
        if source.overran() {
            return None;
        }
        let mut reader = Reader { source, size: size.bytes() };
        let mut operations = Vec::new();
        while !reader.source.is_empty() && operations.len() < MAX_OPERATIONS {
            let operation = reader.operation();
            if reader.source.overran() {
                break;
            }
            operations.push(operation);
        }
        Some(Self { size, start, operations })
    }
}

/// The ring's size, and where its positions begin.
fn head(source: &mut Source<'_>) -> (RingSize, u64) {
    let size = RingSize::new(8 << (source.byte() % SIZES)).unwrap_or_else(|error| panic!("{error}"));
    let bytes = size.bytes_u64();
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
    let start = match source.byte() {
        0 => source.u64() & !7,
        code => starts[usize::from(code) % starts.len()],
    };
    (size, start)
}

/// Reads the operations of a program on a ring of this size.
struct Reader<'b> {
    source: Source<'b>,
    size: u32,
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        self.source.byte()
    }

    /// A length: small ones are themselves, large bytes stand for what is about as long as the ring allows.
    fn len(&mut self) -> u32 {
        let (size, code) = (self.size, self.byte());
        match code {
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
            EXPLICIT => u32::from_le_bytes(self.source.array()),
        }
    }

    fn distance(&mut self) -> i64 {
        let (size, code) = (i64::from(self.size), self.byte());
        let magnitudes = [8, 16, 24, size, size + 8, 2 * size, 1, 4, 7, 12, 1 << 20, 1 << 32, 1 << 62, i64::MAX];
        match code {
            EXPLICIT => i64::from_le_bytes(self.source.array()),
            code => {
                let magnitude: i64 = magnitudes[usize::from(code >> 1) % magnitudes.len()];
                if code & 1 == 0 { magnitude } else { -magnitude }
            }
        }
    }

    /// A length word: two flag bits in front, then what a length is made of.
    fn word(&mut self) -> u32 {
        let code = self.byte();
        let flags = u32::from(code & 3) << 30;
        match code >> 2 {
            63 => u32::from_le_bytes(self.source.array()),
            len @ 0..=31 => flags | u32::from(len),
            _ => flags | (self.len() & ((1 << 30) - 1)),
        }
    }

    fn finish(&mut self) -> Finish {
        match self.byte() % 8 {
            0 => Finish::Discard,
            1 | 2 => Finish::SubmitLen(self.len()),
            _ => Finish::Submit,
        }
    }

    fn operation(&mut self) -> Operation {
        let byte = self.byte();
        let high = byte >> 5;
        let place = high % PLACES;
        // As many codes as an operation is to be common.
        match byte & 31 {
            0..4 => Operation::Push { len: self.len() },
            4..7 => {
                let (len, at, count) = (self.len(), self.len(), self.len());
                Operation::Sample { len, at, count, finish: self.finish() }
            }
            7..9 => {
                // Few samples fit into the byte that is read already; more take one of their own.
                let count = if high == 7 { self.byte() } else { high };
                let lens = (0..count).map(|_| self.len()).collect();
                Operation::Batch { lens, submit: self.byte() % 4 != 0 }
            }
            9..12 => Operation::Detach { place, len: self.len() },
            12..15 => Operation::Finish { place, finish: self.finish() },
            15..17 => Operation::Lane { place, len: self.len() },
            17..20 => {
                let len = self.len();
                Operation::LaneSample { place, len, finish: self.finish() }
            }
            20 => Operation::Close { place },
            21..23 => {
                let (len, timeout_ms) = (self.len(), self.byte());
                let drain_after_ms = if high % 2 == 0 { Some(self.byte()) } else { None };
                Operation::Wait { len, timeout_ms, drain_after_ms }
            }
            23..28 => {
                let flags = match high >> 1 {
                    3 => match self.byte() {
                        EXPLICIT => self.source.u64(),
                        flags => u64::from(flags),
                    },
                    flags => u64::from(flags),
                };
                let stop_after = if high & 1 == 0 { None } else { Some(self.len()) };
                Operation::Drain { flags, stop_after }
            }
            28 => match high >> 1 {
                1 => Operation::Resume,
                3 => Operation::Ask,
                _ => Operation::Attach { shared: high & 1 == 1 },
            },
            29 => Operation::Crash { after: self.byte() },
            30 => Operation::Tamper(match high % 4 {
                0 => Tampering::Producer(self.distance()),
                1 => Tampering::Consumer(self.distance()),
                _ => Tampering::Header { offset: self.len(), word: self.word() },
            }),
            31.. => Operation::Repair,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: u8 = 0;
    const REPAIR: u8 = 31;

    #[test]
    fn every_first_byte_of_an_operation_means_one() {
        for byte in 0..=255 {
            let program = Program::decode(&[&[3, 1, byte][..], &[1; 40]].concat()).unwrap();
            assert!(!program.operations.is_empty(), "{byte}");
        }
    }

    #[test]
    fn one_byte_reaches_every_length_at_which_things_change() {
        let lens: Vec<u32> = (0..=254)
            .map(|code| match Program::decode(&[6, 1, PUSH, code]).unwrap().operations[..] {
                [Operation::Push { len }] => len,
                ref other => panic!("{other:?}"),
            })
            .collect();
        for len in [0, 7, 8, 512 - 8, 512 - 7, 512, (1 << 24) - 1, 1 << 24, (1 << 30) - 1, u32::MAX] {
            assert!(lens.contains(&len), "{len}");
        }
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        for head in [&[][..], &[3], &[3, 0, 1, 2, 3]] {
            assert_eq!(Program::decode(head), None);
        }
        let operations = |bytes: &[u8]| Program::decode(bytes).unwrap().operations;
        assert_eq!(operations(&[3, 1, PUSH, 5, PUSH]), [Operation::Push { len: 5 }]);
        let many = [&[3, 1], &[REPAIR; MAX_OPERATIONS + 1][..]].concat();
        assert_eq!(operations(&many).len(), MAX_OPERATIONS);
    }
}
