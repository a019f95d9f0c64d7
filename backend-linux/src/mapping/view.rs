//! The same memory for observers: nothing is mapped writable.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use user_ringbuf_core::{Header, Position, RingPositions, RingSize, RingView, Role};

use super::read_only;
use super::region::{Access, Layout, Region};
use super::{Map, MappingError};

/// A user ring buffer mapped read-only, to observe while its producer works. Any number of them may exist.
///
/// # Rights
/// None beyond the map's descriptor. But the descriptor must have been opened for writing too: the kernel treats a
/// shared mapping of a read-only file as a private one, and refuses to map a ring that way. So opening a ring by its
/// pin needs write permission on the pin, even just to look.
///
/// # Minimum kernel version
/// Linux 6.1, 64-bit.
#[derive(Debug)]
pub struct MappingView {
    data: NonNull<u8>,
    producer_pos: NonNull<AtomicU64>,
    consumer_pos: NonNull<AtomicU64>,
    size: RingSize,
    _consumer_page: Region,
    _producer_and_data: Region,
}

// SAFETY: read-only shared memory, not tied to a thread, accessed through atomics only.
unsafe impl Send for MappingView {}
// SAFETY: as above.
unsafe impl Sync for MappingView {}

impl MappingView {
    /// Maps a user ring buffer for reading. Needs the map's fd and no privilege.
    ///
    /// # Errors
    /// [`MappingError`]: a descriptor that was not opened for reading and writing ([`MappingError::NotReadWrite`]), too
    /// large for the address space, a 32-bit kernel, or the error of mmap.
    pub fn new(map: &Map) -> Result<Self, MappingError> {
        let layout = Layout::of(map)?;
        let consumer_page = Region::map(map, &layout.consumer_page(), Access::Read)?;
        let producer_and_data = Region::map(map, &layout.producer_and_data(), Access::Read)?;
        Ok(Self {
            data: producer_and_data.at(layout.page()),
            producer_pos: producer_and_data.at(0).cast(),
            consumer_pos: consumer_page.at(0).cast(),
            size: layout.size(),
            _consumer_page: consumer_page,
            _producer_and_data: producer_and_data,
        })
    }
}

// SAFETY: 1: the size is what the kernel said. 2: the positions are the first words of their pages, which are mapped as
// long as `self` lives; loads from them are such as read-only memory allows, with the roles' orderings. 3: a reference
// names the same mapping.
unsafe impl RingPositions for MappingView {
    fn size(&self) -> RingSize {
        self.size
    }

    fn load_consumer(&self) -> Position {
        // SAFETY: `new` mapped the page, read-only, for as long as `self` lives.
        Position::new(unsafe { read_only::load_position(self.consumer_pos, Role::LoadConsumer) })
    }

    fn load_producer(&self, role: Role) -> Position {
        // SAFETY: as above.
        Position::new(unsafe { read_only::load_position(self.producer_pos, role) })
    }
}

// SAFETY: 1: this process can't write at these addresses. 2: header offsets are below the size by the caller's promise.
unsafe impl RingView for MappingView {
    unsafe fn load_header(&self, offset: u32) -> Header {
        // SAFETY: within the data area and aligned, by the caller's promise.
        Header::from_word(unsafe { read_only::load_word(self.data.add(offset as usize).cast(), Role::ObserveHeader) })
    }
}
