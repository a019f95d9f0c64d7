//! BPF objects that are no user ring buffers, made by plain calls of `bpf(2)`.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

const MAP_CREATE: i32 = 0;
const PROG_LOAD: i32 = 5;
const OBJ_PIN: i32 = 6;
const OBJ_GET: i32 = 7;

/// `BPF_F_RDONLY`.
pub const READ_ONLY: u32 = 8;
/// `BPF_F_WRONLY`.
pub const WRITE_ONLY: u32 = 16;

/// A map of any type.
///
/// # Panics
/// If the kernel refuses.
pub fn map(map_type: u32, key_size: u32, value_size: u32, max_entries: u32) -> OwnedFd {
    bpf_fd(MAP_CREATE, &mut [pair(map_type, key_size), pair(value_size, max_entries), 0, 0])
}

/// A program that answers 0, of the type and with the load flags given.
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
    bpf_fd(PROG_LOAD, &mut attr)
}

/// Pins any object at `path`.
///
/// # Panics
/// If the kernel refuses.
pub fn pin(object: impl AsFd, path: &Path) {
    let path = CString::new(path.to_str().expect("our own paths are text")).expect("and hold no zero");
    let fd = u32::try_from(object.as_fd().as_raw_fd()).expect("an open descriptor is not negative");
    bpf(OBJ_PIN, &mut [address(path.as_ptr()), pair(fd, 0)]);
}

/// Opens what is pinned at `path`, with these `file_flags`: [`READ_ONLY`], [`WRITE_ONLY`], or 0 for both.
///
/// # Panics
/// If the kernel refuses.
pub fn open(path: &Path, file_flags: u32) -> OwnedFd {
    let path = CString::new(path.to_str().expect("our own paths are text")).expect("and hold no zero");
    bpf_fd(OBJ_GET, &mut [address(path.as_ptr()), pair(0, file_flags)])
}

fn bpf_fd(command: i32, attr: &mut [u64]) -> OwnedFd {
    let raw = i32::try_from(bpf(command, attr)).expect("a descriptor");
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

fn bpf(command: i32, attr: &mut [u64]) -> libc::c_long {
    // SAFETY: the callers above pass addresses that live across the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    assert!(answer >= 0, "bpf({command}): {}", std::io::Error::last_os_error());
    answer
}

/// Two neighbouring 32-bit fields.
fn pair(first: u32, second: u32) -> u64 {
    let (first, second) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([first[0], first[1], first[2], first[3], second[0], second[1], second[2], second[3]])
}

fn address<T>(pointer: *const T) -> u64 {
    u64::try_from(pointer.expose_provenance()).expect("addresses have at most 64 bits")
}
