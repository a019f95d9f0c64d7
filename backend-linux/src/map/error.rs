//! Errors of opening, creating, pinning and asking maps.

use core::fmt;

use rustix::io::Errno;

use super::path::PathTail;
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

/// Why a [`Map`](super::Map) could not be opened, created, pinned or queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// The file descriptor is not open: look for where it was closed.
    ClosedFd,
    /// The file descriptor, or what is pinned at the path, is not a BPF map but a file, a socket, a BPF program or
    /// link. Check which descriptor or path was passed.
    NotAMap,
    /// A BPF map of another type. Check which one was passed, and how the BPF program declares it.
    WrongType {
        /// The type's number; [`map_type_name`] knows its name.
        found: u32,
    },
    /// There is nothing at the path, or a directory on the way is missing. To open a pin, wait until its loader has
    /// made it; to pin, make the directory first.
    PathMissing {
        /// The path asked for, or the end of a long one.
        path: PathTail,
    },
    /// Something is at the path already, where a map should be pinned. Open that, or remove the file to unpin it.
    PathTaken,
    /// The path lies outside any bpffs, so nothing can be pinned there. Mount one (`mount -t bpf bpf /sys/fs/bpf`), and
    /// name a path on it.
    NotOnBpffs,
    /// The path's last name holds a dot, which bpffs reserves: choose another name.
    PathHasDot,
    /// The file's or directory's permissions forbid it. Opening a pin needs read and write permission on it, even just
    /// to look at the ring; [`is_pinned_at`](super::Map::is_pinned_at) needs read permission. Pinning needs write
    /// permission on the directory.
    PathForbidden,
    /// The path, or a name in it, is too long: choose a shorter one.
    PathTooLong {
        /// Its length in bytes. A path has at most 4,095, each of its names at most 255.
        len: usize,
    },
    /// No map has this id (any more). Ids change when a map is made anew: look the id up again, or pin the map.
    UnknownId {
        /// The id asked for.
        id: u32,
    },
    /// A ring of 0 bytes: ask for at least 1, which is rounded up to a page.
    SizeZero,
    /// The size is not a power-of-two multiple of the page size. Use the next valid one, or
    /// [`Map::create`](super::Map::create), which rounds up.
    SizeNotRounded {
        /// The size asked for, in bytes.
        size: u64,
        /// The next larger valid size, in bytes.
        next: u32,
    },
    /// The size is above the most that the kernel's field can hold: ask for less.
    SizeTooLarge {
        /// The size asked for, in bytes.
        size: u64,
        /// The largest valid size, in bytes.
        max: u32,
    },
    /// The kernel does not have the memory for a ring of this size. Ask for a smaller ring, or check the limits of the
    /// memory cgroup.
    NoMemory {
        /// The size asked for, in bytes.
        size: u32,
    },
    /// The name is too long: choose a shorter one.
    NameTooLong {
        /// Its length in bytes.
        len: usize,
        /// The most bytes that the kernel keeps.
        max: usize,
    },
    /// The name holds a byte outside `[A-Za-z0-9_.]`: choose another name.
    NameCharacter {
        /// The first such byte.
        byte: u8,
        /// Where it stands, from 0.
        at: usize,
    },
    /// The process lacks a right. Give it the capability, or pass it the map's descriptor, for which it needs none.
    /// [`probe`](crate::probe()) reports the obstacle.
    NotPermitted {
        /// The call that was refused.
        error: BpfError,
        /// The capability that would do.
        needs: Capability,
    },
    /// The kernel does not support user ring buffers: it is older than 6.1, or was built without `bpf(2)`.
    Unsupported,
    /// Reading what the kernel knows about the map is forbidden, and the way round by `/proc/self/fdinfo` failed. Allow
    /// one of the two: `BPF_OBJ_GET_INFO_BY_FD`, or mount `/proc` and allow `openat`.
    InfoForbidden {
        /// The error of the bpf call; `None` if it was not made.
        bpf: Option<BpfError>,
        /// Why `/proc/self/fdinfo` could not be read.
        fdinfo: Errno,
    },
    /// Another failure of `bpf(2)`: see bpf(2) for what the kernel means by it.
    Bpf(BpfError),
    /// A failure of another system call. `EMFILE` means that no descriptor is left, `EPERM` that a seccomp filter
    /// forbids the call.
    System {
        /// The call.
        call: &'static str,
        /// The error number.
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
            Self::PathMissing { path } if path.as_bytes().is_empty() => f.write_str("no such path: it is empty"),
            Self::PathMissing { path } => write!(f, "no such path: {path}"),
            Self::PathTaken => f.write_str("the path is taken already"),
            Self::NotOnBpffs => f.write_str("the path is not on a bpffs (mount one: mount -t bpf bpf /sys/fs/bpf)"),
            Self::PathHasDot => f.write_str("a name on a bpffs must not hold a dot"),
            Self::PathForbidden => f.write_str(
                "the path's permissions forbid it: opening a pin needs read and write permission on it, also to look \
                 only, and pinning needs write permission on the directory",
            ),
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
            Self::NotPermitted { needs, .. } => write!(f, "not permitted: it needs {needs}"),
            Self::Unsupported => f.write_str("this kernel has no BPF_MAP_TYPE_USER_RINGBUF: it came with Linux 6.1"),
            Self::InfoForbidden { fdinfo, .. } => {
                write!(f, "what the map is can't be learnt: reading /proc/self/fdinfo failed: {fdinfo}")
            }
            Self::Bpf(error) => error.fmt(f),
            Self::System { call, errno } => write!(f, "{call} failed: {errno}"),
        }
    }
}

impl core::error::Error for MapError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotPermitted { error, .. } | Self::InfoForbidden { bpf: Some(error), .. } => Some(error),
            Self::Bpf(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::error::Error;
    use std::string::ToString;

    use super::*;
    use crate::bpf::BpfCommand;

    #[test]
    fn a_cause_is_a_source_and_told_once() {
        let refused = BpfError { command: BpfCommand::MapCreate, errno: Errno::PERM };
        let not_permitted = MapError::NotPermitted { error: refused, needs: Capability::Bpf };
        let forbidden = MapError::InfoForbidden { bpf: Some(refused), fdinfo: Errno::NOENT };
        for error in [not_permitted, forbidden] {
            assert_eq!(error.source().and_then(|cause| cause.downcast_ref()), Some(&refused));
            assert!(!error.to_string().contains(&refused.to_string()), "{error}");
        }
        // It passes the other error on, and adds nothing.
        assert_eq!(MapError::Bpf(refused).to_string(), refused.to_string());
        assert!(MapError::Bpf(refused).source().is_none());
    }
}
