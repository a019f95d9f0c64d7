//! For how long a watched ring has not moved.

use std::time::{Duration, Instant};

use user_ringbuf_linux::{Position, Survey, Verdict};

/// Where the kernel gets no further.
pub(crate) fn obstacle(survey: &Survey) -> Option<Position> {
    match &survey.verdict {
        Verdict::Held { record } => Some(record.start),
        Verdict::Jammed { damage } => Some(damage.start()),
        Verdict::Misplaced { .. } => Some(survey.producer),
        _ => None,
    }
}

/// What was seen last, and since when.
#[derive(Debug, Default)]
pub(crate) struct Unchanged {
    /// The obstacle, else the head.
    seen: Option<(Option<Position>, Option<Position>, Instant)>,
}

impl Unchanged {
    /// For how long the ring has been as `survey` shows it.
    pub(crate) fn since(&mut self, survey: &Survey, now: Instant) -> Duration {
        let obstacle = obstacle(survey);
        // An obstacle that stays counts from when it was first seen, although the head may still come up to it.
        let head = obstacle.is_none().then_some(survey.consumer);
        match self.seen {
            // An empty ring does not wait for anything.
            Some((before, old_head, when))
                if (before, old_head) == (obstacle, head) && survey.verdict != Verdict::Empty =>
            {
                now.saturating_duration_since(when)
            }
            _ => {
                self.seen = Some((obstacle, head, now));
                Duration::ZERO
            }
        }
    }
}
