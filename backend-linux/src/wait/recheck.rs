//! How often to look for room when the consumer wakes nobody.

use core::time::Duration;

/// How often a waiter looks at the ring by itself, besides when a drain wakes it.
///
/// Consumers that drain with `BPF_RB_NO_WAKEUP` (user-space schedulers do) wake nobody: only time helps then. Each look
/// costs one wake-up of the thread, a few microseconds of CPU. The pause doubles from `first` to `longest`, so a wait of
/// a second costs about 1 / `longest` looks, and room is found at most `longest` late; a short wait is found out soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recheck {
    /// Never: sleep until a drain wakes. Right only if every drain does.
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
    /// From 100 microseconds to 5 milliseconds: some 200 looks in a second of waiting.
    fn default() -> Self {
        Self::Backoff { first: Duration::from_micros(100), longest: Duration::from_millis(5) }
    }
}

impl Recheck {
    /// The pause before look number `round`, or `None` for no limit.
    pub(super) fn pause(self, round: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Backoff { first, longest } => {
                let doubled = 1_u32.checked_shl(round).unwrap_or(u32::MAX);
                // A pause of nothing would spin: a microsecond is the shortest.
                let first = first.max(Duration::from_micros(1));
                Some(first.saturating_mul(doubled).min(longest.max(first)))
            }
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
}
