//! What can go wrong with a drain program.

use core::fmt;
use core::time::Duration;

use rustix::io::Errno;

use crate::bpf::{BpfCommand, BpfError};
use crate::map::Capability;
use crate::sysctl::say_why_not_compiled;

/// Why a drain program could not be loaded or run.
///
/// What the kernel answers to a drain itself is not here, but in [`Drained::returned`](super::Drained::returned).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrainError {
    /// The log is larger than a map's value may be for the verifier: ask for less, and drain fewer samples at a time
    /// ([`DrainOptions::stop_after`](super::DrainOptions::stop_after)).
    LogTooLarge {
        /// The size asked for, in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        max: usize,
    },
    /// A delay or a nested drain was asked of a program that was not loaded for it: load it by
    /// [`load_troublesome`](super::DrainProgram::load_troublesome).
    NotTroublesome,
    /// The callback can't be that slow: ask for a shorter delay.
    DelayTooLong {
        /// The delay asked for.
        delay: Duration,
        /// The longest one.
        max: Duration,
    },
    /// The process lacks a right: give it the capability. [`probe`](crate::probe()) says what stands in the way.
    NotPermitted {
        /// The call that was refused.
        error: BpfError,
        /// The capability that would do.
        needs: Capability,
    },
    /// The kernel would interpret the program, and can't interpret its callback: the BPF JIT is off or missing. Switch
    /// it on with `sysctl -w net.core.bpf_jit_enable=1`. Producing works without it.
    NoJit {
        /// The value of `net.core.bpf_jit_enable`: 0 if the JIT is off; `None` if it can't be read, as in a kernel
        /// built without `CONFIG_BPF_JIT` and in a network namespace other than the initial one.
        jit_enable: Option<u32>,
    },
    /// The verifier refused the program. It is written for Linux 6.1 and later: on such a kernel this is worth a bug
    /// report, with the log.
    #[cfg(feature = "std")]
    Rejected {
        /// The call that was refused.
        error: BpfError,
        /// The verifier's words.
        log: std::string::String,
    },
    /// Another failure of `bpf(2)`: see bpf(2) for what the kernel means by it.
    Bpf(BpfError),
    /// A failure of another system call. `ENOMEM` says that address space is short: a smaller log may do.
    System {
        /// The call.
        call: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogTooLarge { bytes, max } => {
                write!(f, "a log of {bytes} bytes, the limit is {max}")
            }
            Self::NotTroublesome => f.write_str("a delay or a nested drain needs a program loaded by load_troublesome"),
            Self::DelayTooLong { delay, max } => {
                write!(f, "a delay of {delay:?}, the limit is {max:?}")
            }
            Self::NotPermitted { needs, .. } => write!(f, "not permitted: it needs {needs}"),
            Self::NoJit { jit_enable } => say_why_not_compiled(*jit_enable, f),
            #[cfg(feature = "std")]
            Self::Rejected { log, .. } => {
                let last = log.lines().rev().find(|line| !line.starts_with("processed"));
                write!(f, "the verifier refused the program: {}", last.unwrap_or_default())
            }
            Self::Bpf(error) => error.fmt(f),
            Self::System { call, errno } => write!(f, "{call} failed: {errno}"),
        }
    }
}

impl core::error::Error for DrainError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotPermitted { error, .. } => Some(error),
            #[cfg(feature = "std")]
            Self::Rejected { error, .. } => Some(error),
            Self::Bpf(error) => error.source(),
            _ => None,
        }
    }
}

impl From<BpfError> for DrainError {
    fn from(error: BpfError) -> Self {
        let for_rights = matches!(error.command, BpfCommand::MapCreate | BpfCommand::BtfLoad | BpfCommand::ProgLoad);
        if for_rights && error.errno == Errno::PERM {
            return Self::NotPermitted { error, needs: Capability::Bpf };
        }
        Self::Bpf(error)
    }
}

#[cfg(test)]
mod tests {
    use core::error::Error;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_cause_is_a_source_and_told_once() {
        let refused = BpfError { command: BpfCommand::ProgLoad, errno: Errno::PERM };
        let not_permitted = DrainError::from(refused);
        assert!(matches!(not_permitted, DrainError::NotPermitted { .. }));
        let log = "0: (85) call unknown#209\nprocessed 1 insns\n".to_string();
        for error in [not_permitted, DrainError::Rejected { error: refused, log }] {
            assert_eq!(error.source().and_then(|cause| cause.downcast_ref()), Some(&refused));
            assert!(!error.to_string().contains(&refused.to_string()), "{error}");
        }
        // It is the other error, and adds nothing.
        assert_eq!(DrainError::Bpf(refused).to_string(), refused.to_string());
        assert!(DrainError::Bpf(refused).source().is_none());
    }
}
