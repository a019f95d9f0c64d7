//! The whole way to the BPF callback, and waiting.

use anyhow::Result;

use super::figures::{figure, head, line, size};
use crate::cases::waiting::{PERIODS, SPINS};
use crate::cases::whole_way::RINGS;
use crate::report::{Row, Table, Unit};

/// How the rows name the consumer's two ways, and how the page does.
const MODES: [(&str, &str); 2] = [("waking", "waking"), ("no_wakeup", "`NO_WAKEUP`")];

/// Million samples per second, and nanoseconds in the drains.
pub(super) fn through(table: &Table) -> Result<String> {
    let mut text = head("| drains | ring | one by one | batches of 32 | batches of 1,024 | libbpf |");
    for (mode, name) in MODES {
        for (ring, bytes) in RINGS {
            let shown = |batch: u64, figure: fn(&Row) -> f64| {
                let row = |what| table.find(&format!("whole_way/{mode}/{ring}/{batch}{what}"));
                anyhow::Ok(format!("{:.0} ({:.0})", 1e3 / figure(row("")?), figure(row("/drain")?)))
            };
            // A batch has to fit.
            let [one, few, many] = [1, 32, 1024].map(|batch| shown(batch, |row| row.ours).unwrap_or_default());
            text += &line(&[&name, &size(bytes), &one, &few, &many, &shown(1, |row| row.theirs)?]);
        }
    }
    Ok(text)
}

/// Medians, and 99th percentiles, of one sample that is drained at once.
pub(super) fn one_sample(table: &Table) -> Result<String> {
    let mut text = head("| drains | until | user-ringbuf | libbpf |");
    for (mode, name) in MODES {
        for (end, until) in [("callback", "the callback"), ("return", "the drain has returned")] {
            let row = |what| table.find(&format!("whole_way/{mode}/one_sample/{end}/{what}"));
            let (p50, p99) = (row("p50")?, row("p99")?);
            let shown = |p50, p99| format!("{} ({})", time(p50), time(p99));
            text += &line(&[&name, &until, &shown(p50.ours, p99.ours), &shown(p50.theirs, p99.theirs)]);
        }
    }
    Ok(text)
}

/// From the drain to the wake-up.
pub(super) fn wake(table: &Table) -> Result<String> {
    let mut text = head("| ring | drains | user-ringbuf: p50 | p99 | CPU | libbpf: p50 | p99 | CPU |");
    for (ring, shown) in [("full", "full"), ("partly", "partly full")] {
        for (mode, name) in MODES {
            let [ours, theirs] = waits(table, &format!("waiting/wake/{ring}/{mode}"))?;
            text += &line(&[&shown, &name, &ours, &theirs]);
        }
    }
    Ok(text)
}

/// What a spin before the sleep brings and costs.
pub(super) fn spin(table: &Table) -> Result<String> {
    let mut text = head("| drains | spin | p50 | p99 | CPU |");
    for (mode, name) in MODES {
        for (nth, micros) in SPINS.into_iter().filter(|micros| *micros > 0).enumerate() {
            let [spun, asleep] = waits(table, &format!("waiting/spin/{micros}us/{mode}"))?;
            if nth == 0 {
                text += &line(&[&name, &"none", &asleep]);
            }
            text += &line(&[&name, &format!("{micros} µs"), &spun]);
        }
    }
    Ok(text)
}

/// The delay behind a steady consumer that wakes nobody, as a share of its period.
pub(super) fn pace(table: &Table) -> Result<String> {
    let mut text = head("| period | delay | its floor | CPU | its floor | goal |");
    for micros in PERIODS {
        let row = |what| table.find(&format!("waiting/pace/{micros}us/{what}"));
        let (p50, cpu) = (row("p50")?, row("cpu_per_second")?);
        #[expect(clippy::cast_precision_loss, reason = "at most a second")]
        let period = micros as f64 * 1e3;
        let goal = match (p50.met(), cpu.met()) {
            (Some(true), Some(true)) => "met",
            (Some(true), _) => "delay only",
            (_, Some(true)) => "CPU only",
            _ => "missed",
        };
        let share = |delay: f64| format!("{:.2}", delay / period);
        let (ours, theirs) = (share(p50.ours), share(p50.theirs));
        text += &line(&[&time(period), &ours, &theirs, &percent(cpu.ours), &percent(cpu.theirs), &goal]);
    }
    Ok(text)
}

/// Three cells of ours, and three of the peer's: the median delay, the 99th percentile, and CPU time.
fn waits(table: &Table, case: &str) -> Result<[String; 2]> {
    let row = |what| table.find(&format!("{case}/{what}"));
    let (p50, p99, cpu) = (row("p50")?, row("p99")?, row("cpu_per_second")?);
    let cells = |of: fn(&Row) -> f64| format!("{} | {} | {}", time(of(p50)), time(of(p99)), percent(of(cpu)));
    Ok([cells(|row| row.ours), cells(|row| row.theirs)])
}

fn time(nanoseconds: f64) -> String {
    figure(nanoseconds, Unit::Nanoseconds)
}

/// CPU time per second, in nanoseconds.
fn percent(cpu: f64) -> String {
    format!("{:.2} %", cpu / 1e7)
}
