//! Samples to copy from.
//!
//! Several, so that the kernel's copy tells which one it is, and never written during a burst: a copy in wide pieces of
//! what was just written in narrow ones stalls the processor, and that is not what is to be measured.

use std::ops::Range;
use std::ptr;

use anyhow::{Result, ensure};

/// Sixteen different samples of one length.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    len: usize,
    bytes: Vec<u8>,
}

impl Sources {
    const COUNT: usize = 16;

    pub(crate) fn new(len: usize) -> Self {
        // A prime period: no two samples begin alike.
        let bytes = (0..=250).cycle().take(len.next_multiple_of(8) * Self::COUNT + 1).collect();
        Self { len, bytes }
    }

    /// The sample of this number.
    #[inline(always)]
    pub(crate) fn of(&self, number: u64) -> &[u8] {
        // The remainder is below 16.
        #[expect(clippy::cast_possible_truncation, reason = "below 16")]
        let at = (number % Self::COUNT as u64) as usize * self.len;
        &self.bytes[at..at + self.len]
    }

    /// The same, of a length that is known.
    pub(crate) fn fixed<const LEN: usize>() -> Box<[[u8; LEN]; 16]> {
        let sources = Self::new(LEN);
        let mut fixed = Box::new([[0; LEN]; 16]);
        for (number, source) in (0..).zip(fixed.iter_mut()) {
            source.copy_from_slice(sources.of(number));
        }
        fixed
    }

    /// Whether what the kernel took is the sample of this number, whole.
    pub(crate) fn check(&self, sample: &[u8], number: u64) -> Result<()> {
        ensure!(sample == self.of(number), "sample {number} holds other bytes");
        Ok(())
    }
}

/// One of the samples of a known length.
#[inline(always)]
pub(crate) fn pick<const LEN: usize>(sources: &[[u8; LEN]; 16], number: u64) -> &[u8; LEN] {
    let at = (number % 16) as usize;
    &sources[at]
}

/// Points vectors at the samples of the next numbers, and returns those that it needed.
#[inline(always)]
pub(crate) fn gather<'v, const LEN: usize>(
    vectors: &'v mut [libc::iovec],
    sources: &[[u8; LEN]; 16],
    numbers: &mut Range<u64>,
) -> &'v [libc::iovec] {
    let mut filled = 0;
    for (vector, number) in vectors.iter_mut().zip(numbers) {
        let bytes: &[u8; LEN] = pick(sources, number);
        *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: LEN };
        filled += 1;
    }
    &vectors[..filled]
}

/// Points nowhere.
pub(crate) const NO_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
