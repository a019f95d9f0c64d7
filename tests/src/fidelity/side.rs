//! A ring and the kernel that drains it, real or fake, as a trial sees them.

use std::sync::Arc;

use user_ringbuf_sim::{RingImage, RingMemory};

use super::image::Call;

/// One of the two that are compared.
pub trait Side {
    /// What the core works on.
    type Memory: RingMemory;

    /// Bytes in the data area.
    fn size(&self) -> u32;

    /// The same ring, for producers and repairs.
    fn memory(&self) -> Arc<Self::Memory>;

    /// `consumer_pos`.
    fn consumer(&self) -> u64;

    /// `producer_pos`.
    fn producer(&self) -> u64;

    /// Stores `producer_pos`.
    fn set_producer(&mut self, position: u64);

    /// Writes `bytes`, at most the ring's size, from `position` on. Nothing else may be at work on the ring.
    ///
    /// # Panics
    /// If they are more.
    fn write(&mut self, position: u64, bytes: &[u8]);

    /// The length word of the header at `offset`, a multiple of 8 below the size.
    fn word(&self, offset: u32) -> u32;

    /// Positions and bytes as they stand.
    fn snapshot(&self) -> RingImage;

    /// Moves both positions on to `target`, a multiple of 8 that is not behind the consumer. The data area is zero
    /// before and afterwards.
    ///
    /// # Errors
    /// If the consumer can't be brought there.
    fn move_to(&mut self, target: u64) -> anyhow::Result<()>;

    /// Drains once. `wakes` says whether it is expected to wake the waiters.
    ///
    /// # Errors
    /// If the drain can't be tried, or what it woke not be found out.
    fn drain(&mut self, call: &Call, wakes: bool) -> anyhow::Result<Answer>;

    /// Whether each [`drain`](Self::drain) waits until no wakeup can be under way, which takes time on a real kernel.
    fn be_thorough(&mut self, _thorough: bool) {}

    /// Whether a wakeup came that no [`drain`](Self::drain) reported.
    ///
    /// # Errors
    /// If that can't be found out.
    fn woke_late(&mut self) -> anyhow::Result<bool> {
        Ok(false)
    }
}

/// What a drain did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What the helper returned.
    pub returned: i64,
    /// What the last nested drain returned, 0 if there was none.
    pub nested: i64,
    /// `consumer_pos` afterwards.
    pub consumer: u64,
    /// What the callback got, as many samples as fit in a log of some size.
    pub samples: Vec<Vec<u8>>,
    /// How many came after the log was full.
    pub unlogged: u32,
    /// Whether it woke the waiters.
    pub woke: bool,
}
