//! `probe`: what this kernel has, and what this process may do.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use user_ringbuf_linux::{DrainError, Support, probe};

use crate::report::{Output, Report, Verdict};

/// Show whether this kernel has user ring buffers, and whether this process may create one.
///
/// The exit status is 0 in any case; the report has the result.
#[derive(Args, Debug)]
pub(crate) struct Probe {}

#[derive(Serialize)]
struct Found {
    kernel: String,
    page_size: usize,
    /// "yes", "no" or "unknown".
    map_type: &'static str,
    drain_helper: &'static str,
    /// Whether the kernel compiles BPF programs, which a program that drains needs; and `net.core.bpf_jit_enable`.
    jit: &'static str,
    jit_enable: Option<u32>,
    /// What to do if it does not.
    jit_obstacle: Option<String>,
    may_create: bool,
    /// Why this process may not create one.
    obstacle: Option<String>,
}

impl Probe {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let probe = probe();
        output.report(&Found {
            kernel: probe.kernel.to_string(),
            page_size: probe.page_size,
            map_type: probe.map_type.name(),
            drain_helper: probe.drain_helper.name(),
            jit: probe.jit.name(),
            jit_enable: probe.jit_enable,
            jit_obstacle: (probe.jit == Support::No)
                .then(|| DrainError::NoJit { jit_enable: probe.jit_enable }.to_string()),
            may_create: probe.create.is_ok(),
            obstacle: probe.create.err().map(|obstacle| obstacle.to_string()),
        })?;
        Ok(Verdict::Good)
    }
}

impl Report for Found {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "kernel                       {}", self.kernel)?;
        writeln!(out, "page size                    {} bytes, the smallest ring", self.page_size)?;
        writeln!(out, "BPF_MAP_TYPE_USER_RINGBUF    {}", self.map_type)?;
        writeln!(out, "bpf_user_ringbuf_drain       {}", self.drain_helper)?;
        match &self.jit_obstacle {
            None => writeln!(out, "BPF JIT                      {}", self.jit)?,
            Some(obstacle) => writeln!(out, "BPF JIT                      no: {obstacle}")?,
        }
        match &self.obstacle {
            None => writeln!(out, "may create rings             yes"),
            Some(obstacle) => {
                writeln!(out, "may create rings             no: {obstacle}")?;
                if self.map_type == Support::No.name() {
                    return Ok(());
                }
                writeln!(out, "\nA process that is handed a ring's file descriptor needs no capability to produce.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(map_type: Support) -> String {
        let found = Found {
            kernel: String::from("5.10.0"),
            page_size: 4096,
            map_type: map_type.name(),
            drain_helper: map_type.name(),
            jit: Support::Yes.name(),
            jit_enable: Some(1),
            jit_obstacle: None,
            may_create: false,
            obstacle: Some(String::from("why")),
        };
        let mut out = Vec::new();
        found.words(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_needs_no_capability_is_told_only_where_the_kernel_has_rings() {
        assert!(words(Support::Yes).contains("needs no capability"));
        assert!(words(Support::Unknown).contains("needs no capability"));
        assert!(words(Support::No).ends_with("may create rings             no: why\n"), "{}", words(Support::No));
    }
}
