//! A kernel that interprets BPF programs, played by a seccomp listener: it refuses a program with a callback in the words
//! of the kernel's `fixup_call_args`, and lets the real kernel have everything else.
//!
//! Where `CONFIG_BPF_JIT_ALWAYS_ON` forbids writing 0 to `net.core.bpf_jit_enable`, this is the only way to see it.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::ioctl::opcode;
use rustix::thread::set_no_new_privs;

/// `BPF_PROG_LOAD`.
const PROG_LOAD: u32 = 5;
/// What the kernel says to a callback that it would have to interpret.
const REFUSAL: &str = "callbacks are not allowed in non-JITed programs\nprocessed 74 insns (limit 1000000)\n";

/// Runs `work` on a thread of its own for which, and for whose children, BPF programs are interpreted.
///
/// # Panics
/// If `work` does, or the kernel takes no seccomp listener.
pub fn without_jit<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let over = AtomicBool::new(false);
    let (to_listener, listener) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let over = &over;
        let worker = scope.spawn(move || {
            to_listener.send(listen_to_prog_load()).expect("the listener waits");
            work()
        });
        let listener = listener.recv().expect("the worker sends one");
        let listening = scope.spawn(move || answer_until(over, &listener));
        let result = worker.join();
        // Relaxed: it only ends a loop.
        over.store(true, Ordering::Relaxed);
        listening.join().expect("the listener does not panic").expect("the listener works");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Binds this thread: its `BPF_PROG_LOAD` goes to the listener that is returned.
fn listen_to_prog_load() -> OwnedFd {
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // The lower half of the first argument, in `struct seccomp_data`.
    const COMMAND: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = u32::try_from(libc::SYS_bpf).expect("numbers of system calls are small");
    let mut filter = [
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 3, number),
        step(LOAD, 0, 0, COMMAND),
        step(JUMP_IF_EQUAL, 0, 1, PROG_LOAD),
        step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    set_no_new_privs(true).expect("no_new_privs is always allowed");
    let program = libc::sock_fprog { len: 6, filter: filter.as_mut_ptr() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // SAFETY: program and filter live across the call; without TSYNC it binds this thread only.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
    let fd = fd.unwrap_or_else(|| panic!("seccomp: {}", std::io::Error::last_os_error()));
    // SAFETY: the kernel has just made it for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn answer_until(over: &AtomicBool, listener: &OwnedFd) -> anyhow::Result<()> {
    while !over.load(Ordering::Relaxed) {
        let mut look = [PollFd::new(listener, PollFlags::IN)];
        let ready = poll(&mut look, Some(&Timespec::try_from(Duration::from_millis(20))?))?;
        if ready > 0 && look.iter().all(|look| look.revents().contains(PollFlags::IN)) {
            answer(listener)?;
        }
    }
    Ok(())
}

fn answer(listener: &OwnedFd) -> anyhow::Result<()> {
    // SAFETY: all its fields are integers; the kernel wants it zeroed.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request writes a `seccomp_notif`.
    if unsafe { libc::ioctl(listener.as_raw_fd(), opcode::read_write::<libc::seccomp_notif>(b'!', 0), &mut call) } != 0
    {
        // The caller was killed meanwhile.
        return Ok(());
    }
    let error = refuse(&call).context("a BPF_PROG_LOAD can't be read")?;
    let flags = if error == 0 { u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE)? } else { 0 };
    let mut verdict = libc::seccomp_notif_resp { id: call.id, val: 0, error: -error, flags };
    // SAFETY: the request reads a `seccomp_notif_resp`. That the caller was killed meanwhile is no failure.
    unsafe { libc::ioctl(listener.as_raw_fd(), opcode::read_write::<libc::seccomp_notif_resp>(b'!', 1), &mut verdict) };
    Ok(())
}

/// The error number for a program with a callback, whose log is written to its caller; 0 for another program.
fn refuse(call: &libc::seccomp_notif) -> anyhow::Result<i32> {
    let memory = File::options().read(true).write(true).open(format!("/proc/{}/mem", call.pid))?;
    let word = |at: u64| -> anyhow::Result<u32> {
        let mut word = [0; 4];
        memory.read_exact_at(&mut word, call.data.args[1] + at)?;
        Ok(u32::from_ne_bytes(word))
    };
    let address = |at: u64| -> anyhow::Result<u64> {
        let mut address = [0; 8];
        memory.read_exact_at(&mut address, call.data.args[1] + at)?;
        Ok(u64::from_ne_bytes(address))
    };
    let mut insns = vec![0; 8 * usize::try_from(word(4)?)?];
    memory.read_exact_at(&mut insns, address(8)?)?;
    // BPF_LD | BPF_IMM | BPF_DW with BPF_PSEUDO_FUNC as its source.
    let source = |registers: u8| if cfg!(target_endian = "little") { registers >> 4 } else { registers & 15 };
    if !insns.chunks(8).any(|insn| insn[0] == 0x18 && source(insn[1]) == 4) {
        return Ok(0);
    }
    let level = word(24)?;
    if level != 0 {
        // Levels 1 and 2 list the instructions first.
        let listing = if level & 3 == 0 { String::new() } else { "0: (bf) r6 = r1 ; R1=ctx() R6_w=ctx()\n".repeat(74) };
        let log = format!("{listing}{REFUSAL}\0");
        if log.len() > usize::try_from(word(28)?)? {
            return Ok(libc::ENOSPC);
        }
        ensure!(address(32)? != 0, "a log without a place for it");
        memory.write_all_at(log.as_bytes(), address(32)?)?;
    }
    Ok(libc::EINVAL)
}
