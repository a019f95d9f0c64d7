//! Sizes: of a ring, of a record, and of a sample.
//!
//! Pure arithmetic, no memory. Kernel counterpart: `round_up(sample_len + BPF_RINGBUF_HDR_SZ, 8)` and the limits in
//! `__bpf_user_ringbuf_peek`, the dynptr limit in `bpf_dynptr_check_size`.

use core::fmt;

use crate::format::header::{HEADER_LEN, Header};

/// Longest sample that the kernel hands to a program: 2^24 - 1 bytes (`DYNPTR_MAX_SIZE`, checked by
/// `bpf_dynptr_check_size`). A longer one jams the ring with -E2BIG, even if it is busy or discarded.
pub const MAX_SAMPLE_LEN: u32 = (1 << 24) - 1;

/// Records begin at multiples of this many bytes.
const RECORD_ALIGN: u32 = 8;

/// Size of the data area in bytes: a power of two from 8 to 2^31.
///
/// For a kernel map the size must also be a multiple of the page size (`ringbuf_map_alloc`). A simulated ring may be as
/// small as one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct RingSize(u32);

impl RingSize {
    /// Size of the smallest ring, which holds one empty sample.
    pub const MIN: u32 = HEADER_LEN;
    /// Size of the largest ring, 2 GiB: the largest power of two that fits into the 32 bits of `max_entries`.
    pub const MAX: u32 = 1 << 31;

    /// Checks a size in bytes.
    ///
    /// # Errors
    /// [`SizeError`] unless `bytes` is a power of two from [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub const fn new(bytes: u64) -> Result<Self, SizeError> {
        if bytes < Self::MIN as u64 || bytes > Self::MAX as u64 || !bytes.is_power_of_two() {
            return Err(SizeError { bytes });
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^31, checked above")]
        Ok(Self(bytes as u32))
    }

    /// Bytes in the data area.
    #[inline]
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// Bytes in the data area, as a `u64` for arithmetic with positions.
    #[inline]
    pub const fn bytes_u64(self) -> u64 {
        self.0 as u64
    }

    /// Longest sample for a ring of this size, in bytes: the smaller of size - 8 and [`MAX_SAMPLE_LEN`].
    #[inline]
    pub const fn max_sample_len(self) -> u32 {
        let whole_ring = self.0 - HEADER_LEN;
        if whole_ring < MAX_SAMPLE_LEN { whole_ring } else { MAX_SAMPLE_LEN }
    }

    /// Checks a sample length in bytes: `None` if a ring of this size can't take it, or the kernel would not.
    #[inline]
    pub fn sample_len(self, len: usize) -> Option<SampleLen> {
        let len = u32::try_from(len).ok()?;
        if len <= self.max_sample_len() { Some(SampleLen(len)) } else { None }
    }
}

/// A size that a ring can't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeError {
    /// The size asked for, in bytes.
    pub bytes: u64,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a ring of {} bytes: the size must be a power of two from 8 to 2147483648", self.bytes)
    }
}

impl core::error::Error for SizeError {}

/// A sample length in bytes that was checked by [`RingSize::sample_len`]: from 0 to [`RingSize::max_sample_len`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SampleLen(u32);

impl SampleLen {
    /// `len` as a length that the kernel accepts in a ring that is large enough, or `None`. It is checked against a
    /// particular ring once [`extent`](Self::extent) bytes were found in that ring.
    #[inline(always)]
    pub(crate) fn in_some_ring(len: usize) -> Option<Self> {
        let len = u32::try_from(len).ok()?;
        if len <= MAX_SAMPLE_LEN { Some(Self(len)) } else { None }
    }

    /// Bytes in the sample.
    #[inline]
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// Bytes that the record takes in the ring: header, sample and padding.
    #[inline]
    pub const fn extent(self) -> u32 {
        record_extent(self.0)
    }

    /// `len` as a shorter length, or `None` if it is longer than this one.
    #[inline]
    pub fn shortened(self, len: usize) -> Option<Self> {
        let len = u32::try_from(len).ok()?;
        if len <= self.0 { Some(Self(len)) } else { None }
    }
}

/// Bytes that a record with a sample of `len` bytes takes: header, sample, and padding up to a multiple of 8, as
/// `__bpf_user_ringbuf_peek` rounds it.
///
/// Only the lower 30 bits of `len` count, so the result is at most 2^30 + 8 and never overflows.
#[inline]
pub const fn record_extent(len: u32) -> u32 {
    let len = Header::submitted(len).len();
    (len + HEADER_LEN + RECORD_ALIGN - 1) & !(RECORD_ALIGN - 1)
}

