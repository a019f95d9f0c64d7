//! One look at a ring: what is in it, who claims it, what that means and what to do about it. Shared by the subcommands
//! that show rings.
//!
//! Invariant: a producer is called gone only if the obstacle that it left was still there after its claim was found free.

pub(crate) mod advice;
pub(crate) mod cells;
pub(crate) mod snapshot;
mod state;
mod unchanged;

use user_ringbuf_linux::{MappingView, RingView, Survey, Verdict};

use crate::producer::Claim;

pub(crate) use state::State;
pub(crate) use unchanged::{Unchanged, obstacle};

/// A ring that holds something and has not been drained for so long is reported as undrained.
pub(crate) const STALE: std::time::Duration = std::time::Duration::from_secs(2);

/// Most tries for one look, when the ring changes between a look at it and one at who claims it.
const TRIES: u32 = 5;

/// Looks at a ring by `see`, and at who claims it by `claim`.
pub(crate) fn look<S>(
    view: &MappingView,
    mut see: impl FnMut() -> S,
    survey: impl Fn(&S) -> &Survey,
    mut claim: impl FnMut() -> Claim,
) -> (S, Claim) {
    for _ in 0..TRIES {
        let seen = see();
        let claim = claim();
        // A producer may have submitted its record and ended between the two. An obstacle that is still there was there
        // when no process had the claim.
        if claim != Claim::ByNobody || !is_obstacle(&survey(&seen).verdict) || is_still_stuck(view, survey(&seen)) {
            return (seen, claim);
        }
    }
    (see(), Claim::Unknown("the ring changes while it is looked at".to_owned()))
}

/// Whether the kernel gets no further with such a ring.
pub(crate) fn is_obstacle(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Empty | Verdict::Flowing)
}

/// Whether the ring still stops at the place where it was seen to stop.
pub(crate) fn is_still_stuck(view: &impl RingView, seen: &Survey) -> bool {
    Survey::of(view).verdict == seen.verdict
}

#[cfg(test)]
mod tests;
