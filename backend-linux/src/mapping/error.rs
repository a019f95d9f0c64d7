//! Why a ring could not be mapped.

use core::fmt;

use rustix::io::Errno;

/// Why a ring could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappingError {
    /// This process maps the ring for producing already: share that mapping, or drop it first.
    AlreadyMapped {
        /// The map's id.
        id: u32,
    },
    /// This process maps as many rings for producing as it may.
    TooManyMappings {
        /// Most rings mapped for producing at once.
        max: usize,
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
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyMapped { id } => write!(
                f,
                "map {id} is mapped for producing in this process already: share that mapping, or drop it first"
            ),
            Self::TooManyMappings { max } => {
                write!(f, "this process maps {max} rings for producing already, and may not map more")
            }
            Self::TooLarge { bytes } => {
                write!(f, "{bytes} bytes to map are more than this process can address ({} at most)", isize::MAX)
            }
            Self::Kernel32Bit => f.write_str("the kernel has 32 bits; user ring buffers need a 64-bit kernel here"),
            Self::Size { bytes } => write!(f, "the kernel names a ring of {bytes} bytes, which is no power of two"),
            Self::Mmap { what, bytes, errno } => write!(f, "mmap of {what} ({bytes} bytes) failed: {errno}"),
        }
    }
}

impl core::error::Error for MappingError {}
