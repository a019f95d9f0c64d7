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
const HARMS: &[&str] = &[
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
    /// The kind of harm: one of a few names, such as `torn sample`.
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
        Self::read(&text)
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    fn read(text: &str) -> Option<Self> {
        let (how, detail) = text.split_once(": ")?;
        HARMS.contains(&how).then(|| Self { how: how.to_owned(), detail: detail.to_owned() })
    }
}

impl Ending {
    /// In a line, which [`from_line`](Self::from_line) reads.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Passed { interleavings } => format!("passed: {interleavings}"),
            Self::Caught(finding) => format!("caught: {finding}"),
        }
    }

    pub(super) fn from_line(line: &str) -> Option<Self> {
        match line.split_once(": ")? {
            ("passed", interleavings) => Some(Self::Passed { interleavings: interleavings.parse().ok()? }),
            ("caught", finding) => Finding::read(finding).map(Self::Caught),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_named_after_the_harm_and_what_is_no_harm_is_no_finding() {
        for (message, how) in [
            ("torn sample: sample 0 came out as x", Some("torn sample")),
            ("deadlock; threads = [...]", Some("deadlock")),
            ("Model exceeded maximum number of branches. This is", Some("livelock")),
            ("Causality violation: Concurrent accesses.\n  created: here", Some("data race")),
            ("assertion failed", None),
            ("there is room: Full { needed: 16, available: 8 }", None),
            ("torn: nearly", None),
            ("", None),
        ] {
            let finding = Finding::from_panic(message);
            assert_eq!(finding.as_ref().map(|finding| finding.how.as_str()), how, "{message}");
        }
    }
}
