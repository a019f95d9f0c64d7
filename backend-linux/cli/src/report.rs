//! What a run says: one report on standard output, in words or as one JSON object; errors on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// What a run has to report: serialised with `--json`, else in words.
pub(crate) trait Report: Serialize {
    /// Writes the report in words.
    fn words(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// How a run that came to its end went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// What is wrong, in words for standard error. The report, which was printed, has the numbers.
    Bad(String),
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

    /// Prints the run's report.
    pub(crate) fn report(&self, report: &impl Report) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, report)?;
            writeln!(out)?;
        } else {
            report.words(&mut out)?;
        }
        out.flush()?;
        Ok(())
    }

    /// Says something beside the report, on standard error.
    pub(crate) fn note(&self, text: impl Display) {
        // Nobody is left to tell that standard error is closed.
        let _ = writeln!(io::stderr(), "user-ringbuf: {text}");
    }

    /// The exit status, after the error was printed if there is one.
    pub(crate) fn finish(&self, outcome: anyhow::Result<Verdict>) -> ExitCode {
        match outcome {
            Ok(Verdict::Good) => ExitCode::SUCCESS,
            Ok(Verdict::Bad(why)) => {
                self.note(why);
                ExitCode::FAILURE
            }
            Err(error) => {
                // With its causes, each of which stands in one place only: see the errors of `user-ringbuf-linux`.
                let error = format!("{error:#}");
                self.note(&error);
                if self.json {
                    // One object a run, also of one that failed.
                    let failure = serde_json::to_string(&Failure { error }).unwrap_or_default();
                    let _ = writeln!(io::stdout(), "{failure}");
                }
                ExitCode::FAILURE
            }
        }
    }

    /// A progress bar over `total` samples, or without end for `None`. Shown on a terminal only, and not beside JSON.
    pub(crate) fn progress(&self, total: Option<u64>) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = match total {
            Some(_) => "{bar:40} {human_pos}/{human_len} samples, {per_sec}",
            None => "{spinner} {human_pos} samples, {per_sec}",
        };
        // The templates are constants that indicatif understands; its default is as good.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// How many a second; 0 if there was no time.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { approximate(count) / seconds } else { 0.0 }
}

/// A count for people, exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a rate or a share needs no more than 53 bits")]
fn approximate(count: u64) -> f64 {
    count as f64
}

/// `1 sample`, `2 samples`.
pub(crate) fn plural(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}
