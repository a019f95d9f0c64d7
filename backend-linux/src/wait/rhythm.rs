//! When a consumer that drains at a steady pace will drain next.
//!
//! A drain lies between the last look that found no room and the first that did. Two drains, found by pauses that double,
//! give a rough period; looks in steps of a tenth of it give the period itself, and two looks around each of the next
//! drains give it exactly. From then on one look finds each drain, a twentieth of the period or less after it was due.
//! Such a look doesn't tell when the drain was, so each look is made a little earlier than the last, until one comes too
//! early: then the next look, a twentieth of the period later, tells. That is one more look per ten drains, and
//! follows a consumer whose pace drifts or jitters.
//!
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
    /// When this wait began; the same as `missed` until a look in it has found no room.
    began: u64,
    /// The last look.
    looked: u64,
    /// Whether the last look was for this consumer's sake, and not the end of a timeout.
    in_time: bool,
    /// When the last drain was, about; once the rhythm is settled, when it was supposed to be.
    drained: Option<u64>,
    /// A drain some periods ago that two looks enclosed.
    anchor: u64,
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
    /// The period, give or take a tenth, and less with each drain that two looks enclose; how many those are.
    Period { enclosed: u8 },
    /// The period, and so many drains in a row found by one look.
    Settled { finds: u8 },
}

/// So many surprises are one too many.
const TOO_MANY: u8 = 5;
/// So many drains that two looks enclose make the period exact.
const ENCLOSED: u8 = 8;
/// So many drains found by one look each are suspicious: the period may be shorter than was thought.
const MOST_FINDS: u8 = 20;
/// So many periods between two drains, each known to a fortieth of a period, tell more than is known.
const FAR_ENOUGH: u64 = 16;

