//! Time that moves only when a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands still until it is advanced, and never goes back. Clones show the same time.
///
/// It begins at 0 and ends some 584 years later, where it stands still for good.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    nanos: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock at 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Time since the clock began.
    pub fn now(&self) -> Duration {
        // Relaxed, here and below: the time says nothing about other memory.
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// Advances to `time`, unless it is past that already.
    pub fn advance_to(&self, time: Duration) {
        self.nanos.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Advances by `time`.
    pub fn advance(&self, time: Duration) {
        self.advance_to(self.now().saturating_add(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_moves_on_when_told_and_never_back() {
        let clock = VirtualClock::new();
        let clone = clock.clone();
        assert_eq!(clock.now(), Duration::ZERO);
        clock.advance(Duration::from_millis(5));
        clock.advance_to(Duration::from_millis(3));
        assert_eq!(clone.now(), Duration::from_millis(5));
        clone.advance_to(Duration::from_millis(7));
        assert_eq!(clock.now(), Duration::from_millis(7));
    }

    #[test]
    fn a_clock_stands_still_at_its_end() {
        let clock = VirtualClock::new();
        clock.advance(Duration::MAX);
        let end = clock.now();
        clock.advance(Duration::from_secs(1));
        assert_eq!((clock.now(), end), (end, Duration::from_nanos(u64::MAX)));
    }
}
