//! What a model's run came to, in words: which is also how a [run in a process of its own](super::alone) tells its
//! parent.

use std::fmt;

use crate::loom::access;

/// What a run of a model came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every interleaving was in order.
    Passed {
        /// How many there were.
        interleavings: u64,
    },
    /// One was not, and the run ended there.
    Caught(Finding),
}

/// What a wrong ordering may lead to. Whatever else a model ends with, it shows nothing of the orderings.
pub const HARMS: &[&str] = &[
    "data race",
    "stale header",
    "torn sample",
    "lost sample",
    "invented sample",
    "split batch",
    "refused sample",
    "refused batch",
    "refused producer",
    "lost wake",
    "lost drain",
    "lost repair",
    "invented repair",
    "false alarm",
    "deadlock",
    "livelock",
];

/// What was wrong in an interleaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind of harm: one of the [`HARMS`].
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
    /// What a panic within a model means; `None` if it is none of the [`HARMS`], but a fault of the model itself. Models
    /// begin their messages with the kind of harm and a colon.
    pub(super) fn from_panic(message: &str) -> Option<Self> {
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
        let (how, detail) = text.split_once(": ")?;
        Self::new(how, detail)
    }

    fn new(how: &str, detail: &str) -> Option<Self> {
        HARMS.contains(&how).then(|| Self { how: how.to_owned(), detail: detail.to_owned() })
    }
}

impl Ending {
    const PASSED: &str = "passed";
    const CAUGHT: &str = "caught";

    /// The outcome that a process has printed, among other lines.
    pub(super) fn from_output(output: &str) -> Result<Self, NoEnding> {
        output.lines().find_map(Self::from_line).ok_or_else(|| NoEnding { output: output.to_owned() })
    }

    fn from_line(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once('\t')?;
        if word == Self::PASSED {
            return Some(Self::Passed { interleavings: rest.parse().ok()? });
        }
        let (how, detail) = rest.split_once('\t')?;
        if word == Self::CAUGHT { Finding::new(how, detail).map(Self::Caught) } else { None }
    }

    pub(super) fn line(&self) -> String {
        match self {
            Self::Passed { interleavings } => format!("{}\t{interleavings}", Self::PASSED),
            Self::Caught(Finding { how, detail }) => format!("{}\t{how}\t{detail}", Self::CAUGHT),
        }
    }
}

/// A process that should have run a model ended without an outcome: by other means, or by a panic that names no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEnding {
    /// What it printed.
    pub output: String,
}

impl fmt::Display for NoEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run of a model ended without an outcome; it printed {:?}", self.output)
    }
}

impl std::error::Error for NoEnding {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_back_from_among_other_lines() {
        for outcome in [
            Ending::Passed { interleavings: 17 },
            Ending::Caught(Finding { how: "torn sample".into(), detail: "sample 1 came out as ...".into() }),
        ] {
            let output = format!("running 1 test\n{}\nmore\tof that\n", outcome.line());
            assert_eq!(Ending::from_output(&output), Ok(outcome));
        }
        for nothing in
            ["", "passed", "passed\tmany", "caught\tdeadlock", "caught\tpanic\tassertion failed", "running\t3"]
        {
            assert_eq!(Ending::from_output(nothing), Err(NoEnding { output: nothing.to_owned() }));
        }
    }

    #[test]
    fn panics_are_named_after_the_harm() {
        for (message, how) in [
            ("torn sample: sample 0 came out as x", "torn sample"),
            ("deadlock; threads = [...]", "deadlock"),
            ("Model exceeded maximum number of branches. This is", "livelock"),
            ("Causality violation: Concurrent accesses.\n  created: here", "data race"),
        ] {
            assert_eq!(Finding::from_panic(message).unwrap().how, how, "{message}");
        }
    }

    #[test]
    fn what_is_no_harm_is_no_finding() {
        for message in ["assertion failed", "there is room: Full { needed: 16, available: 8 }", "torn: nearly", ""] {
            assert_eq!(Finding::from_panic(message), None, "{message}");
        }
    }
}
