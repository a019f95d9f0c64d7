//! A walk over `/proc`: processes, and what it says about each of their descriptors. Without an allocator.

use core::ffi::CStr;

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read, retry_on_intr};

use super::holder::Holder;
use super::lines::{any_line, number};
use crate::fd::borrow;
use crate::map::info::write_decimal;

/// Whether a walk goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Stop,
}

/// A process's directory.
pub(super) struct Process<'p> {
    pub(super) pid: u32,
    proc: BorrowedFd<'p>,
}

/// Calls `see` with each process that `/proc` shows.
pub(super) fn for_each_process(mut see: impl FnMut(Process<'_>) -> Next) -> Result<(), Errno> {
    let proc = openat(CWD, c"/proc", DIRECTORY, Mode::empty())?;
    for_each_number(borrow(&proc), |pid| see(Process { pid, proc: borrow(&proc) }))
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = READ.union(OFlags::DIRECTORY);

impl<'p> Process<'p> {
    /// Whether `is` holds of any line that `/proc/PID/fdinfo` has about any of its descriptors. A process that has
    /// ended has none.
    pub(super) fn any_descriptor(&self, mut is: impl FnMut(&[u8]) -> bool) -> Result<bool, Errno> {
        let mut found = false;
        let looked = self.open(b"/fdinfo", DIRECTORY).and_then(|directory| {
            let mut failed = None;
            for_each_number(borrow(&directory), |fd| {
                let file = openat(borrow(&directory), path(fd, b"").as_c_str(), READ, Mode::empty());
                match file.and_then(|file| any_line(borrow(&file), &mut is)) {
                    Ok(false) => return Next::Go,
                    Ok(true) => found = true,
                    // Closed meanwhile.
                    Err(errno) if is_gone(errno) => return Next::Go,
                    Err(errno) => failed = Some(errno),
                }
                Next::Stop
            })?;
            failed.map_or(Ok(()), Err)
        });
        match looked {
            Err(errno) if !is_gone(errno) => Err(errno),
            _ => Ok(found),
        }
    }

    /// Its parent, if `/proc` shows it.
    pub(super) fn parent(&self) -> Option<Process<'p>> {
        let mut parent = None;
        let file = self.open(b"/status", READ).ok()?;
        any_line(borrow(&file), |line| {
            parent = number(line, b"PPid:");
            parent.is_some()
        })
        .ok()?;
        // 0 stands for a parent in another pid namespace, and for that of the first process.
        parent.filter(|pid| *pid != 0).map(|pid| Process { pid, proc: self.proc })
    }

    /// The process with its name.
    pub(super) fn holder(&self) -> Holder {
        let mut name = [0; 16];
        let count = self
            .open(b"/comm", READ)
            .and_then(|file| retry_on_intr(|| read(borrow(&file), &mut name)))
            .unwrap_or_default();
        Holder { pid: self.pid, name: printable(name, count) }
    }

    fn open(&self, below: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        openat(self.proc, path(self.pid, below).as_c_str(), flags, Mode::empty())
    }
}

fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::SRCH)
}

/// A number's digits, what stands below it, and a zero.
struct Path([u8; 24]);

