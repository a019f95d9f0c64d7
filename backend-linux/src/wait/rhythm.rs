//! When a consumer that drains at a steady pace will drain next.
//!
//! A drain lies between the last look that found no room and the first that did. Two drains, found by pauses that double,
//! give a rough period; looks in steps of a tenth of it give the period itself; from then on two looks enclose each drain,
//! one a little before it is due and one a little after. Doubled pauses alone would find it as late as one has waited.
//! Nothing is taken for granted: a consumer that keeps surprising is followed by doubled pauses again, and it takes longer
//! each time until another attempt is made.
//!
//! Kernel counterpart: none. A drain with `BPF_RB_NO_WAKEUP` tells user space nothing but the consumer position.

use core::time::Duration;

use super::nanoseconds;

/// What was seen of a consumer's drains, in nanoseconds on the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rhythm {
    /// The last look that found no room.
    missed: u64,
    /// The last look.
    looked: u64,
    /// Whether the last look was for this consumer's sake, and not the end of a timeout.
    in_time: bool,
    /// When the last drain was, about.
    drained: Option<u64>,
    period: u64,
    known: Known,
    /// Drains that were not where they were expected, less those that were.
    surprises: u8,
    /// How often the rhythm was lost.
    lost: u8,
    /// Drains to come before another attempt is made.
    patience: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Nothing,
    /// The period, give or take half of it; whether the last drain is known more closely.
    Roughly { closely: bool },
    /// The period.
    Period,
}

/// So many surprises are one too many.
const TOO_MANY: u8 = 5;

impl Rhythm {
    /// A wait begins at `now`, after an attempt that found no room. `round` counts the waits since the last success.
    pub(crate) fn waits(&mut self, round: u32, now: Duration) {
        let now = nanoseconds(now);
        if round == 0 {
            if core::mem::take(&mut self.in_time) {
                self.found();
            }
            self.missed = now;
        } else {
            self.missed = self.looked;
        }
    }

    /// A wait has ended at `now`, and a look follows.
    pub(crate) fn looks(&mut self, now: Duration, in_time: bool) {
        (self.looked, self.in_time) = (nanoseconds(now), in_time);
    }

    /// There was room at the last look: a drain lies between it and the one before.
    fn found(&mut self) {
        let width = self.looked.saturating_sub(self.missed);
        let mut drain = self.missed.saturating_add(width / 2);
        let Some(last) = self.drained else {
            self.drained = Some(drain);
            return;
        };
        let closely = width <= self.period / 4;
        match self.known {
            Known::Nothing => {
                self.period = drain.saturating_sub(last);
                self.patience = self.patience.saturating_sub(1);
                if self.patience == 0 && self.period != 0 {
                    (self.known, self.surprises) = (Known::Roughly { closely: false }, 0);
                }
            }
            Known::Roughly { closely: before } => {
                if closely && before {
                    (self.known, self.surprises) = (Known::Period, 0);
                } else {
                    self.known = Known::Roughly { closely };
                    self.surprise(1);
                }
                self.period = drain.saturating_sub(last);
            }
            Known::Period => {
                if !closely {
                    // It came before the first look, which was made a twentieth of the period before it was due.
                    let due = last.saturating_add(self.period.saturating_mul(self.periods_to(last, self.looked)));
                    drain = due.saturating_sub(self.period / 10).min(self.looked);
                }
                // Several periods may have passed, in which nobody waited.
                let seen = drain.saturating_sub(last).checked_div(self.periods_to(last, drain)).unwrap_or(0);
                let off = seen.abs_diff(self.period);
                if off > self.period / 4 {
                    self.surprise(2);
                } else {
                    // Slowly, since each drain is known to a tenth of a period only.
                    let less = seen < self.period;
                    let step = off / 4;
                    self.period =
                        if less { self.period.saturating_sub(step) } else { self.period.saturating_add(step) };
                    if closely {
                        self.surprises = self.surprises.saturating_sub(1);
                    } else {
                        self.surprise(1);
                    }
                }
            }
        }
        self.drained = Some(drain);
    }

