//! When a scripted consumer drains, and how.

use std::time::Duration;

use user_ringbuf_core::kernel::{FORCE_WAKEUP, NO_WAKEUP};

/// When to drain, with which flags, and how long the callback takes. Times are those of the consumer's clock.
///
/// ```
/// use std::time::Duration;
/// use user_ringbuf_sim::Script;
///
/// let ms = Duration::from_millis;
/// // Drains at once and after 3 ms, then goes quiet.
/// let stalling = Script::at(Duration::ZERO).and_at(ms(3));
/// // Every 10 ms, 200 microseconds per sample, at most 16 samples per drain.
/// let slow = Script::every(ms(10)).per_sample(Duration::from_micros(200)).at_most(16);
/// // As some user-space schedulers do: no waiter is told of the room.
/// let wakeup_less = Script::every(ms(1)).no_wakeup();
/// # let _ = (stalling, slow, wakeup_less);
/// ```
#[derive(Clone, Debug)]
pub struct Script {
    /// In ascending order.
    times: Vec<Duration>,
    every: Option<Every>,
    pub(super) flags: u64,
    pub(super) per_sample: Duration,
    pub(super) at_most: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Every {
    period: Duration,
    next: Duration,
    until: Duration,
}

impl Script {
    /// Shortest period of [`every`](Self::every).
    pub const MIN_PERIOD: Duration = Duration::from_nanos(100);

    /// Never drains.
    pub const fn never() -> Self {
        Self { times: Vec::new(), every: None, flags: 0, per_sample: Duration::ZERO, at_most: None }
    }

    /// Drains once, at `time`.
    pub fn at(time: Duration) -> Self {
        Self::never().and_at(time)
    }

    /// Drains every `period`, for the first time after one; a period shorter than [`MIN_PERIOD`](Self::MIN_PERIOD) is
    /// taken as that.
    pub fn every(period: Duration) -> Self {
        let period = period.max(Self::MIN_PERIOD);
        Self { every: Some(Every { period, next: period, until: Duration::MAX }), ..Self::never() }
    }

    /// Drains at `time` too.
    #[must_use]
    pub fn and_at(mut self, time: Duration) -> Self {
        let place = self.times.partition_point(|earlier| *earlier <= time);
        self.times.insert(place, time);
        self
    }

    /// Ends the periodic drains: none comes after `time`.
    #[must_use]
    pub fn until(mut self, time: Duration) -> Self {
        if let Some(every) = &mut self.every {
            every.until = time;
        }
        self
    }

    /// Drains with `BPF_RB_NO_WAKEUP`: waiters are not woken.
    #[must_use]
    pub fn no_wakeup(mut self) -> Self {
        self.flags |= NO_WAKEUP;
        self
    }

    /// Drains with `BPF_RB_FORCE_WAKEUP`: waiters are woken by empty drains too.
    #[must_use]
    pub fn force_wakeup(mut self) -> Self {
        self.flags |= FORCE_WAKEUP;
        self
    }

    /// Drains with these flags, also those that the kernel refuses.
    #[must_use]
    pub fn with_flags(mut self, flags: u64) -> Self {
        self.flags = flags;
        self
    }

    /// Lets each sample's callback take `time`: its room is free after that, and a wake comes after the last.
    #[must_use]
    pub fn per_sample(mut self, time: Duration) -> Self {
        self.per_sample = time;
        self
    }

    /// Lets the callback stop each drain after `samples`, as a BPF callback does by returning 1. At 0 a drain takes
    /// nothing, not even discarded records.
    #[must_use]
    pub fn at_most(mut self, samples: u32) -> Self {
        self.at_most = Some(samples);
        self
    }

    pub(super) fn next(&self) -> Option<Duration> {
        let every = self.every.filter(|every| every.next <= every.until).map(|every| every.next);
        self.times.first().copied().into_iter().chain(every).min()
    }

    /// Takes off what is due at `now`, however often: one drain does for all.
    pub(super) fn passes(&mut self, now: Duration) {
        self.times.retain(|time| *time > now);
        if let Some(every) = &mut self.every {
            let late = now.checked_sub(every.next).map(|late| late.as_nanos() / every.period.as_nanos() + 1);
            let periods = u32::try_from(late.unwrap_or(0)).unwrap_or(u32::MAX);
            every.next = every.next.saturating_add(every.period.saturating_mul(periods));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn single_drains_come_in_order_whatever_order_they_were_written_in() {
        let mut script = Script::at(ms(9)).and_at(ms(3)).and_at(ms(5));
        for expected in [3, 5, 9] {
            assert_eq!(script.next(), Some(ms(expected)));
            script.passes(ms(expected));
        }
        assert_eq!(script.next(), None);
        assert_eq!(Script::never().next(), None);
    }

    #[test]
    fn periodic_drains_keep_their_beat_when_one_is_late_and_end_when_told() {
        let mut script = Script::every(ms(5)).until(ms(20));
        assert_eq!(script.next(), Some(ms(5)));
        script.passes(ms(12));
        assert_eq!(script.next(), Some(ms(15)));
        script.passes(ms(15));
        assert_eq!(script.next(), Some(ms(20)));
        script.passes(ms(20));
        assert_eq!(script.next(), None);
    }

    #[test]
    fn a_period_of_nothing_is_the_shortest_there_is() {
        let mut script = Script::every(Duration::ZERO);
        script.passes(Duration::ZERO);
        assert_eq!(script.next(), Some(Script::MIN_PERIOD));
        script.passes(Script::MIN_PERIOD);
        assert_eq!(script.next(), Some(Script::MIN_PERIOD * 2));
    }
}
