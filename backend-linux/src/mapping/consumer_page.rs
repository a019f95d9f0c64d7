//! The consumer page alone, for waiting until the kernel has reached a position.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use user_ringbuf_core::{Position, Role};

use super::read_only;
use super::region::{Access, Layout, Region};
use super::{Map, MappingError};

/// The page that holds `consumer_pos`, mapped read-only. Any number of them may exist.
#[derive(Debug)]
pub(crate) struct ConsumerPage {
    position: NonNull<AtomicU64>,
    _page: Region,
}

// SAFETY: read-only shared memory, not tied to a thread, accessed through an atomic only.
unsafe impl Send for ConsumerPage {}
// SAFETY: as above.
unsafe impl Sync for ConsumerPage {}

impl ConsumerPage {
    pub(crate) fn map(map: &Map) -> Result<Self, MappingError> {
        let page = Region::map(map, &Layout::of(map)?.consumer_page(), Access::Read)?;
        Ok(Self { position: page.at(0).cast(), _page: page })
    }

    /// Loads the position that the kernel has reached.
    pub(crate) fn position(&self) -> Position {
        // SAFETY: `map` mapped the page for as long as `self` lives; the position is its first word.
        Position::new(unsafe { read_only::load_position(self.position, Role::LoadConsumer) })
    }
}
