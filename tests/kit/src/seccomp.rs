//! Threads from which system calls are taken away.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::thread::set_no_new_privs;

use crate::rights::on_a_thread;

/// Runs `work` on a thread of its own in which `bpf(2)` fails with `errno`.
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

/// Runs `work` on a thread of its own in which these system calls fail with `errno`.
///
/// # Panics
/// If `work` does, or the kernel takes no seccomp filter.
pub fn without_calls<T: Send>(calls: &[libc::c_long], errno: Errno, work: impl FnOnce() -> T + Send) -> T {
    let errno = u32::try_from(errno.raw_os_error()).expect("error numbers are positive");
    let mut filter = vec![load(CALL)];
    for call in calls {
        filter.push(unless_equal(number(*call), 1));
        filter.push(done(libc::SECCOMP_RET_ERRNO | errno));
    }
    filter.push(done(libc::SECCOMP_RET_ALLOW));
    on_a_thread(move || {
        bind(&mut filter, 0);
        work()
    })
}

/// Binds this thread: its `bpf(2)` with this command goes to the listener that is returned.
pub(crate) fn listen_to_bpf(command: u32) -> OwnedFd {
    let mut filter = [
        load(CALL),
        unless_equal(number(libc::SYS_bpf), 3),
        load(FIRST_ARGUMENT),
        unless_equal(command, 1),
        done(libc::SECCOMP_RET_USER_NOTIF),
        done(libc::SECCOMP_RET_ALLOW),
    ];
    let fd = bind(&mut filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the kernel has just made it for us.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")) }
}

/// Where `struct seccomp_data` has the system call's number.
const CALL: u32 = 0;
/// Where it has the lower half of the first argument.
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

/// `BPF_LD | BPF_W | BPF_ABS`
fn load(offset: u32) -> libc::sock_filter {
    libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: offset }
}

/// `BPF_JMP | BPF_JEQ | BPF_K`: skips the next `skip` steps unless the loaded word is `value`.
fn unless_equal(value: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code: 0x15, jt: 0, jf: skip, k: value }
}

/// `BPF_RET | BPF_K`
fn done(action: u32) -> libc::sock_filter {
    libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: action }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("numbers of system calls are small")
}

/// Installs a filter for this thread alone, and returns what the kernel does: 0, or a listener.
fn bind(filter: &mut [libc::sock_filter], flags: libc::c_ulong) -> libc::c_long {
    set_no_new_privs(true).expect("no_new_privs is always allowed");
    let len = u16::try_from(filter.len()).expect("a short filter");
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: program and filter live across the call; without TSYNC it binds this thread only.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    assert!(answer >= 0, "seccomp: {}", std::io::Error::last_os_error());
    answer
}
