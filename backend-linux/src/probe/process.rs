//! What stands between this process and `bpf(2)`.
//!
//! These questions are asked only after the kernel has refused, to say why; the refusal itself is not guessed.

use core::ffi::CStr;

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
    let mut buffer = [0; 16];
    let text = read(c"/proc/sys/kernel/unprivileged_bpf_disabled", &mut buffer).ok()?;
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Whether the process lives in the initial user namespace; yes if it can't be found out.
pub(super) fn in_initial_user_namespace() -> bool {
    /// `PROC_USER_INIT_INO`.
    const INITIAL: u64 = 0xefff_fffd;
    rustix::fs::stat(c"/proc/self/ns/user").is_ok_and(|stat| stat.st_ino == INITIAL)
}

/// Whether a seccomp filter binds the calling thread.
///
/// Read from `/proc`: asking by `prctl` could be what the filter kills for.
pub(super) fn has_seccomp_filter() -> bool {
    let mut buffer = [0; 4096];
    read(c"/proc/thread-self/status", &mut buffer).is_ok_and(|text| {
        text.split(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"Seccomp:"))
            .any(|mode| mode.trim_ascii() == b"2")
    })
}

/// Reads the beginning of a file.
fn read<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let count = rustix::io::retry_on_intr(|| rustix::io::read(borrow(&file), &mut *buffer))?;
    Ok(buffer.get(..count).unwrap_or_default())
}
