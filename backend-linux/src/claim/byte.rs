//! The byte that stands for a map, and the locks on it.

use core::ffi::{c_int, c_short};
use core::mem;

#[cfg(target_pointer_width = "64")]
use libc::flock as Flock;
// The kernel's offsets have 64 bits in 32-bit processes too, and our bytes lie beyond what 32 bits reach.
#[cfg(not(target_pointer_width = "64"))]
use libc::flock64 as Flock;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

use super::failed::Failed;

/// Where the bytes begin: `"urb"` in the upper bits, which nothing else that locks anonymous files has reason to use.
/// The map's id is the offset from here.
pub(crate) const BASE: i64 = 0x7572_6200_0000_0000;

/// The call that takes a lock, and the one that looks for it.
pub(crate) const LOCK: &str = "fcntl(F_OFD_SETLK)";
pub(crate) const LOOK: &str = "fcntl(F_OFD_GETLK)";

#[expect(clippy::cast_possible_truncation, reason = "the kernel's field is a short, and its values are small")]
mod kind {
    pub(super) const WRITE: super::c_short = libc::F_WRLCK as super::c_short;
    pub(super) const NONE: super::c_short = libc::F_UNLCK as super::c_short;
}

/// Where the byte of the map with this id lies.
pub(crate) fn offset(id: u32) -> i64 {
    BASE | i64::from(id)
}

/// Whether any description but `fd`'s own has the byte locked.
pub(crate) fn is_locked(fd: BorrowedFd<'_>, id: u32) -> Result<bool, Failed> {
    match call(fd, libc::F_OFD_GETLK, kind::WRITE, id) {
        Ok(found) => Ok(found != kind::NONE),
        Err(errno) => Err(Failed { call: LOOK, errno }),
    }
}

/// Locks the byte for `fd`'s description. EAGAIN if another has it.
pub(super) fn lock(fd: BorrowedFd<'_>, id: u32) -> Result<(), Failed> {
    call(fd, libc::F_OFD_SETLK, kind::WRITE, id).map(drop).map_err(|errno| Failed { call: LOCK, errno })
}

/// Unlocks the byte for `fd`'s description. It fails for a closed descriptor, or if the kernel has no memory left to
/// split a range of locked bytes. Then the claim ends with the process, and no caller could do anything about it.
pub(super) fn unlock(fd: BorrowedFd<'_>, id: u32) {
    let _ = call(fd, libc::F_OFD_SETLK, kind::NONE, id);
}

/// Calls `fcntl` for the byte, and returns the kind of lock that it leaves in the structure.
fn call(fd: BorrowedFd<'_>, command: c_int, kind: c_short, id: u32) -> Result<c_short, Errno> {
    // SAFETY: the structure has numbers only. `l_whence` is SEEK_SET and `l_pid` 0, as the kernel asks for these locks.
    let mut lock: Flock = unsafe { mem::zeroed() };
    lock.l_type = kind;
    lock.l_start = offset(id);
    lock.l_len = 1;
    // SAFETY: the commands read and write the one structure, which lives across the call.
    if unsafe { fcntl(fd.as_raw_fd(), command, &raw mut lock) } < 0 {
        // SAFETY: the C library's errno location is valid for the calling thread at all times.
        return Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() }));
    }
    Ok(lock.l_type)
}

#[cfg(target_pointer_width = "64")]
unsafe fn fcntl(fd: c_int, command: c_int, lock: *mut Flock) -> core::ffi::c_long {
    // SAFETY: the caller's promise is passed on.
    unsafe { libc::fcntl(fd, command, lock) }.into()
}

/// The C library's `fcntl` may take the structure with offsets of 32 bits; the system call's is the one of 64 bits.
#[cfg(not(target_pointer_width = "64"))]
unsafe fn fcntl(fd: c_int, command: c_int, lock: *mut Flock) -> core::ffi::c_long {
    // SAFETY: the caller's promise is passed on.
    unsafe { libc::syscall(libc::SYS_fcntl64, fd, command, lock) }
}
