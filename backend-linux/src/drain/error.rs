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
    /// The log is larger than a map's value may be for the verifier.
    LogTooLarge {
        /// The size asked for, in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        max: usize,
    },
    /// A delay or a nested drain was asked of a program that was not loaded for it.
    NotTroublesome,
    /// The callback can't be that slow.
    DelayTooLong {
        /// The delay asked for.
        delay: Duration,
        /// The longest one.
        max: Duration,
    },
    /// The process lacks a right.
    NotPermitted {
        /// The call that was refused.
        error: BpfError,
        /// The capability that would do.
        needs: Capability,
    },
    /// The kernel would interpret the program, and can't interpret its callback: the BPF JIT is off or missing.
    NoJit {
        /// The value of `net.core.bpf_jit_enable`: 0 if the JIT is off; `None` if it can't be read, as in a kernel
        /// built without `CONFIG_BPF_JIT` and in a network namespace other than the initial one.
        jit_enable: Option<u32>,
    },
    /// The verifier refused the program.
    #[cfg(feature = "std")]
    #[cfg_attr(docsrs, doc(cfg(feature = "std")))]
    Rejected {
        /// The call that was refused.
        error: BpfError,
        /// The verifier's words.
        log: std::string::String,
    },
    /// Another failure of `bpf(2)`.
    Bpf(BpfError),
    /// A failure of another system call.
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
            Self::NotPermitted { error, needs } => write!(f, "{error}: it needs {needs}"),
            Self::NoJit { jit_enable } => say_why_not_compiled(*jit_enable, f),
            #[cfg(feature = "std")]
            Self::Rejected { error, log } => {
                let last = log.lines().rev().find(|line| !line.starts_with("processed"));
                write!(f, "{error}: the verifier says: {}", last.unwrap_or_default())
            }
            Self::Bpf(error) => error.fmt(f),
            Self::System { call, errno } => write!(f, "{call} failed: {errno}"),
        }
    }
}

impl core::error::Error for DrainError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotPermitted { error, .. } | Self::Bpf(error) => Some(error),
            #[cfg(feature = "std")]
            Self::Rejected { error, .. } => Some(error),
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