    fn surprise(&mut self, by: u8) {
        self.surprises = self.surprises.saturating_add(by);
        if self.surprises >= TOO_MANY {
            self.known = Known::Nothing;
            self.patience = 1 << self.lost.min(6);
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// How many periods lie between two moments, at least 1.
    fn periods_to(&self, from: u64, to: u64) -> u64 {
        let between = to.saturating_sub(from).saturating_add(self.period / 2);
        (between / self.period.max(1)).max(1)
    }

    /// How long to sleep from `now` until the look that the rhythm asks for; `None` if there is no rhythm.
    pub(crate) fn pause(&self, now: Duration) -> Option<Duration> {
        let (now, last, period) = (nanoseconds(now), self.drained?, self.period);
        // Two of these are a step.
        let margin = period / 20;
        let pause = match self.known {
            Known::Nothing => return None,
            Known::Roughly { .. } => {
                let overdue = now.saturating_sub(last) > period.saturating_mul(3);
                if overdue {
                    return None;
                }
                margin.saturating_mul(2)
            }
            Known::Period => {
                // The one that is due next, or was up to half a period ago and hasn't come.
                let due = last.saturating_add(period.saturating_mul(self.periods_to(last, now)));
                let before = due.saturating_sub(margin);
                if now < before { before.saturating_sub(now) } else { margin.saturating_mul(2) }
            }
        };
        Some(Duration::from_nanos(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A consumer that drains every `period`, and a producer that waits for each drain, with the default pauses.
    /// Returns the delays from a drain to the look that found it, and how many looks there were in all.
    fn follow(period: Duration, drains: u32, jitter: impl Fn(u32) -> Duration) -> (Vec<Duration>, u32) {
        let mut rhythm = Rhythm::default();
        let mut now = Duration::from_secs(5);
        let start = now;
        let (mut delays, mut looks) = (Vec::new(), 0);
        let mut next = 1;
        while next <= drains {
            let drain = start + period * next + jitter(next);
            let mut round = 0;
            while now < drain {
                rhythm.waits(round, now);
                let doubled = Duration::from_micros(100).saturating_mul(1 << round.min(20));
                let pause = rhythm.pause(now).unwrap_or(doubled).min(Duration::from_millis(20));
                now += pause;
                rhythm.looks(now, true);
                looks += 1;
                round += 1;
            }
            delays.push(now.saturating_sub(drain));
            // Those that came meanwhile are one to the producer.
            while start + period * next + jitter(next) <= now {
                next += 1;
            }
        }
        (delays, looks)
    }

    fn median(mut delays: Vec<Duration>) -> Duration {
        delays.sort_unstable();
        delays[delays.len() / 2]
    }

    #[test]
    fn a_steady_consumer_is_found_within_a_tenth_of_its_period() {
        for micros in [1_000, 3_000, 7_777, 10_000, 33_000, 100_000] {
            let period = Duration::from_micros(micros);
            let (delays, looks) = follow(period, 200, |_| Duration::ZERO);
            let median = median(delays);
            assert!(median <= period / 10, "{median:?} of {period:?}");
            // Two looks around each drain, and those that the longest pause asks for.
            let within = u32::try_from(micros / 20_000).unwrap();
            assert!(looks <= 200 * (2 + within) + 40, "{looks} looks, {period:?}");
        }
    }

    #[test]
    fn some_jitter_does_no_harm() {
        let period = Duration::from_millis(10);
        let (delays, looks) = follow(period, 300, |nth| Duration::from_micros(u64::from(nth * 7919 % 500)));
        let median = median(delays);
        assert!(median <= period / 10, "{median:?}");
        assert!(looks <= 300 * 3, "{looks} looks");
    }

    #[test]
    fn a_consumer_without_rhythm_is_found_no_later_than_by_doubling_and_the_longest_pause() {
        // Each distance is between 1 and 60 ms, and none follows from the one before.
        let at = |nth: u32| Duration::from_micros((1..=nth).map(|n| u64::from(n * 48_271 % 59_000) + 1000).sum());
        let (delays, _) = follow(Duration::ZERO, 200, at);
        assert!(delays.iter().all(|delay| *delay <= Duration::from_millis(20)));
    }

    #[test]
    fn a_period_that_changes_is_learnt_anew() {
        let slow = Duration::from_millis(10);
        // From the hundredth drain on it drains every 4 ms.
        let jitter = |nth: u32| Duration::from_millis(6) * nth.min(100);
        let (delays, _) = follow(slow - Duration::from_millis(6), 400, jitter);
        let median = median(delays[delays.len() - 100..].to_vec());
        assert!(median <= Duration::from_micros(400), "{median:?}");
    }
}
