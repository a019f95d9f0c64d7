//! The map: a handle to a `BPF_MAP_TYPE_USER_RINGBUF`, however one comes by it.
//!
//! Invariant: a [`Map`]'s descriptor is one of a user ring buffer, and its size is what the kernel says: a
//! power-of-two multiple of the page size, at most 2 GiB. Kernel counterpart: `kernel/bpf/syscall.c` (maps) and
//! `ringbuf_map_alloc` in `kernel/bpf/ringbuf.c`.

mod error;
mod from_fd;
mod ids;
pub(crate) mod info;
mod of_rings;
mod path;
mod pin;
mod size;
pub(crate) mod types;

use core::fmt;
use core::hint::assert_unchecked;
use core::mem::ManuallyDrop;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::bpf::attr::{GetId, MapCreate};
use crate::bpf::{BpfCommand, BpfError, bpf_fd};
use crate::fd::{self, borrow};
use info::Info;

pub use error::{Capability, MapError};
pub use from_fd::FromFdError;
pub use ids::MapIds;
pub use of_rings::{MapOfRings, MapOfRingsError};
pub use path::PathTail;
pub use size::{MAX_SIZE, rounded_size};
pub use types::map_type_name;

/// The most bytes of a map's name.
pub const MAX_NAME: usize = 15;

/// A user ring buffer in the kernel, which this process holds open.
///
/// The map lives as long as any process holds a descriptor of it, a loaded program uses it, or it is pinned. The kernel
/// makes it in `ringbuf_map_alloc`, which takes a power-of-two multiple of the page size and nothing else.
///
/// # Minimum kernel version
///
/// Linux 6.1.
///
/// # Rights
///
/// [`create`](Self::create) needs `CAP_BPF` (none where `kernel.unprivileged_bpf_disabled` is 0),
/// [`from_id`](Self::from_id) needs `CAP_SYS_ADMIN`, [`from_pin`](Self::from_pin) needs read and write permission on the
/// file, also to look only. Whoever merely holds a descriptor, say one received over a Unix socket, needs no capability
/// at all; a descriptor that was opened for reading only can't be mapped.
///
/// ```no_run
/// use user_ringbuf_linux::Map;
///
/// let map = Map::create("to_kernel", 64 * 1024)?;
/// map.pin("/sys/fs/bpf/to_kernel")?;
/// assert_eq!(Map::from_pin("/sys/fs/bpf/to_kernel")?.id(), map.id());
/// # Ok::<(), user_ringbuf_linux::MapError>(())
/// ```
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct Map {
    fd: OwnedFd,
    info: Info,
}

