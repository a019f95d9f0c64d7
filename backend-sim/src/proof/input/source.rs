//! Numbers from a fuzzer's bytes: one byte reaches the values at which things go wrong.

use user_ringbuf_core::MAX_SAMPLE_LEN;

/// The bytes of an input, followed by zeros without end.
#[derive(Debug)]
pub struct Source<'b> {
    rest: &'b [u8],
    overran: bool,
}

impl<'b> Source<'b> {
    /// The numbers in `bytes`.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, overran: false }
    }

    /// All that is left.
    pub fn rest(self) -> &'b [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether more was asked for than there was.
    pub fn overran(&self) -> bool {
        self.overran
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else {
            self.overran = true;
            return 0;
        };
        self.rest = rest;
        *byte
    }

    /// The next bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A sample's length, up to 2^30 - 1: literally, or one at which the behaviour of a ring of `size` changes.
    pub fn length(&mut self, size: u32) -> u32 {
        match self.byte() {
            literal @ 0..=191 => literal.into(),
            255 => u32::from_le_bytes(self.array()) & ((1 << 30) - 1),
            code => {
                let limits = [
                    size - 8,
                    size - 7,
                    size.saturating_sub(9),
                    size.saturating_sub(16),
                    size.saturating_sub(24),
                    size & ((1 << 30) - 1),
                    size / 2,
                    (size / 2).saturating_sub(8),
                    size / 4,
                    MAX_SAMPLE_LEN,
                    MAX_SAMPLE_LEN + 1,
                    MAX_SAMPLE_LEN - 7,
                    (1 << 30) - 1,
                    (1 << 30) - 8,
                    1 << 29,
                ];
                limits[usize::from(code) % limits.len()] & ((1 << 30) - 1)
            }
        }
    }

    /// A position to begin at: most often a multiple of 8, near where rings and numbers wrap.
    pub fn start(&mut self, size: u64) -> u64 {
        let code = self.byte();
        let near = [
            0,
            size - 8,
            3 * size + ((size / 2) & !7),
            (1 << 32) - size,
            (1 << 32) - 8,
            (1 << 51) - 8,
            (1 << 63) - 8,
            0_u64.wrapping_sub(4 * size),
            0_u64.wrapping_sub(8),
        ];
        match code {
            255 => self.u64(),
            code => near[usize::from(code) % near.len()],
        }
    }

    /// A position near others: those of a ring of `size` bytes at `base` with `ahead` bytes in front of it.
    pub fn position(&mut self, base: u64, ahead: u64, size: u64) -> u64 {
        let code = self.byte();
        let by = match code & 15 {
            0..=3 => ahead,
            4 => 0,
            5 => size,
            6 => size + 8,
            7 => ahead.wrapping_add(8),
            8 => ahead.wrapping_sub(8),
            9 => ahead.wrapping_add(u64::from(code >> 4)),
            10 => ahead.wrapping_add(8 * u64::from(self.byte())),
            11 => 0_u64.wrapping_sub(8 * u64::from(code >> 4)),
            12 => size.wrapping_mul(u64::from(code >> 4)),
            13 => 1 << 63,
            14 => 0_u64.wrapping_sub(size),
            _ => return self.u64(),
        };
        base.wrapping_add(by)
    }
}
