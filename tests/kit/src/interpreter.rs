//! A kernel without a BPF JIT, played by a seccomp listener: it refuses a program with a callback in the words of the
//! kernel's `fixup_call_args`, and passes everything else on to the real kernel.
//!
//! Where `CONFIG_BPF_JIT_ALWAYS_ON` forbids writing 0 to `net.core.bpf_jit_enable`, there is no other way to test this.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::ioctl::{Updater, ioctl, opcode};

use crate::seccomp::listen_to_bpf;

/// `BPF_PROG_LOAD`.
const PROG_LOAD: u32 = 5;
/// The verifier's log for a callback that would have to be interpreted.
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
            to_listener.send(listen_to_bpf(PROG_LOAD)).expect("the listener waits");
            work()
        });
        let listener = listener.recv().expect("the worker sends one");
        let listening = scope.spawn(move || answer_until(over, &listener));
        let result = worker.join();
        // Relaxed: it only ends a loop.
        over.store(true, Ordering::Relaxed);
        listening.join().expect("the listener does not panic");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn answer_until(over: &AtomicBool, listener: &OwnedFd) {
    const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !over.load(Ordering::Relaxed) {
        let mut look = [PollFd::new(listener, PollFlags::IN)];
        let ready = poll(&mut look, Some(&PAUSE)).expect("a listener can be polled");
        if ready > 0 && look[0].revents().contains(PollFlags::IN) {
            answer(listener);
        }
    }
}

fn answer(listener: &OwnedFd) {
    type Receive<'a> = Updater<'a, { opcode::read_write::<libc::seccomp_notif>(b'!', 0) }, libc::seccomp_notif>;
    type Send<'a> = Updater<'a, { opcode::read_write::<libc::seccomp_notif_resp>(b'!', 1) }, libc::seccomp_notif_resp>;
    // SAFETY: all its fields are integers; the kernel requires zeros.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request writes a `seccomp_notif`.
    if unsafe { ioctl(listener, Receive::new(&mut call)) }.is_err() {
        // The caller was killed meanwhile.
        return;
    }
    let error = refuse(&call).expect("a BPF_PROG_LOAD can be read");
    let flags = if error == 0 { u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("bit 0") } else { 0 };
    let mut verdict = libc::seccomp_notif_resp { id: call.id, val: 0, error: -error, flags };
    // SAFETY: the request reads a `seccomp_notif_resp`. It fails if the caller was killed meanwhile, which is fine.
    let _ = unsafe { ioctl(listener, Send::new(&mut verdict)) };
}

/// The error number for a program with a callback, whose log is written to its caller; 0 for another program.
fn refuse(call: &libc::seccomp_notif) -> io::Result<i32> {
    let memory = File::options().read(true).write(true).open(format!("/proc/{}/mem", call.pid))?;
    let word = |at: u64| -> io::Result<u32> {
        let mut word = [0; 4];
        memory.read_exact_at(&mut word, call.data.args[1] + at)?;
        Ok(u32::from_ne_bytes(word))
    };
    let address = |at: u64| -> io::Result<u64> {
        let mut address = [0; 8];
        memory.read_exact_at(&mut address, call.data.args[1] + at)?;
        Ok(u64::from_ne_bytes(address))
    };
    let size = |size: u32| usize::try_from(size).expect("a size in memory");
    let mut insns = vec![0; 8 * size(word(4)?)];
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
        if log.len() > size(word(28)?) {
            return Ok(libc::ENOSPC);
        }
        // A null address for the log fails here, and the test with it.
        memory.write_all_at(log.as_bytes(), address(32)?)?;
    }
    Ok(libc::EINVAL)
}
