//! Does this kernel have user ring buffers, and may this process make one?
//!
//! Everything is tried out. The result tells apart three cases: the kernel lacks something, this process may not use
//! it, or it can't be determined. Where rights forbid trying, the kernel's own type information is read: it lists what
//! the kernel was built with, and any process may read it.
//!
//! Kernel counterparts: `map_create` and `bpf_prog_load` in `kernel/bpf/syscall.c`, `check_helper_call` in
//! `kernel/bpf/verifier.c`.

mod btf;
mod process;

use core::fmt;

use rustix::io::Errno;

use crate::bpf::attr::ProgLoad;
use crate::bpf::{BpfCommand, BpfError, LICENSE, PROG_TYPE_SYSCALL, SLEEPABLE, address, bpf_fd, length};
use crate::drain::{DrainError, try_load};
use crate::fd::borrow;
use crate::map::{Capability, create_fd, rounded_size};
use crate::sysctl;
use btf::KernelBtf;

/// Whether the kernel has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Support {
    /// The kernel has it.
    Yes,
    /// The kernel does not have it.
    No,
    /// It could not be tried, and the kernel does not publish what it supports.
    Unknown,
}

impl Support {
    /// `"yes"`, `"no"` or `"unknown"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    const fn from_evidence(evidence: Option<bool>) -> Self {
        match evidence {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why this process can't make a user ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The kernel does not know the map type: it is older than 6.1. Use a newer one.
    NoMapType,
    /// The kernel was built without `bpf(2)` (`CONFIG_BPF_SYSCALL`). Use another one.
    NoBpf,
    /// The process lacks a capability that this system requires. Give it the capability, or pass it the descriptor of a
    /// ring, for which it needs none.
    MissingCapability {
        /// The capability.
        capability: Capability,
        /// The value of `kernel.unprivileged_bpf_disabled`, if it can be read: 0 would let everybody make maps, 1
        /// is fixed until the next boot, 2 can be changed.
        unprivileged_bpf_disabled: Option<u32>,
    },
    /// The process has the capability, but only in a user namespace of its own (as in a rootless container), and
    /// `bpf(2)` asks for it in the initial one. Have a process of the host make the ring and hand its descriptor in.
    UserNamespace,
    /// The process has the rights, and a seccomp filter is in force, which probably forbids `bpf(2)` (as in a
    /// container's default profile). Allow the call there, or hand the process the descriptor of a ring: it can do
    /// without `bpf(2)`.
    Seccomp,
    /// The process has the rights and no seccomp filter, so it is a security module (such as SELinux or lockdown)
    /// that forbids it. See its log, and allow the process to make maps.
    SecurityModule,
    /// Another failure, such as no memory or no descriptor left: see bpf(2) for what the kernel means by it.
    Other(BpfError),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoMapType => f.write_str("the kernel does not know the map type: it came with Linux 6.1"),
            Self::NoBpf => f.write_str("the kernel was built without bpf(2)"),
            Self::MissingCapability { capability, unprivileged_bpf_disabled } => {
                write!(f, "the process lacks {capability}")?;
                match unprivileged_bpf_disabled {
                    Some(value) => write!(f, ", and kernel.unprivileged_bpf_disabled is {value}"),
                    None => Ok(()),
                }
            }
            Self::UserNamespace => f.write_str(
                "the process has its capabilities only in a user namespace, bpf(2) asks for the initial one",
            ),
            Self::Seccomp => f.write_str("a seccomp filter is in force, which probably forbids bpf(2)"),
            Self::SecurityModule => f.write_str("a security module forbids it"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Obstacle {}

/// The kernel's release, such as `6.1.0-13-amd64`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KernelRelease {
    bytes: [u8; 64],
}

impl KernelRelease {
    fn read() -> Self {
        let name = rustix::system::uname();
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(name.release().to_bytes()) {
            *to = *from;
        }
        Self { bytes }
    }

    /// The release as text; empty if it is not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What [`probe`] found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The running kernel.
    pub kernel: KernelRelease,
    /// The page size in bytes, which is the size of the smallest ring and the unit of all ring sizes.
    pub page_size: usize,
    /// Whether the kernel has `BPF_MAP_TYPE_USER_RINGBUF`.
    pub map_type: Support,
    /// Whether the kernel lets a program call `bpf_user_ringbuf_drain` (helper 209).
    pub drain_helper: Support,
    /// Whether the kernel compiles BPF programs. A program that drains can't be loaded otherwise; producing works all
    /// the same.
    pub jit: Support,
    /// The value of `net.core.bpf_jit_enable`: 0 if the JIT is off; `None` if it can't be read, as in a kernel built
    /// without `CONFIG_BPF_JIT` and in a network namespace other than the initial one.
    pub jit_enable: Option<u32>,
    /// Whether this process may make a user ring buffer, and if not, why.
    pub create: Result<(), Obstacle>,
}

/// Finds out whether this kernel has user ring buffers, and whether this process may make one.
///
/// It makes the smallest possible ring, has the verifier check a program of two instructions, and loads the drain
/// program. Nothing of these stays. A process that only *receives* a ring's descriptor may use it even if `create` is
/// an error.
///
/// It asks the kernel's `map_create`, and `check_helper_call` of its verifier.
///
/// # Minimum kernel version
/// None.
#[must_use]
pub fn probe() -> Probe {
    let mut btf = KernelBtf::unread();
    let attempt = match rounded_size(1) {
        Ok(page) => create_fd([0; 16], page),
        Err(_) => Err(BpfError { command: BpfCommand::MapCreate, errno: Errno::INVAL }),
    };
    let jit_enable = sysctl::bpf_jit_enable();
    let jit = match attempt.as_ref().map(|ring| try_load(borrow(ring))) {
        Ok(Ok(())) => Support::Yes,
        Ok(Err(DrainError::NoJit { .. })) => Support::No,
        // It could not be tried.
        _ => Support::from_evidence(jit_enable.map(|value| value != 0)),
    };
    let create = attempt.map(drop).map_err(obstacle);
    let map_type = match create {
        Ok(()) => Support::Yes,
        Err(Obstacle::NoMapType | Obstacle::NoBpf) => Support::No,
        Err(_) => Support::from_evidence(btf.has_map_type()),
    };
    let drain_helper = match create {
        Err(Obstacle::NoBpf) => Support::No,
        _ => try_helper().unwrap_or_else(|| Support::from_evidence(btf.has_drain_helper())),
    };
    Probe {
        kernel: KernelRelease::read(),
        page_size: rustix::param::page_size(),
        map_type,
        drain_helper,
        jit,
        jit_enable,
        create,
    }
}

/// What the failure to make the smallest ring means.
fn obstacle(error: BpfError) -> Obstacle {
    match error.errno {
        Errno::INVAL => Obstacle::NoMapType,
        Errno::NOSYS if !process::has_seccomp_filter() => Obstacle::NoBpf,
        Errno::NOSYS => Obstacle::Seccomp,
        Errno::PERM | Errno::ACCESS => {
            let unprivileged_bpf_disabled = process::unprivileged_bpf_disabled();
            if !process::has_bpf_capability() && unprivileged_bpf_disabled != Some(0) {
                Obstacle::MissingCapability { capability: Capability::Bpf, unprivileged_bpf_disabled }
            } else if !process::in_initial_user_namespace() {
                Obstacle::UserNamespace
            } else if process::has_seccomp_filter() {
                Obstacle::Seccomp
            } else {
                Obstacle::SecurityModule
            }
        }
        _ => Obstacle::Other(error),
    }
}

/// Has the verifier look at a call of the drain helper with wrong arguments: it complains either of the helper or of
/// the arguments. `None` if it may not be asked.
fn try_helper() -> Option<Support> {
    // call 209; exit
    const INSNS: [u64; 2] =
        if cfg!(target_endian = "little") { [0xd1_0000_0085, 0x95] } else { [0x8500_0000_0000_00d1, 0x95 << 56] };
    let mut log = [0_u8; 2048];
    let mut attr = ProgLoad {
        prog_type: PROG_TYPE_SYSCALL,
        insn_cnt: length(INSNS.len()),
        insns: address(INSNS.as_ptr()),
        license: address(LICENSE.as_ptr()),
        prog_flags: SLEEPABLE,
        log_level: 1,
        log_size: length(log.len()),
        log_buf: address(log.as_mut_ptr()),
        ..Default::default()
    };
    // SAFETY: instructions, licence and log live across the call, with the lengths given; a descriptor comes back.
    let result = unsafe { bpf_fd(BpfCommand::ProgLoad, &mut attr) };
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    match result {
        Ok(_) => Some(Support::Yes),
        Err(_) if text.is_empty() => None,
        Err(_) => {
            let says = |words: &str| text.windows(words.len()).any(|window| window == words.as_bytes());
            let unknown = ["invalid func", "unknown func", "cannot use helper"].into_iter().any(says);
            Some(if unknown { Support::No } else { Support::Yes })
        }
    }
}
