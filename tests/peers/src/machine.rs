//! What the figures were measured on, as the machine itself says.

use std::fmt;
use std::fs;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Serialize;

/// One machine, one kernel, one compiler, one day.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's name, with the numbers that tell apart what virtual machines call by one name.
    processor: String,
    cores: usize,
    /// Sizes of the caches that hold data, the smallest first.
    caches: Vec<String>,
    kernel: String,
    compiler: &'static str,
    libbpf: String,
    /// In UTC.
    date: String,
}

impl Machine {
    pub(crate) fn this() -> Result<Self> {
        let now = humantime::format_rfc3339(SystemTime::now()).to_string();
        let system = rustix::system::uname();
        let (date, _) = now.split_once('T').context("a date, and a time")?;
        Ok(Self {
            processor: processor(&fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?),
            cores: crate::affinity::cores()?.len(),
            caches: caches(),
            kernel: format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy()),
            compiler: env!("RUSTC_VERSION"),
            libbpf: libbpf(),
            date: date.to_owned(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, kernel, compiler, libbpf, date, .. } = self;
        let caches = self.caches.join(", ");
        write!(f, "{processor}, {cores} cores, caches {caches}; {kernel}; {compiler}; libbpf {libbpf}; {date}")
    }
}

/// The processor's name, family and model, as far as the text has them.
fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let of = |line: &str| {
            line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        };
        cpuinfo.lines().find_map(of)
    };
    let mut text = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    if let (Some(family), Some(model)) = (field("cpu family"), field("model")) {
        text.push_str(&format!(" (family {family}, model {model})"));
    }
    text
}

fn libbpf() -> String {
    // SAFETY: functions without a state.
    let (major, minor) = unsafe { (libbpf_sys::libbpf_major_version(), libbpf_sys::libbpf_minor_version()) };
    format!("{major}.{minor}")
}

fn caches() -> Vec<String> {
    let of = |index: usize, what: &str| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}")).ok()?;
        Some(text.trim().to_owned())
    };
    (0..8)
        .filter(|index| of(*index, "type").is_some_and(|kind| kind != "Instruction"))
        .filter_map(|index| of(index, "size"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_one_name_are_told_apart() {
        let text = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor(text), "AMD EPYC (family 25, model 1)");
        assert_eq!(processor(""), std::env::consts::ARCH);
    }
}