impl Path {
    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

fn path(number: u32, below: &[u8]) -> Path {
    let mut path = Path([0; 24]);
    write_decimal(number, &mut path.0);
    let len = path.as_c_str().count_bytes();
    // 10 digits at most, and 7 bytes below.
    for (to, from) in path.0.iter_mut().skip(len).zip(below) {
        *to = *from;
    }
    path
}

/// The line in front of the newline, with `?` for each byte that is not of printable text.
fn printable(mut name: [u8; 16], count: usize) -> [u8; 16] {
    let end = name.iter().take(count).position(|byte| matches!(byte, b'\n' | 0)).unwrap_or(count);
    name.iter_mut().skip(end).for_each(|byte| *byte = 0);
    let mut at = 0;
    while at < end {
        let rest = name.get(at..end).unwrap_or_default();
        let first = (1..=4).find_map(|len| core::str::from_utf8(rest.get(..len)?).ok()?.chars().next());
        let (len, shown) = first.map_or((1, false), |char| (char.len_utf8(), !char.is_control()));
        if !shown {
            name.iter_mut().skip(at).take(len).for_each(|byte| *byte = b'?');
        }
        at += len;
    }
    name
}

/// Calls `see` with each entry of a directory whose name is a number.
fn for_each_number(directory: BorrowedFd<'_>, mut see: impl FnMut(u32) -> Next) -> Result<(), Errno> {
    /// Where `struct linux_dirent64` has its length (16 bits) and its name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    // Words, since the kernel writes aligned structures.
    let mut buffer = [0_u64; 256];
    loop {
        // SAFETY: the kernel writes at most as many bytes as the buffer has.
        let count = unsafe {
            libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), size_of_val(&buffer))
        };
        if count == 0 {
            return Ok(());
        }
        let Ok(count) = usize::try_from(count) else {
            // SAFETY: the C library's errno location is valid for the calling thread at all times.
            return Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() }));
        };
        // SAFETY: the same bytes; a byte has no alignment and any value is one.
        let bytes: &[u8] = unsafe { core::slice::from_raw_parts(buffer.as_ptr().cast(), size_of_val(&buffer)) };
        let mut rest = bytes.get(..count).unwrap_or_default();
        while let Some((entry, behind)) = rest
            .get(LENGTH..)
            .and_then(|length| length.first_chunk())
            .and_then(|length| rest.split_at_checked(usize::from(u16::from_ne_bytes(*length))))
        {
            let name = entry.get(NAME..).and_then(|name| CStr::from_bytes_until_nul(name).ok());
            let number = name.and_then(|name| name.to_str().ok()?.parse().ok());
            if number.is_some_and(|number| see(number) == Next::Stop) {
                return Ok(());
            }
            if entry.is_empty() {
                break;
            }
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn paths_are_numbers_and_what_stands_below() {
        assert_eq!(path(0, b"").as_c_str(), c"0");
        assert_eq!(path(u32::MAX, b"/fdinfo").as_c_str(), c"4294967295/fdinfo");
    }

    #[test]
    fn names_are_text_that_can_be_printed() {
        let shown = |name: &[u8]| {
            let mut buffer = [0; 16];
            buffer[..name.len()].copy_from_slice(name);
            let holder = Holder { pid: 1, name: printable(buffer, name.len()) };
            assert!(holder.name().chars().all(|char| !char.is_control()));
            std::string::String::from(holder.name())
        };
        assert_eq!(shown(b"send\n"), "send");
        assert_eq!(shown(b"a b (c)"), "a b (c)");
        assert_eq!(shown("\u{e9}t\u{e9}\n".as_bytes()), "\u{e9}t\u{e9}");
        // A colour on the terminal, a control character of two bytes, and a character that was cut.
        assert_eq!(shown(b"\x1b[31mred\n"), "?[31mred");
        assert_eq!(shown("\u{9b}1m".as_bytes()), "??1m");
        assert_eq!(shown(b"123456789012345\xc3"), "123456789012345?");
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn every_process_is_walked_over_and_our_own_descriptors_are_read() {
        let mut pids = Vec::new();
        let mut ours = None;
        for_each_process(|process| {
            pids.push(process.pid);
            if process.pid == std::process::id() {
                let lines = process.any_descriptor(|line| line.starts_with(b"flags:\t"));
                ours = Some((lines, std::string::String::from(process.holder().name())));
            }
            Next::Go
        })
        .unwrap();
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let (lines, _) = ours.as_ref().unwrap();
        assert_eq!(*lines, Ok(true));
        // The process's own name is that of its first thread.
        assert!(!ours.unwrap().1.is_empty() && !name.is_empty());
        pids.sort_unstable();
        pids.dedup();
        assert!(pids.contains(&1), "{pids:?}");
    }

    #[test]
    fn a_process_that_is_gone_has_no_descriptors() {
        let proc = openat(CWD, c"/proc", DIRECTORY, Mode::empty()).unwrap();
        // Beyond the highest pid that the kernel gives.
        let process = Process { pid: u32::MAX, proc: proc.as_fd() };
        assert_eq!(process.any_descriptor(|_| true), Ok(false));
        assert_eq!(process.holder().name(), "");
    }
}
