//! Loading the drain program: its type information, its instructions, and the verifier's word if it refuses.

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::DrainError;
use super::btf;
use super::program::{FuncInfo, Program};
use crate::bpf::attr::{BtfLoad, ProgLoad};
use crate::bpf::{BpfCommand, BpfError, LICENSE, PROG_TYPE_SYSCALL, SLEEPABLE, address, bpf_fd, length};
use crate::fd::borrow;
use crate::map::info::number;
use crate::sysctl;

/// The verifier gives up with EAGAIN when a signal is pending.
const ATTEMPTS: u32 = 5;

/// Loads `program`.
pub(super) fn load(program: &Program) -> Result<OwnedFd, DrainError> {
    let btf = btf::write();
    let mut attr = BtfLoad { btf: address(btf.as_ptr()), btf_size: btf.len(), ..Default::default() };
    // SAFETY: `btf` is readable for `btf_size` bytes, and the command makes a descriptor.
    let btf = unsafe { bpf_fd(BpfCommand::BtfLoad, &mut attr) }?;

    let insns = program.asm.finish();
    let functions = program.functions();
    let mut attr = ProgLoad {
        prog_type: PROG_TYPE_SYSCALL,
        insn_cnt: length(insns.len()),
        insns: address(insns.as_ptr()),
        license: address(LICENSE.as_ptr()),
        prog_flags: SLEEPABLE,
        prog_name: *b"urb_drain\0\0\0\0\0\0\0",
        prog_btf_fd: number(borrow(&btf)),
        func_info_rec_size: length(size_of::<FuncInfo>()),
        func_info: address(functions.as_ptr()),
        func_info_cnt: length(functions.len()),
        ..Default::default()
    };
    let mut error = BpfError { command: BpfCommand::ProgLoad, errno: Errno::AGAIN };
    for _ in 0..ATTEMPTS {
        // SAFETY: instructions, licence and function table live across the call, with the lengths given, and the
        // command makes a descriptor.
        match unsafe { bpf_fd(BpfCommand::ProgLoad, &mut attr) } {
            Ok(fd) => return Ok(fd),
            Err(failure) => error = failure,
        }
        if error.errno != Errno::AGAIN {
            break;
        }
    }
    if is_interpreted(error, &attr) {
        return Err(DrainError::NoJit { jit_enable: sysctl::bpf_jit_enable() });
    }
    Err(refused(error, &mut attr))
}

/// Whether the program was refused because it would not be compiled: the interpreter calls no callbacks.
///
/// Loads once more, for a log of the verifier's complaints alone. That the addresses in `attr` still live is the
/// caller's promise. Kernel counterpart: `fixup_call_args` in `kernel/bpf/verifier.c`.
fn is_interpreted(error: BpfError, attr: &ProgLoad) -> bool {
    /// `BPF_LOG_STATS`: errors and figures, but no listing, so that a small log holds it all.
    const COMPLAINTS: u32 = 4;
    if error.is_forbidden() {
        return false;
    }
    let mut log = [0_u8; 1024];
    let mut attr =
        ProgLoad { log_level: COMPLAINTS, log_size: length(log.len()), log_buf: address(log.as_mut_ptr()), ..*attr };
    // SAFETY: as in `load`, which calls this while all of it lives; `log` is writable for `log_size` bytes.
    let again = unsafe { bpf_fd(BpfCommand::ProgLoad, &mut attr) };
    again.is_err() && says_interpreted(&log)
}

fn says_interpreted(log: &[u8]) -> bool {
    const WORDS: &[u8] = b"callbacks are not allowed in non-JITed programs";
    log.windows(WORDS.len()).any(|window| window == WORDS)
}

#[cfg(not(feature = "std"))]
fn refused(error: BpfError, _: &mut ProgLoad) -> DrainError {
    DrainError::from(error)
}

/// Loads once more, for the verifier's log. That the addresses in `attr` still live is the caller's promise.
#[cfg(feature = "std")]
fn refused(error: BpfError, attr: &mut ProgLoad) -> DrainError {
    if error.is_forbidden() && error.errno != Errno::ACCESS {
        return DrainError::from(error);
    }
    // ACCESS is also what the verifier says to most bad programs.
    let mut log = std::vec![0_u8; 1 << 20];
    attr.log_level = 1;
    attr.log_size = length(log.len());
    attr.log_buf = address(log.as_mut_ptr());
    // SAFETY: as in `load`, which calls this while all of it lives; `log` is writable for `log_size` bytes.
    if unsafe { bpf_fd(BpfCommand::ProgLoad, attr) }.is_ok() {
        // It is accepted now, so that there is nothing to say.
        return DrainError::from(error);
    }
    let len = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    log.truncate(len);
    if log.is_empty() {
        return DrainError::from(error);
    }
    DrainError::Rejected { error, log: std::string::String::from_utf8_lossy(&log).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_known_by_its_complaint() {
        // As Linux 6.1 on ppc64el says it with net.core.bpf_jit_enable = 0.
        let mut log = [0; 1024];
        let words = b"callbacks are not allowed in non-JITed programs\nverification time 93 usec\nstack depth 16+0\n";
        log[..words.len()].copy_from_slice(words);
        assert!(says_interpreted(&log));
        assert!(!says_interpreted(b"invalid func unknown#209\n"));
        assert!(!says_interpreted(b""));
    }
}
