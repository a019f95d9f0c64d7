//! Why a ring could not be mapped.

use core::fmt;

use rustix::io::Errno;

use crate::claim::Failed;
use crate::holders::Holder;

/// Why a ring could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappingError {
    /// This process already maps the ring for producing: share that mapping, or drop it first.
    AlreadyMapped {
        /// The map's id.
        id: u32,
    },
    /// Another process has the claim on the ring, which one process has at a time. End that process, or have it do the
    /// producing.
    Claimed {
        /// The map's id.
        id: u32,
        /// The process, if `/proc` shows it.
        holder: Option<Holder>,
    },
    /// The doubled data area is larger than this process can address: use a smaller ring, or a 64-bit process.
    TooLarge {
        /// Bytes to map.
        bytes: u64,
    },
    /// The kernel has 32 bits, and so have its positions. Only 64-bit kernels are supported.
    Kernel32Bit,
    /// The kernel reports a size that a ring can't have. This is a bug of the kernel or of this crate.
    Size {
        /// `max_entries` as the kernel gave it, in bytes.
        bytes: u32,
    },
    /// The map's descriptor was opened for reading only (`BPF_F_RDONLY`) or for writing only. The kernel maps a ring
    /// only through a descriptor that was opened for both, even just to look at it.
    /// [`Map::from_pin`](crate::Map::from_pin) opens the pin for both, and needs read and write permission on it.
    NotReadWrite {
        /// The map's id.
        id: u32,
    },
    /// mmap failed. `ENOMEM` means that address space or memory is short: try a smaller ring.
    Mmap {
        /// What was to be mapped.
        what: &'static str,
        /// Bytes to map.
        bytes: usize,
        /// The error number.
        errno: Errno,
    },
    /// Another system call failed, which is needed for the claim or to keep the memory from forked children. `EPERM`
    /// comes from a seccomp filter: allow the call. `EMFILE` means that no descriptor is left.
    System {
        /// The call.
        call: &'static str,
        /// The error number.
        errno: Errno,
    },
}

impl From<Failed> for MappingError {
    fn from(Failed { call, errno }: Failed) -> Self {
        Self::System { call, errno }
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyMapped { id } => write!(
                f,
                "map {id} is mapped for producing in this process already: share that mapping, or drop it first"
            ),
            Self::Claimed { id, holder: Some(holder) } => {
                write!(f, "map {id} is claimed by {holder}: a ring has one producer at a time")
            }
            Self::Claimed { id, holder: None } => {
                write!(
                    f,
                    "map {id} is claimed by a process that /proc does not show: a ring has one producer at a time"
                )
            }
            Self::TooLarge { bytes } => {
                write!(f, "{bytes} bytes to map are more than this process can address ({} at most)", isize::MAX)
            }
            Self::Kernel32Bit => f.write_str("the kernel has 32 bits; user ring buffers need a 64-bit kernel here"),
            Self::Size { bytes } => {
                write!(f, "the kernel reports a ring of {bytes} bytes, which is not a power of two")
            }
            Self::NotReadWrite { id } => write!(
                f,
                "map {id} was opened for reading only or for writing only, and the kernel maps it only if opened for both, \
                 also to look at it: open it by a way that needs read and write permission on its pin"
            ),
            Self::Mmap { what, bytes, errno } => write!(f, "mmap of {what} ({bytes} bytes) failed: {errno}"),
            Self::System { call, errno } => write!(f, "{call} failed: {errno}"),
        }
    }
}

impl core::error::Error for MappingError {}