/// Largest extent of one record: that of the longest sample.
pub(crate) const MAX_EXTENT: u32 = record_extent(MAX_SAMPLE_LEN);

/// Length of the sample whose record takes exactly `extent` bytes, and which the kernel accepts.
///
/// `extent` is a multiple of 8 from 8 to [`MAX_EXTENT`], which is 2^24 + 8. Of that longest record the kernel allows
/// only 2^24 - 1 bytes to be sample, so its last byte is padding.
#[inline]
pub(crate) const fn filler_len(extent: u32) -> u32 {
    let len = extent.saturating_sub(HEADER_LEN);
    if len < MAX_SAMPLE_LEN { len } else { MAX_SAMPLE_LEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filler_takes_exactly_the_extent_that_it_has_to_fill() {
        for extent in (8..=4096).chain(MAX_EXTENT - 64..=MAX_EXTENT).filter(|extent| extent % 8 == 0) {
            assert_eq!(record_extent(filler_len(extent)), extent);
            assert!(filler_len(extent) <= MAX_SAMPLE_LEN);
        }
    }

    #[test]
    fn every_small_size_is_judged_and_every_power_of_two_up_to_two_gibibytes_is_taken() {
        for bytes in 0..=70_000_u64 {
            let legal = bytes >= 8 && bytes.count_ones() == 1;
            assert_eq!(RingSize::new(bytes).is_ok(), legal, "{bytes}");
        }
        for shift in 3..=31 {
            assert_eq!(RingSize::new(1 << shift).unwrap().bytes_u64(), 1 << shift);
        }
        for bytes in [1 << 32, (1 << 31) + 1, u64::MAX, 1 << 63] {
            assert_eq!(RingSize::new(bytes), Err(SizeError { bytes }));
        }
    }

    #[test]
    fn every_length_of_every_small_ring_fits_exactly_if_its_whole_record_does() {
        for size in [8_u64, 16, 32, 64, 128, 256] {
            let ring = RingSize::new(size).unwrap();
            for len in 0..=2 * size {
                let record = (8 + len).div_ceil(8) * 8;
                let fits = record <= size;
                let got = ring.sample_len(usize::try_from(len).unwrap());
                assert_eq!(got.is_some(), fits, "{len} in {size}");
                if let Some(got) = got {
                    assert_eq!((u64::from(got.bytes()), u64::from(got.extent())), (len, record));
                }
            }
        }
    }

    #[test]
    fn extents_are_the_kernels_rounding_at_every_boundary_and_never_overflow() {
        for len in (0..=4096).chain((1 << 24) - 16..=(1 << 24) + 16).chain((1 << 30) - 16..1 << 30) {
            assert_eq!(u64::from(record_extent(len)), (u64::from(len) + 8).div_ceil(8) * 8);
        }
    }

    #[test]
    fn the_dynptr_limit_holds_in_large_rings() {
        for (size, max) in
            [(1 << 23, (1 << 23) - 8), (1 << 24, (1 << 24) - 8), (1 << 25, (1 << 24) - 1), (1 << 31, (1 << 24) - 1)]
        {
            let ring = RingSize::new(size).unwrap();
            assert_eq!(ring.max_sample_len(), max);
            assert!(ring.sample_len(max as usize).is_some());
            for len in [max as usize + 1, 1 << 24, 1 << 30, 1 << 31, u32::MAX as usize, usize::MAX] {
                assert_eq!(ring.sample_len(len), None, "{len} in {size}");
            }
        }
    }

    #[test]
    fn what_fits_some_ring_and_has_its_extent_in_this_one_fits_this_one() {
        for size in (3..=31).map(|shift| RingSize::new(1 << shift).unwrap()) {
            let limits = [size.bytes() as usize, MAX_SAMPLE_LEN as usize];
            for len in (0..=64).chain(limits.into_iter().flat_map(|limit| limit.saturating_sub(32)..=limit + 32)) {
                let some = SampleLen::in_some_ring(len).filter(|len| len.extent() <= size.bytes());
                assert_eq!(some, size.sample_len(len), "{len} in {size:?}");
            }
        }
        assert_eq!(SampleLen::in_some_ring(usize::MAX), None);
    }

    #[test]
    fn a_length_shortens_to_anything_up_to_itself_and_nothing_longer() {
        let ring = RingSize::new(64).unwrap();
        for reserved in 0..=56 {
            let len = ring.sample_len(reserved).unwrap();
            for shorter in 0..=64 {
                assert_eq!(len.shortened(shorter).is_some(), shorter <= reserved);
            }
            assert_eq!(len.shortened(usize::MAX), None);
        }
    }
}
