//! Paths on a bpffs: what its answers mean.
//!
//! `BPF_OBJ_GET` and `BPF_OBJ_PIN` say EACCES or EPERM for a file system that is no bpffs, for a name with a dot, for
//! what is no pinned object, and for missing permissions alike. Here they are told apart, on the failure path only.
//! Kernel counterpart: `kernel/bpf/inode.c`.

use core::ffi::CStr;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Access, FileType};
use rustix::io::Errno;

use super::info::number;
use super::{Capability, MapError, PathTail};
use crate::bpf::attr::ObjPath;
use crate::bpf::{BpfCommand, BpfError, address, bpf, bpf_fd};

/// `BPF_FS_MAGIC`.
const BPF_FS_MAGIC: i128 = 0xcafe_4a11;

/// The most bytes of a path, the closing zero included.
const PATH_MAX: usize = 4096;

/// What a pin is opened for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Open {
    /// To learn what it is. (The memory of a map that is opened so can't be mapped.)
    Read,
    /// To use it.
    ReadWrite,
}

/// Opens the map that is pinned at `path`.
pub(super) fn get(path: &CStr, open: Open) -> Result<OwnedFd, MapError> {
    /// `BPF_F_RDONLY`.
    const READ_ONLY: u32 = 1 << 3;
    let file_flags = if open == Open::Read { READ_ONLY } else { 0 };
    let mut attr = ObjPath { pathname: address(path.as_ptr()), bpf_fd: 0, file_flags };
    // SAFETY: the path ends in a zero, and the command makes a descriptor.
    unsafe { bpf_fd(BpfCommand::ObjGet, &mut attr) }.map_err(|error| match error.errno {
        Errno::NOENT | Errno::NOTDIR => MapError::PathMissing { path: PathTail::of(path) },
        Errno::NAMETOOLONG => MapError::PathTooLong { len: path.count_bytes() },
        Errno::PERM | Errno::ACCESS => refused(path, open, error),
        // Programs and links can't be opened for reading only.
        Errno::INVAL if open == Open::Read => MapError::NotAMap,
        _ => MapError::other(error, Capability::Bpf),
    })
}

/// Pins `fd` at `path`.
pub(super) fn pin(fd: BorrowedFd<'_>, path: &CStr) -> Result<(), MapError> {
    let mut attr = ObjPath { pathname: address(path.as_ptr()), bpf_fd: number(fd), file_flags: 0 };
    // SAFETY: the path ends in a zero.
    match unsafe { bpf(BpfCommand::ObjPin, &mut attr) } {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.errno {
            Errno::NOENT | Errno::NOTDIR => MapError::PathMissing { path: PathTail::of(path) },
            Errno::NAMETOOLONG => MapError::PathTooLong { len: path.count_bytes() },
            Errno::EXIST => MapError::PathTaken,
            Errno::PERM | Errno::ACCESS => not_pinned(path, error),
            _ => MapError::other(error, Capability::Bpf),
        }),
    }
}

/// Why an existing path could not be opened.
fn refused(path: &CStr, open: Open, error: BpfError) -> MapError {
    match is_bpffs(path) {
        Ok(false) => return MapError::NotOnBpffs,
        Ok(true) => {}
        Err(Errno::ACCESS) => return MapError::PathForbidden,
        Err(_) => return MapError::other(error, Capability::Bpf),
    }
    let regular = rustix::fs::stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
    let needed = if open == Open::Read { Access::READ_OK } else { Access::READ_OK | Access::WRITE_OK };
    if regular && rustix::fs::access(path, needed).is_err() {
        return MapError::PathForbidden;
    }
    if error.errno == Errno::PERM { MapError::other(error, Capability::Bpf) } else { MapError::NotAMap }
}

/// Why nothing could be pinned at a path.
fn not_pinned(path: &CStr, error: BpfError) -> MapError {
    let path = path.to_bytes();
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => path.split_at(at.saturating_add(1)),
        None => (&b"."[..], path),
    };
    let mut buffer = [0; PATH_MAX];
    let Some(copy) = buffer.get_mut(..parent.len()) else {
        return MapError::other(error, Capability::Bpf);
    };
    copy.copy_from_slice(parent);
    let Ok(parent) = CStr::from_bytes_until_nul(&buffer) else {
        return MapError::other(error, Capability::Bpf);
    };
    match is_bpffs(parent) {
        Ok(false) => MapError::NotOnBpffs,
        Ok(true) if name.contains(&b'.') => MapError::PathHasDot,
        Ok(true) if rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).is_err() => MapError::PathForbidden,
        Ok(true) => MapError::other(error, Capability::Bpf),
        Err(_) => MapError::PathForbidden,
    }
}

fn is_bpffs(path: &CStr) -> Result<bool, Errno> {
    // The field's width and sign differ between processors and C libraries; the number has 32 bits.
    fn word(value: impl Into<i128>) -> i128 {
        value.into() & 0xffff_ffff
    }
    Ok(word(rustix::fs::statfs(path)?.f_type) == BPF_FS_MAGIC)
}
