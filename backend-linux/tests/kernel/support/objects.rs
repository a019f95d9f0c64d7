//! BPF objects that are no user ring buffers, made by plain calls of `bpf(2)`.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::c_path;

fn bpf(command: i32, attr: &mut [u64]) -> libc::c_long {
    // SAFETY: whoever calls passes addresses that live across the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    assert!(answer >= 0, "bpf({command}): {}", std::io::Error::last_os_error());
    answer
}

/// The width of what a system call returns differs between architectures.
fn narrow(answer: impl TryInto<i32, Error: std::fmt::Debug>) -> i32 {
    answer.try_into().unwrap()
}

fn bpf_fd(command: i32, attr: &mut [u64]) -> OwnedFd {
    let raw = narrow(bpf(command, attr));
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

fn pair(low: u32, high: u32) -> u64 {
    let (low, high) = (low.to_ne_bytes(), high.to_ne_bytes());
    u64::from_ne_bytes([low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]])
}

fn address<T>(pointer: *const T) -> u64 {
    u64::try_from(pointer.expose_provenance()).unwrap()
}

/// A map of any type.
pub(crate) fn map(map_type: u32, key_size: u32, value_size: u32, max_entries: u32) -> OwnedFd {
    bpf_fd(0, &mut [pair(map_type, key_size), pair(value_size, max_entries), 0, 0])
}

/// A hash of maps like `inner`.
pub(crate) fn hash_of_maps(inner: impl AsFd) -> OwnedFd {
    const HASH_OF_MAPS: u32 = 13;
    let inner = u32::try_from(inner.as_fd().as_raw_fd()).unwrap();
    bpf_fd(0, &mut [pair(HASH_OF_MAPS, 4), pair(4, 8), pair(0, inner), 0])
}

/// An arena of a page; `None` if this kernel has none (before Linux 6.9, and on some machines).
pub(crate) fn arena() -> Option<OwnedFd> {
    const ARENA: u32 = 33;
    const MMAPABLE: u32 = 1 << 10;
    let mut attr = [pair(ARENA, 0), pair(0, 1), pair(MMAPABLE, 0), 0];
    // SAFETY: no address is passed.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, 0, attr.as_mut_ptr(), size_of_val(&attr)) };
    // SAFETY: the kernel has just made this descriptor for us.
    (answer >= 0).then(|| unsafe { OwnedFd::from_raw_fd(narrow(answer)) })
}

/// A program that answers 0, of a type and with the load flags that it needs.
pub(crate) fn program(prog_type: u32, flags: u32) -> OwnedFd {
    // r0 = 0; exit
    let instructions = [0xb7_u64, 0x95_u64];
    let license = c"GPL";
    let mut attr = [0; 16];
    attr[0] = pair(prog_type, 2);
    attr[1] = address(instructions.as_ptr());
    attr[2] = address(license.as_ptr());
    attr[5] = pair(0, flags);
    bpf_fd(5, &mut attr)
}

/// Pins any object.
pub(crate) fn pin(object: impl AsFd, path: &Path) {
    let path = c_path(path);
    let fd = u32::try_from(object.as_fd().as_raw_fd()).unwrap();
    bpf(6, &mut [address(path.as_ptr()), pair(fd, 0)]);
}
