//! How often to look at the ring when the consumer does not wake its producers.

use core::time::Duration;

use super::rhythm::Rhythm;

/// How often a waiter looks at the ring by itself, in addition to when a drain wakes it.
///
/// Consumers that drain with `BPF_RB_NO_WAKEUP`, as user-space schedulers do, wake no waiter: then it must look from
/// time to time. Each look is a sleep and a wake-up of the thread, 10 to 40 microseconds of CPU time. The pause doubles
/// from `first` to `longest`. So room is found late by at most about the time already waited, and by at most `longest`,
/// and a second of waiting costs about 1 s / `longest` looks. Once an [`EpollWaiter`](super::EpollWaiter) has seen such a
/// consumer drain at a steady pace of a millisecond or more, it looks once shortly after the next drain is due, and again
/// if that was too early, still at most `longest` apart: room is found within a tenth of the period if the sleeps end in
/// time (in a virtual machine, from a period of some milliseconds up). While drains do wake, only the longest pause is
/// used.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recheck {
    /// Never: sleep until a drain wakes. Correct only if every drain does. A wait for consumption on a ring that
    /// several threads or tasks fill looks all the same, with the default's pauses, since epoll may drop the wake that
    /// it needs.
    Never,
    /// After a pause that doubles from `first` up to `longest`.
    Backoff {
        /// The first pause.
        first: Duration,
        /// The longest pause.
        longest: Duration,
    },
}

impl Default for Recheck {
    /// From 100 microseconds to 20 milliseconds: about 60 looks in the first second of waiting, 0.2 % of a processor.
    fn default() -> Self {
        Self::Backoff { first: Duration::from_micros(100), longest: Duration::from_millis(20) }
    }
}

impl Recheck {
    /// The pause before look number `round`, or `None` for no limit.
    fn pause(self, round: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Backoff { first, longest } => {
                let doubled = 1_u32.checked_shl(round).unwrap_or(u32::MAX);
                // A pause of zero would spin: a microsecond is the shortest.
                let first = first.max(Duration::from_micros(1));
                Some(first.saturating_mul(doubled).min(longest.max(first)))
            }
        }
    }
}

/// A waiter's pauses, which take into account whether drains wake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    recheck: Recheck,
    /// The last wait ended by a drain's wake, so the consumer is likely to wake again.
    woken: bool,
    /// Nothing was fetched since the registration: the first edge may be its own.
    fresh: bool,
}

impl Pace {
    pub(crate) fn new(recheck: Recheck) -> Self {
        Self { recheck, woken: false, fresh: true }
    }

    /// How long to sleep at most before look number `round`.
    pub(crate) fn pause(&self, round: u32) -> Option<Duration> {
        self.recheck.pause(if self.woken { u32::MAX } else { round })
    }

    /// The pause until the next drain that is expected from a consumer's rhythm, unless drains wake. At most the longest
    /// pause.
    pub(crate) fn expected(&self, rhythm: &Rhythm, now: Duration) -> Option<Duration> {
        let Recheck::Backoff { first, longest } = self.recheck else { return None };
        let pause = rhythm.pause(now).filter(|_| !self.woken)?;
        Some(pause.max(Duration::from_micros(1)).min(longest.max(first)))
    }

    /// The same for a wait for consumption: no longer than by default, since a drain that wakes may go unnoticed.
    #[cfg(feature = "std")]
    pub(crate) fn pause_for_consumption(&self, round: u32) -> Duration {
        let pauses = [self.recheck, Recheck::default()].map(|recheck| recheck.pause(round).unwrap_or(Duration::MAX));
        pauses[0].min(pauses[1])
    }

    /// The ring was registered anew.
    pub(crate) fn registered(&mut self) {
        self.fresh = true;
    }

    /// How the wait ended: whether an edge was fetched. One that may be the registration's tells nothing.
    pub(crate) fn note(&mut self, woken: bool) {
        if !(core::mem::take(&mut self.fresh) && woken) {
            self.woken = woken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_vanish() {
        let ms = Duration::from_millis;
        let recheck = Recheck::Backoff { first: ms(1), longest: ms(5) };
        let pauses = [0, 1, 2, 3, 40, u32::MAX].map(|round| recheck.pause(round).unwrap());
        assert_eq!(pauses, [ms(1), ms(2), ms(4), ms(5), ms(5), ms(5)]);
        let none = Recheck::Backoff { first: Duration::ZERO, longest: Duration::ZERO };
        assert_eq!(none.pause(9), Some(Duration::from_micros(1)));
        let longest_is_max = Recheck::Backoff { first: Duration::MAX, longest: Duration::MAX };
        assert_eq!(longest_is_max.pause(9), Some(Duration::MAX));
        assert_eq!(Recheck::Never.pause(0), None);
    }

    #[test]
    fn where_drains_wake_there_is_no_hurry_to_look() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new(Recheck::Backoff { first: ms(1), longest: ms(5) });
        assert_eq!(pace.pause(0), Some(ms(1)));
        pace.note(true);
        assert_eq!(pace.pause(0), Some(ms(1)), "this one may be the registration's");
        pace.note(true);
        assert_eq!(pace.pause(0), Some(ms(5)));
        pace.registered();
        pace.note(true);
        assert_eq!(pace.pause(0), Some(ms(5)), "what was known before still holds");
        pace.note(false);
        assert_eq!(pace.pause(0), Some(ms(1)));
    }
}
