//! The whole way to the BPF callback, and waiting.

use std::fmt::Write as _;

use anyhow::Result;

use super::figures::{figure, find, size};
use crate::cases::waiting::{PERIODS, SPINS};
use crate::cases::whole_way::RINGS;
use crate::report::{Row, Table, Unit};

/// How the rows name the consumer's two ways, and how the page does.
const MODES: [(&str, &str); 2] = [("waking", "waking"), ("no_wakeup", "`NO_WAKEUP`")];

/// Million samples per second, and nanoseconds in the drains.
pub(super) fn through(table: &Table) -> Result<String> {
    let mut text = String::from(
        "| drains | ring | one by one | batches of 32 | batches of 1,024 | libbpf |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let shown = |each: f64, drain: f64| format!("{:.0} ({drain:.0})", 1e3 / each);
    for (mode, name) in MODES {
        for (ring, bytes) in RINGS {
            write!(text, "| {name} | {} |", size(bytes))?;
            for batch in [1, 32, 1024] {
                // A batch has to fit.
                let [each, drain] =
                    ["", "/drain"].map(|what| find(table, &format!("whole_way/{mode}/{ring}/{batch}{what}")));
                write!(text, " {} |", each.and_then(|each| Ok(shown(each.ours, drain?.ours))).unwrap_or_default())?;
            }
            let libbpf = |what| find(table, &format!("whole_way/{mode}/{ring}/1{what}"));
            writeln!(text, " {} |", shown(libbpf("")?.theirs, libbpf("/drain")?.theirs))?;
        }
    }
    Ok(text)
}

/// Medians, and 99th percentiles, of one sample that is drained at once.
pub(super) fn one_sample(table: &Table) -> Result<String> {
    let mut text = String::from("| drains | until | user-ringbuf | libbpf |\n| --- | --- | --- | --- |\n");
    for (mode, name) in MODES {
        for (end, until) in [("callback", "the callback"), ("return", "the drain has returned")] {
            let row = |what| find(table, &format!("whole_way/{mode}/one_sample/{end}/{what}"));
            let (p50, p99) = (row("p50")?, row("p99")?);
            let shown = |p50, p99| format!("{} ({})", time(p50), time(p99));
            writeln!(text, "| {name} | {until} | {} | {} |", shown(p50.ours, p99.ours), shown(p50.theirs, p99.theirs))?;
        }
    }
    Ok(text)
}

/// From the drain to the wake-up.
pub(super) fn wake(table: &Table) -> Result<String> {
    let mut text = String::from(
        "| ring | drains | user-ringbuf: p50 | p99 | CPU | libbpf: p50 | p99 | CPU |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (ring, shown) in [("full", "full"), ("partly", "partly full")] {
        for (mode, name) in MODES {
            let [p50, p99, cpu] = waits(table, &format!("waiting/wake/{ring}/{mode}"))?;
            write!(text, "| {shown} | {name} | {} | {} | {} |", time(p50.ours), time(p99.ours), percent(cpu.ours))?;
            writeln!(text, " {} | {} | {} |", time(p50.theirs), time(p99.theirs), percent(cpu.theirs))?;
        }
    }
    Ok(text)
}

/// What a spin before the sleep brings and costs.
pub(super) fn spin(table: &Table) -> Result<String> {
    let mut text = String::from("| drains | spin | p50 | p99 | CPU |\n| --- | --- | --- | --- | --- |\n");
    for (mode, name) in MODES {
        for (nth, micros) in SPINS.into_iter().filter(|micros| *micros > 0).enumerate() {
            let [p50, p99, cpu] = waits(table, &format!("waiting/spin/{micros}us/{mode}"))?;
            if nth == 0 {
                let (p50, p99, cpu) = (time(p50.theirs), time(p99.theirs), percent(cpu.theirs));
                writeln!(text, "| {name} | none | {p50} | {p99} | {cpu} |")?;
            }
            let (p50, p99, cpu) = (time(p50.ours), time(p99.ours), percent(cpu.ours));
            writeln!(text, "| {name} | {micros} µs | {p50} | {p99} | {cpu} |")?;
        }
    }
    Ok(text)
}

/// The delay behind a steady consumer that wakes nobody, as a share of its period.
pub(super) fn pace(table: &Table) -> Result<String> {
    let mut text = String::from(
        "| period | delay | its floor | CPU | its floor | goal |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for micros in PERIODS {
        let [p50, _, cpu] = waits(table, &format!("waiting/pace/{micros}us"))?;
        #[expect(clippy::cast_precision_loss, reason = "at most a second")]
        let period = micros as f64 * 1e3;
        let goal = match (p50.met(), cpu.met()) {
            (Some(true), Some(true)) => "met",
            (Some(true), _) => "delay only",
            (_, Some(true)) => "CPU only",
            _ => "missed",
        };
        write!(text, "| {} | {:.2} | {:.2} |", time(period), p50.ours / period, p50.theirs / period)?;
        writeln!(text, " {} | {} | {goal} |", percent(cpu.ours), percent(cpu.theirs))?;
    }
    Ok(text)
}

fn waits<'t>(table: &'t Table, case: &str) -> Result<[&'t Row; 3]> {
    let row = |what| find(table, &format!("{case}/{what}"));
    Ok([row("p50")?, row("p99")?, row("cpu_per_second")?])
}

fn time(nanoseconds: f64) -> String {
    figure(nanoseconds, Unit::Nanoseconds)
}

/// CPU time per second, in nanoseconds.
fn percent(cpu: f64) -> String {
    format!("{:.2} %", cpu / 1e7)
}
