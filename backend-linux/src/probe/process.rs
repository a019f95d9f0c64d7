//! What stands between this process and `bpf(2)`.
//!
//! These questions are asked only after the kernel has refused, to say why; the refusal itself is not guessed.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::fd::borrow;

/// Whether the calling thread has `CAP_BPF`, or `CAP_SYS_ADMIN`, which includes it, in its own user namespace.
pub(super) fn has_bpf_capability() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.intersects(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN))
}

/// `kernel.unprivileged_bpf_disabled`.
pub(super) fn unprivileged_bpf_disabled() -> Option<u32> {
    crate::sysctl::read(c"/proc/sys/kernel/unprivileged_bpf_disabled")
}

/// Whether the process lives in the initial user namespace; yes if it can't be found out.
pub(super) fn in_initial_user_namespace() -> bool {
    /// `PROC_USER_INIT_INO`.
    const INITIAL: u64 = 0xefff_fffd;
    is_or_unknown(rustix::fs::stat(c"/proc/self/ns/user").map(|stat| stat.st_ino), INITIAL)
}

/// Whether an inode has this number; yes if it could not be looked at.
fn is_or_unknown(inode: Result<u64, Errno>, number: u64) -> bool {
    inode.map_or(true, |inode| inode == number)
}

/// Whether a seccomp filter binds the calling thread.
///
/// Read from `/proc`: asking by `prctl` could be what the filter kills for.
pub(super) fn has_seccomp_filter() -> bool {
    open(c"/proc/thread-self/status").is_ok_and(|file| has_line(b"Seccomp:\t2", |buffer| read_some(&file, buffer)))
}

/// Whether `line` stands among the lines that `read` brings, until it brings none or fails.
///
/// The groups of a process stand before the line that is looked for, up to 65,536 of them.
fn has_line(line: &[u8], mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> bool {
    let mut buffer = [0; 512];
    // How much of `line` the current one begins with, and is; `None` once it differs.
    let mut same = Some(0);
    loop {
        let count = match read(&mut buffer) {
            Ok(count) if count > 0 => count,
            _ => return same == Some(line.len()),
        };
        for byte in buffer.iter().take(count) {
            same = match (byte, same) {
                (b'\n', Some(whole)) if whole == line.len() => return true,
                (b'\n', _) => Some(0),
                (byte, Some(at)) if line.get(at) == Some(byte) => at.checked_add(1),
                _ => None,
            };
        }
    }
}

fn open(path: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn read_some(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::io::read(borrow(file), &mut *buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_namespace_that_can_not_be_looked_at_counts_as_the_initial_one() {
        assert!(is_or_unknown(Ok(7), 7));
        assert!(!is_or_unknown(Ok(8), 7));
        assert!(is_or_unknown(Err(Errno::NOENT), 7));
    }

    fn has(line: &[u8], mut text: &[u8], step: usize) -> bool {
        has_line(line, |buffer| {
            let (now, rest) = text.split_at(text.len().min(step).min(buffer.len()));
            text = rest;
            buffer[..now.len()].copy_from_slice(now);
            Ok(now.len())
        })
    }

    #[test]
    fn a_line_is_found_however_far_it_stands_and_wherever_a_read_ends() {
        let mut text = b"Groups:\t".to_vec();
        text.extend((0..10_000).flat_map(|group| std::format!("{group} ").into_bytes()).collect::<Vec<u8>>());
        text.extend(b"\nSeccomp:\t2\nSeccomp_filters:\t1\n");
        for step in [1, 3, 11, 4096] {
            assert!(has(b"Seccomp:\t2", &text, step));
            assert!(has(b"Seccomp:\t2", b"Seccomp:\t2", step));
            for other in [&b"Seccomp:\t0\n"[..], b"Seccomp:\t21\n", b"xSeccomp:\t2\n", b"Seccomp:", b"", b"\n"] {
                assert!(!has(b"Seccomp:\t2", other, step));
            }
        }
    }
}