impl Map {
    /// Takes over the descriptor of a user ring buffer.
    ///
    /// What the kernel knows about it is asked by `BPF_OBJ_GET_INFO_BY_FD`. Where that call is forbidden (EPERM,
    /// EACCES or ENOSYS, as a seccomp filter or a security module answers), it is read from `/proc/self/fdinfo`
    /// as by [`from_fd_via_fdinfo`](Self::from_fd_via_fdinfo).
    ///
    /// # Errors
    ///
    /// [`FromFdError`], which hands the descriptor back. What it says is [`MapError::NotAMap`], [`MapError::WrongType`],
    /// or [`MapError::InfoForbidden`] if both ways are barred.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, FromFdError> {
        Self::with_info(fd, Info::of)
    }

    /// Takes over the descriptor of a user ring buffer without any use of `bpf(2)`: its type, size and id are
    /// read from `/proc/self/fdinfo`.
    ///
    /// This is for a process whose seccomp filter kills on `bpf(2)`. It takes an `openat`, two `read`s and a `close`.
    /// The map's [`name`](Self::name) stays empty.
    ///
    /// # Errors
    ///
    /// As [`from_fd`](Self::from_fd); [`MapError::InfoForbidden`] if `/proc` is not mounted or not readable.
    pub fn from_fd_via_fdinfo(fd: OwnedFd) -> Result<Self, FromFdError> {
        Self::with_info(fd, Info::by_fdinfo)
    }

    fn with_info(fd: OwnedFd, info: fn(BorrowedFd<'_>) -> Result<Info, MapError>) -> Result<Self, FromFdError> {
        match info(borrow(&fd)) {
            Ok(info) => Ok(Self { fd, info }),
            Err(error) => Err(FromFdError { fd, error }),
        }
    }

    /// Duplicates the descriptor of a user ring buffer, close-on-exec, and goes on as [`from_fd`](Self::from_fd).
    ///
    /// # Errors
    ///
    /// As [`from_fd`](Self::from_fd), [`MapError::ClosedFd`], and [`MapError::System`] if no descriptor is left.
    pub fn from_borrowed(fd: impl AsFd) -> Result<Self, MapError> {
        Ok(Self::from_fd(duplicate(fd.as_fd())?)?)
    }

    /// Looks at the descriptor of a user ring buffer, which stays the caller's: nothing is duplicated and nothing
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`from_fd`](Self::from_fd); `look` is not called then.
    pub fn with_borrowed<T>(fd: BorrowedFd<'_>, look: impl FnOnce(&Self) -> T) -> Result<T, MapError> {
        let info = Info::of(fd)?;
        // SAFETY: a descriptor that is borrowed is open, and so is not -1; it is not closed from here, because the map
        // is not dropped.
        let fd = unsafe {
            assert_unchecked(fd.as_raw_fd() != -1);
            OwnedFd::from_raw_fd(fd.as_raw_fd())
        };
        Ok(look(&ManuallyDrop::new(Self { fd, info })))
    }

    /// Opens a map that is pinned on a bpffs, for reading and writing.
    ///
    /// This needs read and write permission on the pin, also for those who only look at the ring
    /// ([`MappingView`](crate::MappingView)): the kernel maps no descriptor that was opened for reading only.
    ///
    /// A `&CStr` works without std and without alloc.
    ///
    /// # Errors
    ///
    /// [`MapError::PathMissing`], [`MapError::NotOnBpffs`], [`MapError::PathForbidden`], [`MapError::PathTooLong`],
    /// [`MapError::NotAMap`] if something else is pinned there, and as [`from_fd`](Self::from_fd).
    pub fn from_pin(path: impl Arg) -> Result<Self, MapError> {
        Ok(Self::from_fd(with_c_str(path, |path| pin::get(path, pin::Open::ReadWrite))?)?)
    }

    /// Opens the map with this id.
    ///
    /// # Errors
    ///
    /// [`MapError::UnknownId`], [`MapError::NotPermitted`] without `CAP_SYS_ADMIN`, and as
    /// [`from_fd`](Self::from_fd).
    pub fn from_id(id: u32) -> Result<Self, MapError> {
        let mut attr = GetId { id, ..Default::default() };
        // SAFETY: no address is passed, and the command makes a descriptor.
        match unsafe { bpf_fd(BpfCommand::MapGetFdById, &mut attr) } {
            Ok(fd) => Ok(Self::from_fd(fd)?),
            Err(BpfError { errno: Errno::NOENT, .. }) => Err(MapError::UnknownId { id }),
            Err(error) => Err(MapError::other(error, Capability::SysAdmin)),
        }
    }

    /// The ids of all BPF maps on the machine, of whatever type, in ascending order. [`from_id`](Self::from_id) opens the user
    /// ring buffers among them and answers [`MapError::WrongType`] to the others.
    ///
    /// ```no_run
    /// use user_ringbuf_linux::{Map, MapError};
    ///
    /// for id in Map::ids() {
    ///     match Map::from_id(id?) {
    ///         Ok(ring) => println!("{} {} {}", ring.id(), ring.name(), ring.size()),
    ///         // Another type, or gone since it was listed.
    ///         Err(MapError::WrongType { .. } | MapError::UnknownId { .. }) => {}
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok::<(), MapError>(())
    /// ```
    pub fn ids() -> MapIds {
        MapIds::new()
    }

    /// Checks a name as [`create`](Self::create) does: at most [`MAX_NAME`] bytes of `[A-Za-z0-9_.]`.
    ///
    /// # Errors
    ///
    /// [`MapError::NameTooLong`] and [`MapError::NameCharacter`].
    pub fn check_name(name: &str) -> Result<(), MapError> {
        kernel_name(name).map(drop)
    }

    /// Makes a map of `size` bytes, rounded up as [`rounded_size`] does. An empty name makes a map without one.
    ///
    /// # Errors
    ///
    /// [`MapError::SizeZero`], [`MapError::SizeTooLarge`], [`MapError::NameTooLong`] and
    /// [`MapError::NameCharacter`] for wrong arguments; [`MapError::NotPermitted`] without `CAP_BPF`;
    /// [`MapError::Unsupported`] before Linux 6.1; [`MapError::NoMemory`].
    pub fn create(name: &str, size: u64) -> Result<Self, MapError> {
        Self::create_rounded(name, rounded_size(size)?)
    }

    /// Makes a map of exactly `size` bytes.
    ///
    /// # Errors
    ///
    /// [`MapError::SizeNotRounded`], which names the next valid size, and as [`create`](Self::create).
    pub fn create_exact(name: &str, size: u64) -> Result<Self, MapError> {
        Self::create_rounded(name, size::exact_size(size)?)
    }

    fn create_rounded(name: &str, size: u32) -> Result<Self, MapError> {
        let name = kernel_name(name)?;
        match create_fd(name, size) {
            Ok(fd) => Ok(Self::from_fd(fd)?),
            Err(error) => Err(match error.errno {
                // The size is valid, so it is the type that the kernel does not know. But make sure.
                Errno::INVAL if size_is_no_matter() => MapError::Unsupported,
                Errno::NOMEM => MapError::NoMemory { size },
                _ => MapError::other(error, Capability::Bpf),
            }),
        }
    }

    /// Pins the map at `path` on a bpffs, where it outlives this process. Removing the file unpins it.
    ///
    /// # Errors
    ///
    /// [`MapError::NotOnBpffs`], [`MapError::PathTaken`], [`MapError::PathMissing`] for a missing directory,
    /// [`MapError::PathHasDot`], [`MapError::PathForbidden`], [`MapError::PathTooLong`].
    pub fn pin(&self, path: impl Arg) -> Result<(), MapError> {
        with_c_str(path, |path| pin::pin(borrow(&self.fd), path))
    }

    /// Whether the pin at `path` still leads to this map. Read permission on the pin is enough.
    ///
    /// A loader that starts anew replaces its pins: a holder of the old map then fills a ring that no program drains.
    /// `false` means that the path leads elsewhere or nowhere: there is nothing, another map, another BPF object, or
    /// something that is not on a bpffs.
    ///
    /// It takes three system calls (`bpf` twice, `close`).
    ///
    /// # Errors
    ///
    /// Where it can't be determined: [`MapError::PathForbidden`], [`MapError::PathTooLong`], [`MapError::NotPermitted`]
    /// if `bpf(2)` is forbidden, [`MapError::System`] if no descriptor is left, and [`MapError::Bpf`].
    ///
    /// ```no_run
    /// use user_ringbuf_linux::{Map, MapError};
    ///
    /// fn refresh(map: &mut Map) -> Result<(), MapError> {
    ///     if !map.is_pinned_at("/sys/fs/bpf/to_kernel")? {
    ///         *map = Map::from_pin("/sys/fs/bpf/to_kernel")?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn is_pinned_at(&self, path: impl Arg) -> Result<bool, MapError> {
        let fd = with_c_str(path, |path| pin::get(path, pin::Open::Read));
        match fd.and_then(|fd| Info::of(borrow(&fd))) {
            Ok(found) => Ok(found.id == self.id()),
            Err(
                MapError::PathMissing { .. } | MapError::NotOnBpffs | MapError::NotAMap | MapError::WrongType { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The id by which the kernel knows the map; no other map has it as long as this one lives.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info.id
    }

    /// The name by which the map was made, at most 15 bytes. Empty if it has none, or where only fdinfo could be read.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = &self.info.name;
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        // The kernel lets no other than ASCII names in.
        name.get(..len).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// The size of the ring's data area in bytes: a power-of-two multiple of the page size, at most [`MAX_SIZE`].
    #[must_use]
    #[doc(alias = "max_entries")]
    pub fn size(&self) -> u32 {
        self.info.size
    }

    /// Another handle to the same map, with a descriptor of its own, close-on-exec.
    ///
    /// # Errors
    ///
    /// [`MapError::System`] if no descriptor is left.
    pub fn try_clone(&self) -> Result<Self, MapError> {
        Ok(Self { fd: duplicate(borrow(&self.fd))?, info: self.info })
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.fd)
    }
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<Map> for OwnedFd {
    fn from(map: Map) -> Self {
        map.fd
    }
}

impl TryFrom<OwnedFd> for Map {
    type Error = FromFdError;

    fn try_from(fd: OwnedFd) -> Result<Self, FromFdError> {
        Self::from_fd(fd)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("fd", &self.fd.as_raw_fd())
            .field("id", &self.id())
            .field("name", &self.name())
            .field("size", &self.size())
            .finish()
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, MapError> {
    fd::duplicate(fd).map_err(|errno| match errno {
        Errno::BADF => MapError::ClosedFd,
        errno => MapError::System { call: fd::DUPLICATE, errno },
    })
}

/// Hands `path` on as a C string.
fn with_c_str<T>(path: impl Arg, call: impl FnOnce(&core::ffi::CStr) -> Result<T, MapError>) -> Result<T, MapError> {
    // Without alloc a path is text or a C string: any other kind can't be shown.
    let len = path.as_str().ok().map(str::len);
    let mut failure = None;
    let done = path.into_with_c_str(|path| {
        // The closure may only fail with an `Errno`; the real error takes the way round.
        call(path).map_err(|error| {
            failure = Some(error);
            Errno::INVAL
        })
    });
    done.map_err(|errno| failure.unwrap_or_else(|| no_c_str(errno, len)))
}

/// Why a path can't be made a C string.
fn no_c_str(errno: Errno, len: Option<usize>) -> MapError {
    match (errno, len) {
        // Without alloc the buffer holds what the kernel takes, and no more.
        (Errno::NAMETOOLONG, Some(len)) => MapError::PathTooLong { len },
        _ => MapError::System { call: "reading the path", errno },
    }
}

/// The name as the kernel keeps it: 16 bytes, the last of them zero.
pub(crate) fn kernel_name(name: &str) -> Result<[u8; 16], MapError> {
    let name = name.as_bytes();
    let mut kernel = [0; 16];
    let too_long = MapError::NameTooLong { len: name.len(), max: MAX_NAME };
    let room = kernel.get_mut(..MAX_NAME).and_then(|room| room.get_mut(..name.len())).ok_or(too_long)?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if let Some((at, byte)) = name.iter().enumerate().find(|(_, byte)| !allowed(byte)) {
        return Err(MapError::NameCharacter { byte: *byte, at });
    }
    room.copy_from_slice(name);
    Ok(kernel)
}

/// `BPF_MAP_CREATE` of a user ring buffer.
pub(crate) fn create_fd(map_name: [u8; 16], size: u32) -> Result<OwnedFd, BpfError> {
    let mut attr = MapCreate { map_type: types::USER_RINGBUF, max_entries: size, map_name, ..Default::default() };
    // SAFETY: no address is passed, and the command makes a descriptor.
    unsafe { bpf_fd(BpfCommand::MapCreate, &mut attr) }
}

/// Whether the smallest nameless ring is refused as invalid too, which leaves the type as the reason.
fn size_is_no_matter() -> bool {
    rounded_size(1).is_ok_and(|page| matches!(create_fd([0; 16], page), Err(BpfError { errno: Errno::INVAL, .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_says_so_with_and_without_alloc() {
        let path = [b'x'; 5000];
        let path = core::str::from_utf8(&path).unwrap();
        assert_eq!(Map::from_pin(path).unwrap_err(), MapError::PathTooLong { len: 5000 });
        // What there is without alloc.
        assert_eq!(no_c_str(Errno::NAMETOOLONG, Some(5000)), MapError::PathTooLong { len: 5000 });
    }

    #[test]
    fn names_are_what_the_kernel_takes() {
        assert_eq!(kernel_name("a_B.9").unwrap()[..6], *b"a_B.9\0");
        assert_eq!(kernel_name("").unwrap(), [0; 16]);
        assert_eq!(kernel_name("123456789012345").unwrap(), *b"123456789012345\0");
        assert_eq!(kernel_name("1234567890123456"), Err(MapError::NameTooLong { len: 16, max: 15 }));
        assert_eq!(kernel_name("a-b"), Err(MapError::NameCharacter { byte: b'-', at: 1 }));
        assert_eq!(kernel_name("a\0b"), Err(MapError::NameCharacter { byte: 0, at: 1 }));
        assert_eq!(kernel_name("\u{e9}"), Err(MapError::NameCharacter { byte: 0xc3, at: 0 }));
    }
}
