//! Simulated memory for ordinary tests: a ring that the core produces into and the fake kernel drains from.
//!
//! | | ring sizes | a sample is a slice | platforms |
//! |---|---|---|---|
//! | [`SimMemory`] | multiples of the page size, as in the kernel | yes, mapped twice in a row, as in the kernel | Linux |
//! | [`HeapMemory`] | any from 8 bytes | no: copies are split at the end of the area | all, also Miri |
//!
//! Both hold every byte once, so that images of any kind, damaged ones too, mean the same in them as in the kernel's
//! map. Kernel counterpart: `struct bpf_ringbuf` and its data pages.

mod heap;
mod image;
#[expect(unsafe_code, reason = "the contract of the kernel's side")]
mod kernel_side;
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "maps memory, and works on it through pointers")]
mod mirrored;
mod orderings;
mod positions;

use std::fmt;
use std::io;

use user_ringbuf_core::{RingView, SizeError};

pub use heap::HeapMemory;
pub use image::{BeyondRing, RingImage, WrongSize};
pub(crate) use kernel_side::ring_id_at;
pub use kernel_side::{KernelMemory, Unsliced};
#[cfg(target_os = "linux")]
pub use mirrored::{SimMemory, SimView};
pub use orderings::Orderings;

/// The ring's words and bytes, read and written directly: what a test does without producer and kernel noticing.
///
/// A position that neither kernel nor producer stored gives away room that is not free, and another sample may get the
/// bytes of one whose slice is in use. [`HeapMemory`] has no slices and takes anything at any time: there the same
/// functions are safe.
pub trait RawAccess: KernelMemory {
    /// The ring for observers.
    fn view(&self) -> impl RingView;

    /// Stores `producer_pos`: any value.
    ///
    /// # Safety
    /// No sample of this ring that was reserved before is used as a slice from now on.
    #[expect(unsafe_code, reason = "may make the kernel skip a sample, whose bytes are then given away")]
    unsafe fn set_producer(&self, position: u64);

    /// Stores `consumer_pos`: any value, also one that no kernel stores.
    ///
    /// # Safety
    /// As for [`set_producer`](Self::set_producer).
    #[expect(unsafe_code, reason = "may give a sample's bytes away")]
    unsafe fn set_consumer(&self, position: u64);

    /// Writes `bytes` from `offset` of the data area on, across its end if need be.
    ///
    /// # Errors
    /// [`BeyondRing`] if `offset` is not below the ring's size, or `bytes` are more than that size.
    ///
    /// # Safety
    /// As for [`set_producer`](Self::set_producer), for headers are bytes too; and nothing else reads or writes the data
    /// area meanwhile.
    #[expect(unsafe_code, reason = "changes bytes that a slice may stand for")]
    unsafe fn write_raw(&self, offset: u32, bytes: &[u8]) -> Result<(), BeyondRing>;

    /// Positions and bytes as they are now.
    fn snapshot(&self) -> RingImage;

    /// Restores positions and bytes; a drain that was under way is forgotten.
    ///
    /// # Errors
    /// [`WrongSize`] if the image is one of a ring of another size.
    fn restore(&mut self, image: &RingImage) -> Result<(), WrongSize>;
}

/// Why simulated memory can't be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemoryError {
    /// A ring can't have this size.
    Size(SizeError),
    /// A mirrored ring is mapped, and only whole pages can be.
    NotWholePages {
        /// The size asked for, in bytes.
        bytes: u64,
        /// The page size of this machine, in bytes.
        page: u64,
    },
    /// The address space or the heap has no room for a ring of this size.
    TooLarge {
        /// The size asked for, in bytes.
        bytes: u64,
    },
    /// The operating system refused.
    System {
        /// The call that failed.
        call: &'static str,
        /// Why.
        why: io::Error,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(why) => why.fmt(f),
            Self::NotWholePages { bytes, page } => {
                write!(f, "a mirrored ring of {bytes} bytes: the size must be a multiple of the page size, {page}")
            }
            Self::TooLarge { bytes } => write!(f, "there is no memory for a ring of {bytes} bytes"),
            Self::System { call, why } => write!(f, "{call}: {why}"),
        }
    }
}

impl std::error::Error for MemoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Size(why) => Some(why),
            Self::System { why, .. } => Some(why),
            _ => None,
        }
    }
}

impl From<SizeError> for MemoryError {
    fn from(why: SizeError) -> Self {
        Self::Size(why)
    }
}

#[cfg(test)]
mod tests;
