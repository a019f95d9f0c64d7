//! Numbers that the kernel publishes under `/proc/sys`.

use core::ffi::CStr;
use core::fmt;

use rustix::fs::{Mode, OFlags};

use crate::fd::borrow;

/// The number in this file; `None` if it can't be read, or holds something else.
pub(crate) fn read(path: &CStr) -> Option<u32> {
    let mut buffer = [0; 16];
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let count = rustix::io::retry_on_intr(|| rustix::io::read(borrow(&file), &mut buffer)).ok()?;
    parse(buffer.get(..count)?)
}

fn parse(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// `net.core.bpf_jit_enable`: 0 if BPF programs are interpreted, 1 or 2 if they are compiled.
///
/// The initial network namespace alone has it, and only where the kernel was built with `CONFIG_BPF_JIT`.
pub(crate) fn bpf_jit_enable() -> Option<u32> {
    read(c"/proc/sys/net/core/bpf_jit_enable")
}

/// Says why the kernel compiles no BPF programs, and what to do.
pub(crate) fn say_why_not_compiled(jit_enable: Option<u32>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("a program that drains needs the kernel's BPF JIT, ")?;
    match jit_enable {
        Some(0) => f.write_str(
            "which is off (net.core.bpf_jit_enable is 0): switch it on with `sysctl -w net.core.bpf_jit_enable=1`",
        ),
        Some(value) => write!(
            f,
            "which did not compile it although net.core.bpf_jit_enable is {value}: either it can't on this processor, or \
             net.core.bpf_jit_limit is reached"
        ),
        None => f.write_str(
            "which this kernel was built without (CONFIG_BPF_JIT), or which is off (net.core.bpf_jit_enable can't be \
             read here): if the host has that setting, switch it on there with `sysctl -w net.core.bpf_jit_enable=1`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn only_a_number_is_one() {
        for (text, number) in [(&b"0\n"[..], Some(0)), (b"2\n", Some(2)), (b"4294967295", Some(u32::MAX))] {
            assert_eq!(parse(text), number);
        }
        for text in [&b""[..], b"\n", b"on\n", b"-1\n", b"4294967296\n", b"\xff"] {
            assert_eq!(parse(text), None);
        }
        assert_eq!(read(c"/proc/sys/net/core/no_such_thing"), None);
    }

    #[test]
    fn every_reason_names_what_to_set() {
        struct Why(Option<u32>);
        impl fmt::Display for Why {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                say_why_not_compiled(self.0, f)
            }
        }
        assert!(Why(Some(0)).to_string().contains("sysctl -w net.core.bpf_jit_enable=1"));
        assert!(Why(Some(2)).to_string().contains("net.core.bpf_jit_enable is 2"));
        assert!(Why(None).to_string().contains("CONFIG_BPF_JIT"));
        assert!(Why(None).to_string().contains("sysctl -w net.core.bpf_jit_enable=1"));
    }
}
