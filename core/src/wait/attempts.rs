//! Attempts, and the waits between them.
//!
//! Invariant: every wait follows an attempt that failed and is followed by another. Kernel counterpart: as for `wait`.

use core::time::Duration;

use crate::error::ReserveError;
use crate::format::layout::RingSize;
use crate::seam::memory::RingId;
use crate::wait::{BlockingError, MAX_TIMEOUT, Wait, Wake};

/// What ends a wait between two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// A drain that wakes. Enough where there is nothing to gain while the ring is full.
    Woken,
    /// Some time too, whatever the waiter does by itself, because the wake may have been forgotten.
    WokenOrSomeTime,
}

impl Until {
    /// The pause before look number `nth`: from 100 microseconds, doubled each time, to 20 milliseconds.
    fn pause(self, nth: u32) -> Option<Duration> {
        let doubled = 1_u32.checked_shl(nth).unwrap_or(u32::MAX);
        let pause = Duration::from_micros(100).saturating_mul(doubled).min(Duration::from_millis(20));
        (self == Self::WokenOrSomeTime).then_some(pause)
    }
}

/// When to give up: never if the timeout is `None`. The clock is read only when it is needed, so that a ring with room
/// costs no system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    timeout: Option<Duration>,
    until: Option<Duration>,
}

impl Deadline {
    /// Checks the timeout and the waiter, even if no wait turns out to be needed, so that a mistake shows at once.
    pub(crate) fn new<W: Wait + ?Sized>(
        waiter: &W,
        ring: RingId,
        timeout: Option<Duration>,
    ) -> Result<Self, BlockingError<W::Error>> {
        if let Some(timeout) = timeout.filter(|timeout| *timeout > MAX_TIMEOUT) {
            return Err(BlockingError::TimeoutTooLong { timeout, max: MAX_TIMEOUT });
        }
        if let Some(other) = waiter.ring().filter(|other| *other != ring) {
            return Err(BlockingError::OtherRing { waiter: other, producer: ring });
        }
        Ok(Self { timeout, until: None })
    }

    /// Whether there is no time to wait at all.
    pub(crate) fn is_now(&self) -> bool {
        self.timeout == Some(Duration::ZERO)
    }

    /// Before the first wait: the time runs from now on. Returns when it is up.
    pub(crate) fn begin<W: Wait + ?Sized>(&mut self, waiter: &W) -> Result<Option<Duration>, BlockingError<W::Error>> {
        if let (Some(timeout), None) = (self.timeout, self.until) {
            if timeout.is_zero() {
                return Err(BlockingError::TimedOut { timeout });
            }
            self.until = Some(waiter.now().saturating_add(timeout));
        }
        Ok(self.until)
    }
}

/// Attempts until one succeeds, and waits in between: forever if `timeout` is `None`, not at all if it is zero,
/// otherwise until the time is up and one last attempt has failed. An attempt returns `None` for "not yet". `ring` is
/// the ring that the attempts look at.
pub(crate) fn block_on<T, W: Wait + ?Sized>(
    waiter: &mut W,
    ring: RingId,
    timeout: Option<Duration>,
    wait_until: Until,
    mut attempt: impl FnMut() -> Result<Option<T>, BlockingError<W::Error>>,
) -> Result<T, BlockingError<W::Error>> {
    let mut deadline = Deadline::new(waiter, ring, timeout)?;
    if let Some(done) = attempt()? {
        return Ok(done);
    }
    deadline.begin(waiter)?;
    keep_trying(waiter, deadline, wait_until, attempt)
}

/// Waits and attempts until one succeeds, after one that has failed.
pub(crate) fn keep_trying<T, W: Wait + ?Sized>(
    waiter: &mut W,
    deadline: Deadline,
    wait_until: Until,
    mut attempt: impl FnMut() -> Result<Option<T>, BlockingError<W::Error>>,
) -> Result<T, BlockingError<W::Error>> {
    let (mut round, mut pauses, mut look) = (0_u32, 0_u32, None);
    loop {
        let end = deadline.until;
        look = look.or_else(|| wait_until.pause(pauses).map(|pause| waiter.now().saturating_add(pause)));
        if waiter.wait(round, look.into_iter().chain(end).min()).map_err(BlockingError::Wait)? == Wake::Cancelled {
            return Err(BlockingError::Cancelled);
        }
        let over = end.is_some_and(|until| waiter.now() >= until);
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        if let (true, Some(timeout)) = (over, deadline.timeout) {
            return Err(BlockingError::TimedOut { timeout });
        }
        // A waiter that spins returns many times within one pause.
        if look.is_some_and(|look| waiter.now() >= look) {
            (pauses, look) = (pauses.saturating_add(1), None);
        }
        round = round.saturating_add(1);
    }
}

