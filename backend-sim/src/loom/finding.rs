//! What a model's run came to, in words: which is also how a run in a process of its own tells its parent.

use std::fmt;
use std::panic;
use std::process;

use super::access;
use super::models::{Depth, Model};
use crate::Orderings;

/// What a run of a model came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every interleaving was in order.
    Passed {
        /// How many there were.
        interleavings: u64,
    },
    /// One was not, and the run ended there.
    Caught(Finding),
}

/// What was wrong in an interleaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind of harm: data race, stale header, torn, lost or invented sample, deadlock and so on.
    pub how: String,
    /// What was seen, in a sentence.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.how, self.detail)
    }
}

impl Finding {
    /// What a panic within a model means. Models begin their messages with the kind of harm and a colon.
    fn from_panic(message: &str) -> Self {
        let first_line = message.lines().next().unwrap_or_default();
        let text = if message.starts_with("Causality violation") {
            access::under_way().map_or_else(|| format!("data race: {first_line}"), |access| access.race().to_owned())
        } else if message.starts_with("deadlock") {
            "deadlock: every thread waits".to_owned()
        } else if message.starts_with("Model exceeded maximum number of branches") {
            "livelock: threads go round in circles".to_owned()
        } else {
            first_line.to_owned()
        };
        let (how, detail) = text.split_once(": ").unwrap_or(("panic", &text));
        Self { how: how.to_owned(), detail: detail.to_owned() }
    }
}

impl Outcome {
    const PASSED: &str = "passed";
    const CAUGHT: &str = "caught";

    /// The outcome that a run in a process of its own has printed: [`run_and_exit`] there. Lines of others are skipped.
    ///
    /// # Errors
    /// [`NoOutcome`] if none of the lines tells one: the process ended by other means.
    pub fn from_output(output: &str) -> Result<Self, NoOutcome> {
        output.lines().find_map(Self::from_line).ok_or_else(|| NoOutcome { output: output.to_owned() })
    }

    fn from_line(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once('\t')?;
        if word == Self::PASSED {
            return Some(Self::Passed { interleavings: rest.parse().ok()? });
        }
        let (how, detail) = rest.split_once('\t')?;
        (word == Self::CAUGHT).then(|| Self::Caught(Finding { how: how.to_owned(), detail: detail.to_owned() }))
    }

    fn line(&self) -> String {
        match self {
            Self::Passed { interleavings } => format!("{}\t{interleavings}", Self::PASSED),
            Self::Caught(Finding { how, detail }) => format!("{}\t{how}\t{detail}", Self::CAUGHT),
        }
    }
}

/// A process that should have run a model ended without saying what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoOutcome {
    /// What it printed.
    pub output: String,
}

impl fmt::Display for NoOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run of a model ended without an outcome; it printed {:?}", self.output)
    }
}

impl std::error::Error for NoOutcome {}

/// Runs a model, prints the [`Outcome`] as one line that [`Outcome::from_output`] reads, and ends the process: with
/// status 0 in either case.
///
/// Loom ends a model by panicking in the middle of it, and what it leaves behind can't be used again nor always be
/// cleaned up; the end of the process is the one clean end.
pub fn run_and_exit(model: &Model, orderings: Orderings, depth: Depth) -> ! {
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("panic: without a message");
        finish(&Outcome::Caught(Finding::from_panic(message)));
    }));
    finish(&Outcome::Passed { interleavings: model.check(orderings, depth) })
}

fn finish(outcome: &Outcome) -> ! {
    // In a line of its own: a test harness may have begun one.
    println!("\n{}", outcome.line());
    process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_back_from_among_other_lines() {
        for outcome in [
            Outcome::Passed { interleavings: 17 },
            Outcome::Caught(Finding { how: "torn sample".into(), detail: "sample 1 came out as ...".into() }),
        ] {
            let output = format!("running 1 test\n{}\nmore\tof that\n", outcome.line());
            assert_eq!(Outcome::from_output(&output), Ok(outcome));
        }
        for nothing in ["", "passed", "passed\tmany", "caught\tonly how", "running\t3"] {
            assert_eq!(Outcome::from_output(nothing), Err(NoOutcome { output: nothing.to_owned() }));
        }
    }

    #[test]
    fn panics_are_named_after_the_harm() {
        for (message, how) in [
            ("torn sample: sample 0 came out as x", "torn sample"),
            ("deadlock; threads = [...]", "deadlock"),
            ("Model exceeded maximum number of branches. This is", "livelock"),
            ("Causality violation: Concurrent accesses.\n  created: here", "data race"),
            ("assertion failed", "panic"),
        ] {
            assert_eq!(Finding::from_panic(message).how, how, "{message}");
        }
    }
}
