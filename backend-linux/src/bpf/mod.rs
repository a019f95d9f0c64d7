//! The one funnel for `bpf(2)`.
//!
//! Purpose: every call of the system call is made here, so that one place knows its calling convention and every
//! failure names its command. Invariant: an attribute structure is a zeroed prefix of the kernel's `union bpf_attr`
//! without padding, so that the kernel never sees a stray byte (it rejects non-zero bytes that it does not know).
//! Kernel counterpart: `__sys_bpf` in `kernel/bpf/syscall.c`.

pub(crate) mod attr;

use core::ffi::{CStr, c_int, c_long};
use core::fmt;

use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;

use attr::Attr;

/// `BPF_PROG_TYPE_SYSCALL`.
pub(crate) const PROG_TYPE_SYSCALL: u32 = 31;
/// `BPF_F_SLEEPABLE`: programs of this type must be.
pub(crate) const SLEEPABLE: u32 = 1 << 4;
/// The licence of our programs: none of their helpers asks for a GPL-compatible one.
pub(crate) const LICENSE: &CStr = c"MIT OR Apache-2.0";

/// A command of `bpf(2)`.
///
/// It stands in [`BpfError`], so that an error says which of the kernel's commands was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BpfCommand {
    /// `BPF_MAP_CREATE`: make a map.
    MapCreate,
    /// `BPF_MAP_LOOKUP_ELEM`: look up a map's element; used also to tell a map from any other object.
    MapLookupElem,
    /// `BPF_MAP_UPDATE_ELEM`: set a map's element.
    MapUpdateElem,
    /// `BPF_MAP_DELETE_ELEM`: remove a map's element.
    MapDeleteElem,
    /// `BPF_MAP_GET_NEXT_KEY`: used to tell a map from any other object.
    MapGetNextKey,
    /// `BPF_PROG_LOAD`: have a program verified and loaded.
    ProgLoad,
    /// `BPF_OBJ_PIN`: give an object a path on a bpffs.
    ObjPin,
    /// `BPF_OBJ_GET`: open a pinned object.
    ObjGet,
    /// `BPF_PROG_TEST_RUN`: run a program now.
    ProgTestRun,
    /// `BPF_MAP_GET_NEXT_ID`: go through the ids of all maps.
    MapGetNextId,
    /// `BPF_MAP_GET_FD_BY_ID`: open a map by its id.
    MapGetFdById,
    /// `BPF_OBJ_GET_INFO_BY_FD`: what the kernel knows about an object.
    ObjGetInfoByFd,
    /// `BPF_BTF_LOAD`: load type information.
    BtfLoad,
    /// `BPF_MAP_FREEZE`: forbid writing a map from user space.
    MapFreeze,
}

impl BpfCommand {
    /// The number in `enum bpf_cmd`.
    const fn number(self) -> c_int {
        match self {
            Self::MapCreate => 0,
            Self::MapLookupElem => 1,
            Self::MapUpdateElem => 2,
            Self::MapDeleteElem => 3,
            Self::MapGetNextKey => 4,
            Self::ProgLoad => 5,
            Self::ObjPin => 6,
            Self::ObjGet => 7,
            Self::ProgTestRun => 10,
            Self::MapGetNextId => 12,
            Self::MapGetFdById => 14,
            Self::ObjGetInfoByFd => 15,
            Self::BtfLoad => 18,
            Self::MapFreeze => 22,
        }
    }

    /// The kernel's name for the command, such as `"BPF_MAP_CREATE"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MapCreate => "BPF_MAP_CREATE",
            Self::MapLookupElem => "BPF_MAP_LOOKUP_ELEM",
            Self::MapUpdateElem => "BPF_MAP_UPDATE_ELEM",
            Self::MapDeleteElem => "BPF_MAP_DELETE_ELEM",
            Self::MapGetNextKey => "BPF_MAP_GET_NEXT_KEY",
            Self::ProgLoad => "BPF_PROG_LOAD",
            Self::ObjPin => "BPF_OBJ_PIN",
            Self::ObjGet => "BPF_OBJ_GET",
            Self::ProgTestRun => "BPF_PROG_TEST_RUN",
            Self::MapGetNextId => "BPF_MAP_GET_NEXT_ID",
            Self::MapGetFdById => "BPF_MAP_GET_FD_BY_ID",
            Self::ObjGetInfoByFd => "BPF_OBJ_GET_INFO_BY_FD",
            Self::BtfLoad => "BPF_BTF_LOAD",
            Self::MapFreeze => "BPF_MAP_FREEZE",
        }
    }
}

impl fmt::Display for BpfCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `bpf(2)` failed: the command and the kernel's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BpfError {
    /// The command that failed.
    pub command: BpfCommand,
    /// What the kernel answered.
    pub errno: Errno,
}

impl BpfError {
    /// Whether something forbade the call itself: missing capabilities, a seccomp filter, a security module, or a
    /// kernel built without `bpf(2)`.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self.errno, Errno::PERM | Errno::ACCESS | Errno::NOSYS)
    }
}

impl fmt::Display for BpfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.command, self.errno)
    }
}

impl core::error::Error for BpfError {}

/// Calls `bpf(2)` and returns its non-negative answer.
///
/// # Safety
///
/// Each address in `attr` is zero or points to memory of the length that the command reads or writes there, valid
/// for the call.
pub(crate) unsafe fn bpf<A: Attr>(command: BpfCommand, attr: &mut A) -> Result<c_long, BpfError> {
    let attr: *mut A = attr;
    // SAFETY: `Attr` promises a prefix of `union bpf_attr` of this size; the caller vouches for the addresses in it.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command.number(), attr, size_of::<A>()) };
    if answer < 0 {
        // SAFETY: the C library's errno location is valid for the calling thread at all times.
        let errno = unsafe { *libc::__errno_location() };
        return Err(BpfError { command, errno: Errno::from_raw_os_error(errno) });
    }
    Ok(answer)
}

/// Calls a command of `bpf(2)` that answers with a new file descriptor.
///
/// # Safety
///
/// As for [`bpf`], and `command` is one that makes a file descriptor.
pub(crate) unsafe fn bpf_fd<A: Attr>(command: BpfCommand, attr: &mut A) -> Result<OwnedFd, BpfError> {
    // SAFETY: handed on to the caller.
    let answer = unsafe { bpf(command, attr) }?;
    let raw = c_int::try_from(answer).map_err(|_| BpfError { command, errno: Errno::BADF })?;
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// An address as `bpf(2)` takes it: 64 bits also in a 32-bit process.
pub(crate) fn address<T: ?Sized>(pointer: *const T) -> u64 {
    // No `usize` of Linux is wider than 64 bits.
    u64::try_from(pointer.cast::<()>().expose_provenance()).unwrap_or(0)
}

/// A length as `bpf(2)` takes it. Too long a length becomes `u32::MAX`, which every command refuses.
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_error_names_its_command() {
        let mut attr = attr::GetId { id: u32::MAX, ..Default::default() };
        // SAFETY: the command takes no address.
        let error = unsafe { bpf(BpfCommand::MapGetFdById, &mut attr) }.unwrap_err();
        assert_eq!(error.command, BpfCommand::MapGetFdById);
        assert!(matches!(error.errno, Errno::NOENT | Errno::PERM | Errno::ACCESS));
        assert!(error.to_string().starts_with("BPF_MAP_GET_FD_BY_ID failed: "), "{error}");
    }
}