/// Checks a number of bytes to wait for.
pub(crate) fn checked_room<E>(size: RingSize, bytes: usize) -> Result<u32, BlockingError<E>> {
    let beyond = BlockingError::BeyondRing { bytes, size: size.bytes() };
    u32::try_from(bytes).ok().filter(|bytes| *bytes <= size.bytes()).ok_or(beyond)
}

/// A failed reservation as an attempt: a full ring means "not yet".
#[inline]
pub(crate) fn or_not_yet<T, E>(reserved: Result<T, ReserveError>) -> Result<Option<T>, BlockingError<E>> {
    match reserved {
        Ok(reserved) => Ok(Some(reserved)),
        Err(why) if why.is_full() => Ok(None),
        Err(why) => Err(BlockingError::Reserve(why)),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::cell::Cell;
    use std::vec::Vec;

    /// A clock that advances by `step` in each wait.
    struct Clock {
        now: Cell<Duration>,
        step: Duration,
        waits: u32,
        cancel_after: Option<u32>,
        ring: Option<RingId>,
    }

    const RING: RingId = RingId::new(7);

    fn block<T>(
        waiter: &mut Clock,
        timeout: Option<Duration>,
        attempt: impl FnMut() -> Result<Option<T>, BlockingError<core::convert::Infallible>>,
    ) -> Result<T, BlockingError<core::convert::Infallible>> {
        block_on(waiter, RING, timeout, Until::Woken, attempt)
    }

    impl Clock {
        fn with_step(millis: u64) -> Self {
            Self {
                now: Cell::new(Duration::from_secs(7)),
                step: Duration::from_millis(millis),
                waits: 0,
                cancel_after: None,
                ring: None,
            }
        }
    }

    impl Wait for Clock {
        type Error = core::convert::Infallible;

        fn ring(&self) -> Option<RingId> {
            self.ring
        }

        fn now(&self) -> Duration {
            self.now.get()
        }

        fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, Self::Error> {
            assert_eq!(round, self.waits, "rounds are counted without a gap");
            self.waits += 1;
            if self.cancel_after == Some(self.waits) {
                return Ok(Wake::Cancelled);
            }
            let next = self.now.get() + self.step;
            self.now.set(until.map_or(next, |until| next.min(until)));
            Ok(Wake::Look)
        }
    }

    fn succeeds_at(
        attempts: &Cell<u32>,
        nth: u32,
    ) -> impl FnMut() -> Result<Option<u32>, BlockingError<core::convert::Infallible>> {
        move || {
            attempts.set(attempts.get() + 1);
            Ok((attempts.get() == nth).then_some(nth))
        }
    }

    #[test]
    fn an_attempt_that_succeeds_at_once_neither_waits_nor_asks_the_clock() {
        let attempts = Cell::new(0);
        let mut clock = Clock::with_step(1);
        assert_eq!(block(&mut clock, Some(Duration::ZERO), succeeds_at(&attempts, 1)), Ok(1));
        assert_eq!(clock.waits, 0);
    }

    #[test]
    fn a_timeout_of_zero_attempts_once_and_does_not_wait() {
        let attempts = Cell::new(0);
        let mut clock = Clock::with_step(1);
        let timed_out = Err(BlockingError::TimedOut { timeout: Duration::ZERO });
        assert_eq!(block(&mut clock, Some(Duration::ZERO), succeeds_at(&attempts, 2)), timed_out);
        assert_eq!((clock.waits, attempts.get()), (0, 1));
    }

    #[test]
    fn there_is_one_last_attempt_after_the_time_is_up() {
        let attempts = Cell::new(0);
        // Waits end at 4, 8 and 10 ms: attempts 1 (before), 2, 3 and 4 (the last).
        let timeout = Duration::from_millis(10);
        assert_eq!(block(&mut Clock::with_step(4), Some(timeout), succeeds_at(&attempts, 4)), Ok(4));
        attempts.set(0);
        let late = block(&mut Clock::with_step(4), Some(timeout), succeeds_at(&attempts, 5));
        assert_eq!((late, attempts.get()), (Err(BlockingError::TimedOut { timeout }), 4));
    }

    #[test]
    fn no_timeout_waits_until_it_succeeds() {
        let attempts = Cell::new(0);
        assert_eq!(block(&mut Clock::with_step(1000), None, succeeds_at(&attempts, 1000)), Ok(1000));
    }

    #[test]
    fn cancelling_ends_the_waiting_at_once() {
        let attempts = Cell::new(0);
        let mut clock = Clock { cancel_after: Some(3), ..Clock::with_step(1) };
        assert_eq!(block(&mut clock, None, succeeds_at(&attempts, 100)), Err(BlockingError::Cancelled));
        assert_eq!(attempts.get(), 3);
    }

    #[test]
    fn a_timeout_beyond_every_clock_is_refused_before_anything_is_tried() {
        let attempts = Cell::new(0);
        let timeout = MAX_TIMEOUT + Duration::from_nanos(1);
        let refused = Err(BlockingError::TimeoutTooLong { timeout, max: MAX_TIMEOUT });
        assert_eq!(block(&mut Clock::with_step(1), Some(timeout), succeeds_at(&attempts, 1)), refused);
        assert_eq!(attempts.get(), 0);
        assert_eq!(block(&mut Clock::with_step(1), Some(MAX_TIMEOUT), succeeds_at(&attempts, 2)), Ok(2));
    }

    #[test]
    fn whoever_may_miss_a_wake_looks_after_a_while_and_not_beyond_the_deadline() {
        /// Returns when it must, and not before.
        struct Asleep(Duration, Vec<u64>);
        impl Wait for Asleep {
            type Error = &'static str;

            fn ring(&self) -> Option<RingId> {
                None
            }

            fn now(&self) -> Duration {
                self.0
            }

            fn wait(&mut self, _round: u32, until: Option<Duration>) -> Result<Wake, Self::Error> {
                let until = until.ok_or("asleep forever")?;
                self.1.push(u64::try_from((until - self.0).as_micros()).unwrap());
                self.0 = until;
                Ok(Wake::Look)
            }
        }
        let asleep = || Asleep(Duration::from_secs(9), Vec::new());
        let never = || Ok(None::<()>);
        let woken_only = block_on(&mut asleep(), RING, None, Until::Woken, never);
        assert_eq!(woken_only, Err(BlockingError::Wait("asleep forever")));
        let (mut waiter, timeout) = (asleep(), Duration::from_millis(50));
        let late = block_on(&mut waiter, RING, Some(timeout), Until::WokenOrSomeTime, never);
        assert_eq!(late, Err(BlockingError::TimedOut { timeout }));
        assert_eq!(waiter.1, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 4500]);
    }

    #[test]
    fn rounds_that_were_spun_do_not_lengthen_the_pauses() {
        /// Returns at once for 50 microseconds, one by one, and then when it must.
        struct SpinsFirst(Duration, u32, Vec<u64>);
        impl Wait for SpinsFirst {
            type Error = &'static str;

            fn ring(&self) -> Option<RingId> {
                None
            }

            fn now(&self) -> Duration {
                self.0
            }

            fn wait(&mut self, _round: u32, until: Option<Duration>) -> Result<Wake, Self::Error> {
                let until = until.ok_or("asleep forever")?;
                if self.1 < 50 {
                    self.1 += 1;
                    self.0 += Duration::from_micros(1);
                } else {
                    self.2.push(u64::try_from((until - self.0).as_micros()).unwrap());
                    self.0 = until;
                }
                Ok(Wake::Look)
            }
        }
        let (mut waiter, timeout) = (SpinsFirst(Duration::from_secs(9), 0, Vec::new()), Duration::from_millis(2));
        let late = block_on(&mut waiter, RING, Some(timeout), Until::WokenOrSomeTime, || Ok(None::<()>));
        assert_eq!(late, Err(BlockingError::TimedOut { timeout }));
        assert_eq!(waiter.2, [50, 200, 400, 800, 500]);
    }

    #[test]
    fn a_waiter_for_another_ring_is_refused_before_anything_is_tried() {
        let attempts = Cell::new(0);
        let other = RingId::new(8);
        for (ring, expected) in [
            (None, Ok(1)),
            (Some(RING), Ok(1)),
            (Some(other), Err(BlockingError::OtherRing { waiter: other, producer: RING })),
        ] {
            attempts.set(0);
            let mut clock = Clock { ring, ..Clock::with_step(1) };
            assert_eq!(block(&mut clock, None, succeeds_at(&attempts, 1)), expected);
            assert_eq!(attempts.get(), u32::from(expected.is_ok()));
        }
    }
}
