//! One mapping for producing per ring and process.
//!
//! A table of map ids rather than a set: it must work without an allocator. Ids are the kernel's and unique while the
//! map lives, which a mapping of it makes sure of.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::MappingError;

const MAX_MAPPINGS: usize = 256;

/// Ids of the maps that are mapped for producing; 0, which the kernel never gives, where there is none.
static CLAIMED: [AtomicU32; MAX_MAPPINGS] = [const { AtomicU32::new(0) }; MAX_MAPPINGS];
static LOCKED: AtomicBool = AtomicBool::new(false);

/// This process's only mapping for producing of one ring. Dropping it lets another be made.
#[derive(Debug)]
pub(super) struct Claim {
    place: &'static AtomicU32,
}

impl Claim {
    pub(super) fn new(id: u32) -> Result<Self, MappingError> {
        // Pairs with the release store below: one thread at a time searches and takes a place. Mapping is rare, and
        // the section short, so spinning costs nothing.
        while LOCKED.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
        let claim = Self::search(id);
        LOCKED.store(false, Ordering::Release);
        claim
    }

    fn search(id: u32) -> Result<Self, MappingError> {
        // Acquire: pairs with the release store of `drop`, so that the old mapping's writes come before the new one's.
        if CLAIMED.iter().any(|place| place.load(Ordering::Acquire) == id) {
            return Err(MappingError::AlreadyMapped { id });
        }
        let place = CLAIMED
            .iter()
            .find(|place| place.load(Ordering::Acquire) == 0)
            .ok_or(MappingError::TooManyMappings { max: MAX_MAPPINGS })?;
        place.store(id, Ordering::Relaxed);
        Ok(Self { place })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Pairs with the acquire loads of `search`.
        self.place.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Ids far beyond what a kernel gives during a test run.
    #[test]
    fn a_ring_is_claimed_once_at_a_time() {
        let claim = Claim::new(0xffff_0001).unwrap();
        assert_eq!(Claim::new(0xffff_0001).unwrap_err(), MappingError::AlreadyMapped { id: 0xffff_0001 });
        let other = Claim::new(0xffff_0002).unwrap();
        drop(claim);
        drop(Claim::new(0xffff_0001).unwrap());
        drop(other);
    }
}
