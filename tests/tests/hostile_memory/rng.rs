//! Numbers that look random, the same in each run.

/// xorshift64*
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap()
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// A length, mostly short, now and then one that no ring of `max + 8` bytes has.
    pub(crate) fn len(&mut self, max: usize) -> usize {
        match self.below(16) {
            0 => self.below(max + 100),
            1 => max,
            2 => 0,
            _ => self.below(200),
        }
    }
}
