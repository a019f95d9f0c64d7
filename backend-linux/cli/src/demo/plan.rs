//! What a demo will do, checked before it starts.

use user_ringbuf_linux::kernel::MAX_RECORDS_PER_DRAIN;
use user_ringbuf_linux::{DrainProgram, MAX_LOG, MapError, RingSize, record_extent, rounded_size};

/// Why a demo can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PlanError {
    #[error("cannot create a ring")]
    Ring(#[from] MapError),
    #[error("samples of {size} bytes are too large: the limit of a ring of {ring} bytes is {max}")]
    SampleTooLarge { size: u64, ring: u32, max: u32 },
}

/// Sizes that fit each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Samples to publish.
    pub(super) samples: u64,
    /// Bytes in each.
    pub(super) size: usize,
    /// Bytes in the ring, rounded as the kernel requires.
    pub(super) ring: u32,
    /// Most samples between two drains.
    pub(super) round: u64,
}

impl Plan {
    pub(super) fn new(samples: u64, size: u64, ring: u64) -> Result<Self, PlanError> {
        let ring = rounded_size(ring)?;
        // A rounded size is a power of two from a page to 2^31, which is valid for a ring.
        let max = RingSize::new(u64::from(ring)).map_or(0, RingSize::max_sample_len);
        let too_large = PlanError::SampleTooLarge { size, ring, max };
        let len = u32::try_from(size).ok().filter(|len| *len <= max).ok_or(too_large)?;
        let size = usize::try_from(size).map_err(|_| too_large)?;
        // One drain per round: what the ring holds, what a drain takes, and what its log holds.
        let logged = MAX_LOG / DrainProgram::log_bytes(1, size).max(1);
        let round = u64::from(ring / record_extent(len))
            .min(u64::from(MAX_RECORDS_PER_DRAIN))
            .min(u64::try_from(logged).unwrap_or(u64::MAX))
            .max(1);
        Ok(Self { samples, size, ring, round })
    }

    /// Bytes of log for one drain.
    pub(super) fn log_bytes(&self) -> usize {
        let round = self.round.min(self.samples.max(1));
        DrainProgram::log_bytes(usize::try_from(round).unwrap_or(usize::MAX), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_what_ring_drain_and_log_hold() {
        assert_eq!(Plan::new(1, 40, 256 * 1024).unwrap().round, 256 * 1024 / 48);
        assert_eq!(Plan::new(1, 0, 65536).unwrap().round, 8192);
        assert_eq!(Plan::new(1, 65528, 65536).unwrap().round, 1);
        assert_eq!(Plan::new(1, 0, 1 << 31).unwrap().round, 131_072);
        let large = Plan::new(1000, (1 << 24) - 1, 1 << 31).unwrap();
        assert_eq!(large.round, 15);
        assert!(large.log_bytes() <= MAX_LOG);
    }

    #[test]
    fn what_can_not_work_is_refused_with_its_numbers() {
        let too_large = |size, ring, max| PlanError::SampleTooLarge { size, ring, max };
        assert_eq!(Plan::new(1, 65529, 65536).unwrap_err(), too_large(65529, 65536, 65528));
        assert_eq!(Plan::new(1, 1 << 24, 1 << 31).unwrap_err(), too_large(1 << 24, 1 << 31, (1 << 24) - 1));
        assert_eq!(Plan::new(1, u64::MAX, 65536).unwrap_err(), too_large(u64::MAX, 65536, 65528));
        assert_eq!(Plan::new(1, 40, 0).unwrap_err(), PlanError::Ring(MapError::SizeZero));
        assert!(matches!(Plan::new(1, 40, 1 << 32), Err(PlanError::Ring(MapError::SizeTooLarge { .. }))));
    }
}
