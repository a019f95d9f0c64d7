//! The ids of all maps on the machine.
//!
//! Kernel counterpart: `bpf_obj_get_next_id` in `kernel/bpf/syscall.c`.

use core::iter::FusedIterator;

use rustix::io::Errno;

use super::{Capability, MapError};
use crate::bpf::attr::GetId;
use crate::bpf::{BpfCommand, BpfError, bpf};

/// The ids of all BPF maps, ascending: [`Map::ids`](super::Map::ids).
///
/// One system call per id. A map that comes or goes meanwhile may be listed or not. The iterator ends after an error:
/// [`MapError::NotPermitted`] without `CAP_SYS_ADMIN`, or [`MapError::Bpf`].
///
/// # Minimum kernel version
/// Linux 4.13.
#[derive(Clone, Debug)]
#[must_use]
pub struct MapIds {
    /// The last id found; `None` once the end was reached.
    last: Option<u32>,
}

impl MapIds {
    pub(super) fn new() -> Self {
        Self { last: Some(0) }
    }
}

impl Iterator for MapIds {
    type Item = Result<u32, MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut attr = GetId { id: self.last.take()?, ..Default::default() };
        // SAFETY: no address is passed.
        match unsafe { bpf(BpfCommand::MapGetNextId, &mut attr) } {
            Ok(_) => {
                self.last = Some(attr.next_id);
                Some(Ok(attr.next_id))
            }
            Err(BpfError { errno: Errno::NOENT, .. }) => None,
            Err(error) => Some(Err(MapError::other(error, Capability::SysAdmin))),
        }
    }
}

impl FusedIterator for MapIds {}
