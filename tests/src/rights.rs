//! Whether a test may run against the real kernel, and threads that may not.
//!
//! Every kernel test begins with [`may_bpf`] or [`may_admin`]. Where rights or the map type are missing it says so on
//! standard error and the test returns; with `USER_RINGBUF_REQUIRE_KERNEL=1` it fails instead, so that nothing skipped
//! counts as passed where the kernel is expected.

use std::io::Write;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use user_ringbuf_linux::{Map, MapError};

/// Whether this process may make user ring buffers and load programs (`CAP_BPF`). Prints why not.
///
/// # Panics
/// If it may not, and `USER_RINGBUF_REQUIRE_KERNEL=1`.
pub fn may_bpf() -> bool {
    allowed_or_skipped(CapabilitySet::BPF, "CAP_BPF")
}

/// Whether this process may besides mount and open maps by their ids (`CAP_SYS_ADMIN`). Prints why not.
///
/// # Panics
/// If it may not, and `USER_RINGBUF_REQUIRE_KERNEL=1`.
pub fn may_admin() -> bool {
    allowed_or_skipped(CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN")
}

fn allowed_or_skipped(needs: CapabilitySet, name: &str) -> bool {
    let Err(why) = check(needs, name) else { return true };
    let required = std::env::var_os("USER_RINGBUF_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    assert!(!required, "USER_RINGBUF_REQUIRE_KERNEL=1, but this test {why}");
    // Past the harness, which hides what a test that passes prints.
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
    false
}

fn check(needs: CapabilitySet, name: &str) -> Result<(), String> {
    // CAP_SYS_ADMIN includes CAP_BPF.
    let enough = |set: CapabilitySet| set.contains(needs) || set.contains(CapabilitySet::SYS_ADMIN);
    if !capabilities(None).is_ok_and(|sets| enough(sets.effective)) {
        return Err(format!("needs {name}, which this process lacks"));
    }
    match Map::create("", 1) {
        Ok(_) => Ok(()),
        Err(error @ MapError::NotPermitted { .. }) => Err(format!("needs CAP_BPF: {error}")),
        Err(error) => Err(format!("needs a kernel with user ring buffers: {error}")),
    }
}

/// Runs `work` on a thread of its own that has no capability.
///
/// # Panics
/// If `work` does, or the capabilities can't be dropped.
pub fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            .expect("dropping capabilities is always allowed");
        work()
    })
}

/// Runs `work` on a thread of its own in which `bpf(2)` answers `errno`, by a seccomp filter.
///
/// # Panics
/// If `work` does, or the kernel takes no seccomp filter.
pub fn without_bpf_call<T: Send>(errno: Errno, work: impl FnOnce() -> T + Send) -> T {
    without_calls(&[libc::SYS_bpf], errno, work)
}

/// `fcntl(2)` by each of its numbers: 32-bit processes have another one for locks at offsets of 64 bits.
pub const FCNTL: &[libc::c_long] = &[
    libc::SYS_fcntl,
    #[cfg(target_pointer_width = "32")]
    libc::SYS_fcntl64,
];

/// Runs `work` on a thread of its own in which these system calls answer `errno`, by a seccomp filter.
///
/// # Panics
/// If `work` does, or the kernel takes no seccomp filter.
pub fn without_calls<T: Send>(calls: &[libc::c_long], errno: Errno, work: impl FnOnce() -> T + Send) -> T {
    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K; the system call's number is word 0.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let errno = u32::try_from(errno.raw_os_error()).expect("error numbers are positive");
    let mut filter = vec![step(LOAD, 0, 0, 0)];
    for call in calls {
        let number = u32::try_from(*call).expect("numbers of system calls are small");
        filter.push(step(JUMP_IF_EQUAL, 0, 1, number));
        filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno));
    }
    filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    on_a_thread(move || {
        set_no_new_privs(true).expect("no_new_privs is always allowed");
        let len = u16::try_from(filter.len()).expect("a short filter");
        let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
        // SAFETY: program and filter live across the call; without TSYNC it binds this thread only.
        let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
        assert_eq!(answer, 0, "seccomp: {}", std::io::Error::last_os_error());
        work()
    })
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