impl Rhythm {
    /// A wait begins at `now`, after an attempt that found no room. `round` counts the waits since the last success.
    pub(crate) fn waits(&mut self, round: u32, now: Duration) {
        let now = nanoseconds(now);
        if round == 0 {
            if core::mem::take(&mut self.in_time) {
                self.found();
            }
            (self.missed, self.began) = (now, now);
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
        let drain = self.missed.saturating_add(width / 2);
        let Some(last) = self.drained else {
            self.drained = Some(drain);
            return;
        };
        let closely = width <= self.period / 4;
        // Several periods may have passed in which nobody waited, but none between two looks. A look may be late by half a
        // period, a drain is not early by more than a quarter.
        let until = if self.again() { self.missed } else { self.looked.saturating_sub(self.period / 4) };
        let periods = self.periods(last, until);
        let due = last.saturating_add(self.period.saturating_mul(periods));
        let drain = match self.known {
            Known::Nothing => {
                self.period = drain.saturating_sub(last);
                self.patience = self.patience.saturating_sub(1);
                if self.patience == 0 && self.period != 0 {
                    (self.known, self.surprises) = (Known::Roughly { closely: false }, 0);
                }
                drain
            }
            Known::Roughly { closely: before } => {
                self.period = drain.saturating_sub(last);
                if closely && before {
                    self.enclose();
                } else {
                    self.known = Known::Roughly { closely };
                    self.surprise(1);
                }
                drain
            }
            Known::Period { enclosed } if closely => {
                if drain.abs_diff(due) > self.period / 4 {
                    self.surprise(2);
                } else {
                    self.surprises = self.surprises.saturating_sub(1);
                    if enclosed == 0 {
                        self.anchor = drain;
                    } else {
                        self.period = self.since_anchor(drain).1;
                    }
                    let enclosed = enclosed.saturating_add(1);
                    self.known =
                        if enclosed > ENCLOSED { Known::Settled { finds: 0 } } else { Known::Period { enclosed } };
                }
                drain
            }
            Known::Period { .. } => {
                // It came before the first look, which was made a twentieth of the period before it was due.
                self.surprise(1);
                due.saturating_sub(self.period / 10).min(self.looked)
            }
            Known::Settled { finds } => self.follow(due, drain, finds),
        };
        self.drained = Some(drain);
    }

    /// A drain was `due`, and the looks around it say that it was `about` then. Returns when to count from.
    fn follow(&mut self, due: u64, about: u64, finds: u8) -> u64 {
        let late = self.again() && self.missed > due;
        let off = if late { self.missed.saturating_sub(due) } else { due.saturating_sub(self.looked) };
        if off > self.period / 4 {
            // Perhaps just this once.
            self.surprise(2);
            return due;
        }
        self.surprises = self.surprises.saturating_sub(1);
        if late {
            let (periods, period) = self.since_anchor(about);
            let closely = self.looked.saturating_sub(self.missed) <= self.period / 8;
            if closely && periods >= FAR_ENOUGH {
                (self.anchor, self.period) = (about, period);
            }
            self.known = Known::Settled { finds: 0 };
            return about.min(due.saturating_add(self.period / 20));
        }
        if finds >= MOST_FINDS {
            self.enclose();
        } else {
            self.known = Known::Settled { finds: finds.saturating_add(1) };
        }
        due.saturating_sub(self.period.saturating_mul(finds.into()) / 1024).min(self.looked)
    }

    /// Whether the last wait took more than one look.
    fn again(&self) -> bool {
        self.missed != self.began
    }

    /// Goes on with two looks around each drain.
    fn enclose(&mut self) {
        (self.known, self.surprises) = (Known::Period { enclosed: 0 }, 0);
    }

    fn surprise(&mut self, by: u8) {
        self.surprises = self.surprises.saturating_add(by);
        if self.surprises < TOO_MANY {
            return;
        }
        if matches!(self.known, Known::Settled { .. }) {
            self.enclose();
        } else {
            self.known = Known::Nothing;
            self.patience = 1 << self.lost.min(6);
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// How many periods the anchor is before `drain`, and how long each was.
    fn since_anchor(&self, drain: u64) -> (u64, u64) {
        let periods = self.periods(self.anchor, drain);
        (periods, drain.saturating_sub(self.anchor).checked_div(periods).unwrap_or(0))
    }

    /// How many periods lie between two moments, at least 1.
    fn periods(&self, from: u64, to: u64) -> u64 {
        let between = to.saturating_sub(from).saturating_add(self.period / 2);
        (between / self.period.max(1)).max(1)
    }

    /// How long to sleep from `now` until the look that the rhythm asks for; `None` if there is no rhythm.
    pub(crate) fn pause(&self, now: Duration) -> Option<Duration> {
        let (now, last, period) = (nanoseconds(now), self.drained?, self.period);
        let margin = period / 20;
        let pause = match self.known {
            Known::Nothing => return None,
            Known::Roughly { .. } => {
                let step = margin.saturating_mul(2);
                let overdue = now.saturating_sub(last) > period.saturating_mul(3);
                // Doubled pauses are shorter at first.
                if overdue || now.saturating_sub(self.began) < step {
                    return None;
                }
                step
            }
            Known::Period { .. } | Known::Settled { .. } => {
                // The one that is due next, or was up to half a period ago and hasn't come.
                let due = last.saturating_add(period.saturating_mul(self.periods(last, now)));
                if due < self.began.saturating_add(period / 4) {
                    // Doubled pauses find it as soon, for hardly more looks.
                    return None;
                }
                let settled = matches!(self.known, Known::Settled { .. });
                let (look, step) = if settled {
                    (due.saturating_add(margin), margin)
                } else {
                    (due.saturating_sub(margin), margin.saturating_mul(2))
                };
                if now < look { look.saturating_sub(now) } else { step.max(now.saturating_sub(look)) }
            }
        };
        Some(Duration::from_nanos(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// How long the next sleep is, with the default pauses.
    fn look(rhythm: &mut Rhythm, round: u32, now: Duration) -> Duration {
        rhythm.waits(round, now);
        let doubled = Duration::from_micros(100).saturating_mul(1 << round.min(20));
        rhythm.pause(now).unwrap_or(doubled).min(Duration::from_millis(20))
    }

    /// A consumer that drains every `period`, and a producer that waits for each drain, with the default pauses.
    /// Each sleep is `late`: it lasts longer than it was asked to. Returns the delays from a drain to the look that found
    /// it, and how many looks there were in all.
    fn follow(
        period: Duration,
        drains: u32,
        late: impl Fn(u32) -> Duration,
        jitter: impl Fn(u32) -> Duration,
    ) -> (Vec<Duration>, u32) {
        let mut rhythm = Rhythm::default();
        let mut now = Duration::from_secs(5);
        let start = now;
        let (mut delays, mut looks) = (Vec::new(), 0);
        let mut next = 1;
        while next <= drains {
            let drain = start + period * next + jitter(next);
            let mut round = 0;
            while now < drain {
                now += look(&mut rhythm, round, now) + late(looks);
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
    fn a_steady_consumer_is_found_within_a_tenth_of_its_period_by_hardly_more_than_one_look_each() {
        for micros in [1_000, 3_000, 7_777, 10_000, 33_000, 100_000] {
            for late in [0, 70] {
                let period = Duration::from_micros(micros);
                let (delays, looks) = follow(period, 200, |_| Duration::from_micros(late), |_| Duration::ZERO);
                let median = median(delays);
                assert!(median <= period / 20, "{median:?} of {period:?}");
                // Those that the longest pause asks for, and some to learn the period.
                let within = u32::try_from(micros / 20_000).unwrap();
                assert!(looks <= 200 * within + 200 * 9 / 8 + 60, "{looks} looks, {period:?}");
            }
        }
    }

    #[test]
    fn jitter_of_a_tenth_of_the_period_does_no_harm() {
        for micros in [2_000, 10_000] {
            let period = Duration::from_micros(micros);
            let jitter = |nth: u32| period * (nth * 7919 % 100) / 1000;
            let (delays, looks) = follow(period, 300, |_| Duration::from_micros(70), jitter);
            let median = median(delays);
            assert!(median <= period / 10, "{median:?}");
            assert!(looks <= 300 * 5 / 4 + 60, "{looks} looks");
        }
    }

    #[test]
    fn a_drain_that_is_late_now_and_then_leaves_the_rhythm_as_it_was() {
        let period = Duration::from_millis(10);
        let late = |nth: u32| if nth % 25 == 0 { period * 6 / 10 } else { Duration::ZERO };
        let (delays, looks) = follow(period, 400, |_| Duration::ZERO, late);
        let found = delays.iter().filter(|delay| **delay <= period / 10).count();
        assert!(found >= delays.len() * 17 / 20, "{found} of {}", delays.len());
        assert!(looks <= 400 * 8 / 5, "{looks} looks");
    }

    #[test]
    fn a_look_that_is_late_now_and_then_leaves_the_rhythm_as_it_was() {
        let period = Duration::from_millis(10);
        for percent in [45, 60] {
            let late = |look: u32| if look % 20 == 0 { period * percent / 100 } else { Duration::ZERO };
            let (delays, looks) = follow(period, 400, late, |_| Duration::ZERO);
            let found = delays.iter().filter(|delay| **delay <= period / 10).count();
            assert!(found >= delays.len() * 17 / 20, "{found} of {}, {percent} % late", delays.len());
            assert!(looks <= 400 * 3 / 2, "{looks} looks, {percent} % late");
        }
    }

    #[test]
    fn a_drain_soon_after_the_ring_has_filled_is_found_soon_whatever_the_rhythm() {
        // The producer fills the ring every 100 ms, and the consumer drains 1 to 5 ms later.
        let (mut rhythm, mut now) = (Rhythm::default(), Duration::from_secs(5));
        for nth in 0..200_u32 {
            let drain = now + Duration::from_micros((1000 + nth * 7919 % 4000).into());
            let (filled, mut round) = (now, 0);
            while now < drain {
                now += look(&mut rhythm, round, now);
                rhythm.looks(now, true);
                round += 1;
            }
            assert!(
                now - drain <= drain - filled + Duration::from_micros(100),
                "{:?} after a wait of {:?}",
                now - drain,
                drain - filled
            );
            now += Duration::from_millis(95);
        }
    }

    #[test]
    fn a_consumer_without_rhythm_is_found_no_later_than_by_doubling_and_the_longest_pause() {
        // Each distance is between 1 and 60 ms, and none follows from the one before.
        let at = |nth: u32| Duration::from_micros((1..=nth).map(|n| u64::from(n * 48_271 % 59_000) + 1000).sum());
        let (delays, _) = follow(Duration::ZERO, 200, |_| Duration::ZERO, at);
        assert!(delays.iter().all(|delay| *delay <= Duration::from_millis(20)));
    }

    #[test]
    fn a_period_that_changes_is_learnt_anew() {
        for (from, to) in [(10, 4), (10, 5), (10, 9), (10, 11), (4, 10), (5, 15)].map(|(from, to)| {
            let ms = Duration::from_millis;
            (ms(from), ms(to))
        }) {
            // From the hundredth drain on it drains every `to`.
            let at = |nth: u32| from * nth.min(100) + to * nth.saturating_sub(100);
            let (delays, _) = follow(Duration::ZERO, 400, |_| Duration::ZERO, at);
            let median = median(delays[delays.len() - 100..].to_vec());
            assert!(median <= to / 10, "{median:?}, from {from:?} to {to:?}");
        }
    }
}
