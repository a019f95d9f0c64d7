//! What can be wrong with a map, or with the way to it.

use core::fmt;

use rustix::io::Errno;

use super::types::map_type_name;
use crate::bpf::BpfError;

/// A Linux capability that a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// `CAP_BPF`: make maps and load programs. `CAP_SYS_ADMIN` includes it.
    Bpf,
    /// `CAP_SYS_ADMIN`: open any map or program by its id.
    SysAdmin,
}

impl Capability {
    /// The kernel's name, such as `"CAP_BPF"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::SysAdmin => "CAP_SYS_ADMIN",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why there is no [`Map`](super::Map).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// The file descriptor is not open.
    ClosedFd,
    /// The file descriptor, or what is pinned at the path, is no BPF map: a file, a socket, a BPF program or link.
    NotAMap,
    /// A BPF map of another type.
    WrongType {
        /// The type's number; [`map_type_name`] knows its name.
        found: u32,
    },
    /// There is nothing at the path, or a directory on the way is missing.
    PathMissing,
    /// Something is at the path already, where a map should be pinned.
    PathTaken,
    /// The path lies outside any bpffs, so nothing can be pinned there.
    NotOnBpffs,
    /// The path's last name holds a dot, which bpffs reserves.
    PathHasDot,
    /// The file's or directory's permissions forbid it.
    PathForbidden,
    /// The path, or a name in it, is too long.
    PathTooLong {
        /// Its length in bytes. A path has at most 4,095, each of its names at most 255.
        len: usize,
    },
    /// No map has this id (any more).
    UnknownId {
        /// The id asked for.
        id: u32,
    },
    /// A ring of 0 bytes.
    SizeZero,
    /// The size is no power-of-two multiple of the page size.
    SizeNotRounded {
        /// The size asked for, in bytes.
        size: u64,
        /// The next larger valid size, in bytes.
        next: u32,
    },
    /// The size is above the most that the kernel's field can hold.
    SizeTooLarge {
        /// The size asked for, in bytes.
        size: u64,
        /// The largest valid size, in bytes.
        max: u32,
    },
    /// The kernel has no memory for a ring of this size.
    NoMemory {
        /// The size asked for, in bytes.
        size: u32,
    },
    /// The name is too long.
    NameTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most bytes that the kernel keeps.
        max: usize,
    },
    /// The name holds a byte outside `[A-Za-z0-9_.]`.
    NameCharacter {
        /// The first such byte.
        byte: u8,
        /// Where it stands, from 0.
        at: usize,
    },
    /// The process lacks a right.
    NotPermitted {
        /// The call that was refused.
        error: BpfError,
        /// The capability that would do.
        needs: Capability,
    },
    /// The kernel has no user ring buffer: it is older than 6.1, or was built without `bpf(2)`.
    Unsupported,
    /// Reading what the kernel knows about the map is forbidden, and the way round by `/proc/self/fdinfo` failed.
    InfoForbidden {
        /// What the bpf call answered; `None` if it was not asked.
        bpf: Option<BpfError>,
        /// Why `/proc/self/fdinfo` could not be read.
        fdinfo: Errno,
    },
    /// Another failure of `bpf(2)`.
    Bpf(BpfError),
    /// A failure of another system call.
    System {
        /// The call.
        call: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
}

impl MapError {
    /// The error of a command for which no closer one is known.
    pub(super) fn other(error: BpfError, needs: Capability) -> Self {
        match error.errno {
            Errno::PERM | Errno::ACCESS => Self::NotPermitted { error, needs },
            Errno::NOSYS => Self::Unsupported,
            _ => Self::Bpf(error),
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ClosedFd => f.write_str("the file descriptor is not open"),
            Self::NotAMap => f.write_str("not a BPF map"),
            Self::WrongType { found } => match map_type_name(found) {
                Some(name) => write!(f, "a map of type {name} ({found}), not BPF_MAP_TYPE_USER_RINGBUF (31)"),
                None => write!(f, "a map of the unknown type {found}, not BPF_MAP_TYPE_USER_RINGBUF (31)"),
            },
            Self::PathMissing => f.write_str("no such path"),
            Self::PathTaken => f.write_str("the path is taken already"),
            Self::NotOnBpffs => f.write_str("the path is not on a bpffs (mount one: mount -t bpf bpf /sys/fs/bpf)"),
            Self::PathHasDot => f.write_str("a name on a bpffs must not hold a dot"),
            Self::PathForbidden => f.write_str("the path's permissions forbid it"),
            Self::PathTooLong { len } => {
                write!(f, "a path of {len} bytes: the limit is 4095, and 255 for each name in it")
            }
            Self::UnknownId { id } => write!(f, "no map has the id {id}"),
            Self::SizeZero => f.write_str("a ring of size 0"),
            Self::SizeNotRounded { size, next } => write!(
                f,
                "a ring of {size} bytes: the size must be a power-of-two multiple of the page size, the next is {next}"
            ),
            Self::SizeTooLarge { size, max } => {
                write!(f, "a ring of {size} bytes, the limit is {max}")
            }
            Self::NoMemory { size } => {
                write!(f, "the kernel has no memory for a ring of {size} bytes")
            }
            Self::NameTooLong { len, max } => {
                write!(f, "a name of {len} bytes, the limit is {max}")
            }
            Self::NameCharacter { byte, at } => {
                write!(f, "the name's byte {at} is {byte:#04x}, allowed are letters, digits, '_' and '.'")
            }
            Self::NotPermitted { error, needs } => write!(f, "{error}: it needs {needs}"),
            Self::Unsupported => f.write_str("this kernel has no BPF_MAP_TYPE_USER_RINGBUF: it came with Linux 6.1"),
            Self::InfoForbidden { bpf: Some(bpf), fdinfo } => {
                write!(f, "{bpf}, and reading /proc/self/fdinfo instead failed: {fdinfo}")
            }
            Self::InfoForbidden { bpf: None, fdinfo } => {
                write!(f, "reading /proc/self/fdinfo failed: {fdinfo}")
            }
            Self::Bpf(error) => error.fmt(f),
            Self::System { call, errno } => write!(f, "{call} failed: {errno}"),
        }
    }
}

impl core::error::Error for MapError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        // `Errno` is an error under std only; its text stands in ours.
        match self {
            Self::NotPermitted { error, .. } | Self::Bpf(error) | Self::InfoForbidden { bpf: Some(error), .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}
