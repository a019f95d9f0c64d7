//! The state of a ring in one word, and whether the ring is stuck.

use std::time::Duration;

use user_ringbuf_linux::{Survey, Verdict};

use super::STALE;
use crate::producer::Claim;

/// The verdict as users read it. A ring that the kernel could drain is not called flowing when nothing drains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Empty,
    Flowing,
    /// The kernel can take everything, but there is no room for one more record of the average size.
    Full,
    /// The kernel can take everything, and has taken nothing for a while.
    Undrained,
    Held,
    Jammed,
    Misplaced,
}

impl State {
    /// The state that `survey` shows. If the ring is being watched, it has been unchanged for `since`.
    pub(crate) fn of(survey: &Survey, since: Option<Duration>) -> Self {
        match survey.verdict {
            Verdict::Empty => Self::Empty,
            Verdict::Held { .. } => Self::Held,
            Verdict::Jammed { .. } => Self::Jammed,
            Verdict::Flowing if since.is_some_and(|since| since >= STALE) => Self::Undrained,
            Verdict::Flowing if is_full(survey) => Self::Full,
            Verdict::Flowing => Self::Flowing,
            // Wrong positions, or a verdict that is not known here: its text says what is wrong.
            _ => Self::Misplaced,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Flowing => "flowing",
            Self::Full => "full",
            Self::Undrained => "undrained",
            Self::Held => "held",
            Self::Jammed => "jammed",
            Self::Misplaced => "misplaced",
        }
    }

    /// Whether such a ring is stuck: only a repair will move it, or a program that drains it. A busy record whose producer is
    /// alive does not count until it has been busy for a while.
    pub(crate) fn is_stuck(self, claim: &Claim, since: Option<Duration>) -> bool {
        match self {
            Self::Empty | Self::Flowing | Self::Full => false,
            Self::Held => !matches!(claim, Claim::By(_)) || since.is_some_and(|since| since >= STALE),
            Self::Undrained | Self::Jammed | Self::Misplaced => true,
        }
    }
}

fn is_full(survey: &Survey) -> bool {
    let used = survey.producer.occupied(survey.consumer, survey.size);
    let free = used.map_or(0, |used| survey.size.bytes() - used);
    let (records, bytes) =
        (survey.submitted.records + survey.discarded.records, survey.submitted.bytes + survey.discarded.bytes);
    u64::from(free) * records < bytes
}
