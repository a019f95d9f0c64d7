//! What a run prints: reports on standard output, in words or as JSON; errors and notes on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::event::Timespec;
use serde::Serialize;

/// Standard output is a pipe that its reader has closed: nothing more is wanted of this run.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct OutputClosed;

/// Writes to standard output.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        done => done.context("cannot write to standard output"),
    }
}

/// Whether to colour what is printed: only on a terminal, and not if `NO_COLOR` is set.
pub(crate) fn wants_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Goes to the top left of the terminal and clears it.
pub(crate) const REDRAW: &[u8] = b"\x1b[H\x1b[2J";

/// What a run has to report: serialised with `--json`, else in words.
pub(crate) trait Report: Serialize {
    /// Writes the report in words.
    fn words(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// How a run went that was not cut short by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// What is wrong, in words for standard error. The report, which was printed, has the numbers.
    Bad(String),
    /// What is wrong, the report says.
    Reported,
}

/// Where reports and errors go.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

#[derive(Serialize)]
struct Failure {
    error: String,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the run reports in JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the run's report.
    pub(crate) fn report(&self, report: &impl Report) -> anyhow::Result<()> {
        // In one write, so that whoever reads along sees whole reports.
        let mut text = Vec::new();
        if self.json {
            serde_json::to_writer(&mut text, report)?;
            text.push(b'\n');
        } else {
            report.words(&mut text)?;
        }
        print(&text)
    }

    /// Says something beside the report, on standard error.
    pub(crate) fn note(&self, text: impl Display) {
        // If standard error is closed, there is nowhere left to say so.
        let _ = writeln!(io::stderr(), "user-ringbuf: {text}");
    }

    /// The exit status, after the error was printed if there is one.
    pub(crate) fn finish(&self, outcome: anyhow::Result<Verdict>) -> ExitCode {
        match outcome {
            Ok(Verdict::Good) => ExitCode::SUCCESS,
            Ok(Verdict::Reported) => ExitCode::FAILURE,
            Ok(Verdict::Bad(why)) => {
                self.note(why);
                ExitCode::FAILURE
            }
            Err(error) if error.is::<OutputClosed>() => ExitCode::SUCCESS,
            Err(error) => {
                // With its causes, each of which is told once: see the errors of `user-ringbuf-linux`.
                let error = format!("{error:#}");
                self.note(&error);
                if self.json {
                    // A run that failed prints an object, too.
                    let failure = serde_json::to_string(&Failure { error }).unwrap_or_default();
                    let _ = writeln!(io::stdout(), "{failure}");
                }
                ExitCode::FAILURE
            }
        }
    }

    /// A progress bar over `total` samples, or a spinner for `None`. Shown on a terminal only, and not with JSON.
    pub(crate) fn progress(&self, total: Option<u64>) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = match total {
            Some(_) => "{bar:40} {human_pos}/{human_len} samples, {per_sec}",
            None => "{spinner} {human_pos} samples, {per_sec}",
        };
        // The templates are constants that indicatif accepts; if not, its default will do.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// How many per second; 0 if no time has passed.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { approximate(count) / seconds } else { 0.0 }
}

/// A count for people, exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "53 bits are enough for a rate or a share")]
fn approximate(count: u64) -> f64 {
    count as f64
}

/// A duration as `poll` takes it.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() }
}

/// `1 sample`, `2 samples`.
pub(crate) fn plural(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}
