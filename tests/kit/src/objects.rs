//! BPF objects of other kinds than user ring buffers, made by plain calls of `bpf(2)`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MAP_CREATE: i32 = 0;
const PROG_LOAD: i32 = 5;
const OBJ_PIN: i32 = 6;
const OBJ_GET: i32 = 7;
const OBJ_GET_INFO_BY_FD: i32 = 15;

/// `BPF_MAP_TYPE_USER_RINGBUF`.
pub(crate) const USER_RINGBUF: u32 = 31;
/// `BPF_F_RDONLY`.
pub const READ_ONLY: u32 = 8;
/// `BPF_F_WRONLY`.
pub const WRITE_ONLY: u32 = 16;

/// A map of any type.
///
/// # Panics
/// If the kernel refuses.
pub fn map(map_type: u32, key_size: u32, value_size: u32, max_entries: u32) -> OwnedFd {
    try_map(map_type, key_size, value_size, max_entries, 0).unwrap_or_else(|error| panic!("{error}"))
}

/// An arena of one page; `None` if this kernel has none (before Linux 6.9, and on some machines).
pub fn arena() -> Option<OwnedFd> {
    const ARENA: u32 = 33;
    const MMAPABLE: u32 = 1 << 10;
    try_map(ARENA, 0, 0, 1, MMAPABLE).ok()
}

pub(crate) fn try_map(
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    bpf_fd(MAP_CREATE, &mut [pair(map_type, key_size), pair(value_size, max_entries), pair(flags, 0), 0])
}

/// A map's `max_entries`, as the kernel has it.
pub(crate) fn max_entries(map: impl AsFd) -> io::Result<u32> {
    // type, id, key_size, value_size, max_entries, map_flags
    let mut info = [0_u32; 6];
    let len = u32::try_from(size_of_val(&info)).expect("a few words");
    bpf(OBJ_GET_INFO_BY_FD, &mut [pair(raw_fd(&map), len), address(info.as_mut_ptr())])?;
    Ok(info[4])
}

/// A hash of maps like `inner`.
///
/// # Panics
/// If the kernel refuses.
pub fn hash_of_maps(inner: impl AsFd) -> OwnedFd {
    const HASH_OF_MAPS: u32 = 13;
    bpf_fd(MAP_CREATE, &mut [pair(HASH_OF_MAPS, 4), pair(4, 8), pair(0, raw_fd(&inner)), 0])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A program that returns 0, of this type and loaded with these flags.
///
/// # Panics
/// If the kernel refuses.
pub fn program(prog_type: u32, flags: u32) -> OwnedFd {
    // r0 = 0; exit
    let instructions = [0xb7_u64, 0x95];
    let license = c"GPL";
    let mut attr = [0; 16];
    attr[0] = pair(prog_type, 2);
    attr[1] = address(instructions.as_ptr());
    attr[2] = address(license.as_ptr());
    attr[5] = pair(0, flags);
    bpf_fd(PROG_LOAD, &mut attr).unwrap_or_else(|error| panic!("{error}"))
}

/// Pins any object at `path`.
///
/// # Panics
/// If the kernel refuses.
pub fn pin(object: impl AsFd, path: &Path) {
    let path = c_path(path);
    let pinned = bpf(OBJ_PIN, &mut [address(path.as_ptr()), pair(raw_fd(&object), 0)]);
    pinned.unwrap_or_else(|error| panic!("{error}"));
}

/// Opens what is pinned at `path`, with these `file_flags`: [`READ_ONLY`], [`WRITE_ONLY`], or 0 for both.
///
/// # Panics
/// If the kernel refuses.
pub fn open(path: &Path, file_flags: u32) -> OwnedFd {
    let path = c_path(path);
    let opened = bpf_fd(OBJ_GET, &mut [address(path.as_ptr()), pair(0, file_flags)]);
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// A path as a C string.
///
/// # Panics
/// If there is a zero in it.
pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without a zero")
}

fn bpf_fd(command: i32, attr: &mut [u64]) -> io::Result<OwnedFd> {
    let fd = i32::try_from(bpf(command, attr)?).expect("a descriptor");
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf(command: i32, attr: &mut [u64]) -> io::Result<libc::c_long> {
    // SAFETY: every caller in this file passes addresses that live across the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if answer >= 0 {
        return Ok(answer);
    }
    let error = io::Error::last_os_error();
    Err(io::Error::new(error.kind(), format!("bpf({command}): {error}")))
}

fn raw_fd(object: &impl AsFd) -> u32 {
    object.as_fd().as_raw_fd().unsigned_abs()
}

/// Two adjacent 32-bit fields.
fn pair(first: u32, second: u32) -> u64 {
    let (first, second) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([first[0], first[1], first[2], first[3], second[0], second[1], second[2], second[3]])
}

fn address<T>(pointer: *const T) -> u64 {
    u64::try_from(pointer.expose_provenance()).expect("addresses have at most 64 bits")
}
