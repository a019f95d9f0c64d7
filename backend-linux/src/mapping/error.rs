//! Why a ring could not be mapped.

use core::fmt;

use rustix::io::Errno;

use crate::claim::Failed;
use crate::holders::Holder;

/// Why a ring could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappingError {
    /// This process maps the ring for producing already: share that mapping, or drop it first.
    AlreadyMapped {
        /// The map's id.
        id: u32,
    },
    /// Another process produces into the ring: it has the claim, and one process has it at a time.
    Claimed {
        /// The map's id.
        id: u32,
        /// The process, if `/proc` shows it.
        holder: Option<Holder>,
    },
    /// The doubled data area is larger than this process can address.
    TooLarge {
        /// Bytes to map.
        bytes: u64,
    },
    /// The kernel has 32 bits, and so have its positions; only 64-bit kernels are supported.
    Kernel32Bit,
    /// The size is none that a ring may have; a kernel never says so.
    Size {
        /// `max_entries` as the kernel gave it, in bytes.
        bytes: u32,
    },
    /// mmap failed.
    Mmap {
        /// What was to be mapped.
        what: &'static str,
        /// Bytes to map.
        bytes: usize,
        /// What the kernel answered.
        errno: Errno,
    },
    /// Another system call failed, which the claim needs or which keeps the memory from forked children.
    System {
        /// The call.
        call: &'static str,
        /// What the kernel answered.
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
            Self::Size { bytes } => write!(f, "the kernel names a ring of {bytes} bytes, which is no power of two"),
            Self::Mmap { what, bytes, errno } => write!(f, "mmap of {what} ({bytes} bytes) failed: {errno}"),
            Self::System { call, errno } => write!(f, "{call} failed: {errno}"),
        }
    }
}

impl core::error::Error for MappingError {}
