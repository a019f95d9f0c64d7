//! Waiting for a scripted consumer: the core's `Wait` on virtual time.
//!
//! Kernel counterpart: `epoll_wait` on the map's fd, and the clock.

use std::fmt;
use std::time::Duration;

use user_ringbuf_core::{RingId, Wait, Wake};

use super::ScriptedConsumer;
use crate::kernel::{Trigger, Watch};
use crate::memory::KernelMemory;

/// What each look at the ring costs on the virtual clock: about a system call. It makes waiting that spins use time.
const LOOK: Duration = Duration::from_micros(1);

/// How long a wait without a deadline may last before it is assumed to last forever.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A time to return that is no farther away is a look of the core's own, for a wait until consumption.
const LOOK_OF_THE_CORE: Duration = Duration::from_millis(20);

/// Waits on the virtual clock for a [`ScriptedConsumer`] to drain.
#[derive(Debug)]
pub struct SimWaiter<'c, M> {
    consumer: &'c ScriptedConsumer<M>,
    watch: Watch<'c, M>,
    recheck: Option<(Duration, Duration)>,
    cancelled_at: Option<Duration>,
    looks: u64,
    /// When the first wait of a row began.
    first: Duration,
    /// Since then a deadline was named.
    deadline: bool,
}

impl<M: KernelMemory> ScriptedConsumer<M> {
    /// A way for a producer to wait for this consumer, as it would on an edge-triggered epoll fd.
    pub fn waiter(&self) -> SimWaiter<'_, M> {
        self.waiter_with(Trigger::Edge)
    }

    /// As [`waiter`](Self::waiter), for either trigger.
    pub fn waiter_with(&self, trigger: Trigger) -> SimWaiter<'_, M> {
        SimWaiter::new(self, trigger)
    }
}

impl<'c, M: KernelMemory> SimWaiter<'c, M> {
    fn new(consumer: &'c ScriptedConsumer<M>, trigger: Trigger) -> Self {
        let watch = consumer.kernel().watch(trigger);
        Self { consumer, watch, recheck: None, cancelled_at: None, looks: 0, first: Duration::ZERO, deadline: false }
    }

    /// Looks by itself too, after a pause that doubles from `first` up to `longest`: what helps against a consumer that
    /// drains without waking.
    #[must_use]
    pub fn with_recheck(mut self, first: Duration, longest: Duration) -> Self {
        self.recheck = Some((first, longest.max(first)));
        self
    }

    /// Ends every wait that goes on at `time`, or begins later, as another thread would by cancelling.
    #[must_use]
    pub fn cancelled_at(mut self, time: Duration) -> Self {
        self.cancelled_at = Some(time);
        self
    }

    /// How often waiting came back to look at the ring: what it costs in CPU.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    fn pause(&self, round: u32) -> Option<Duration> {
        let (first, longest) = self.recheck?;
        let doubled = 1_u32.checked_shl(round).unwrap_or(u32::MAX);
        Some(first.saturating_mul(doubled).min(longest))
    }
}

impl<M: KernelMemory> Wait for SimWaiter<'_, M> {
    type Error = NeverWoken;

    fn ring(&self) -> Option<RingId> {
        Some(self.consumer.kernel().memory().kernel_ring_id())
    }

    fn now(&self) -> Duration {
        self.consumer.clock().now()
    }

    fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, NeverWoken> {
        let began = self.now();
        if round == 0 {
            (self.first, self.deadline) = (began, false);
        }
        self.deadline |= until.is_some_and(|until| until > began.saturating_add(LOOK_OF_THE_CORE));
        self.looks += 1;
        self.consumer.run_for(LOOK);
        let recheck = self.pause(round).map(|pause| began.saturating_add(pause));
        let times_up = [until, recheck, self.cancelled_at].into_iter().flatten().min();
        let give_up = if self.deadline { Duration::MAX } else { self.first.saturating_add(PATIENCE) };
        loop {
            if self.cancelled_at.is_some_and(|at| at <= self.now()) {
                return Ok(Wake::Cancelled);
            }
            if self.watch.event() {
                return Ok(Wake::Look);
            }
            if self.now() > give_up {
                return Err(NeverWoken { waited_until: self.now() });
            }
            match (self.consumer.next_event(), times_up) {
                (Some(event), times_up) if times_up.is_none_or(|time| event <= time) => self.consumer.run_until(event),
                (_, Some(time)) => {
                    self.consumer.run_until(time);
                    let cancelled = self.cancelled_at.is_some_and(|at| at <= self.now());
                    // An event at this very moment is taken along, not kept for the next wait.
                    self.watch.event();
                    return Ok(if cancelled { Wake::Cancelled } else { Wake::Look });
                }
                (_, None) => return Err(NeverWoken { waited_until: self.now() }),
            }
        }
    }
}

/// A wait without a deadline that nothing will end: the script has no drain that wakes, or none for an hour of virtual
/// time. On a real ring the thread would hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverWoken {
    /// How far the clock had come.
    pub waited_until: Duration,
}

impl fmt::Display for NeverWoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no drain ever ends this wait: at {:?} of virtual time none is scheduled that does",
            self.waited_until
        )
    }
}

impl std::error::Error for NeverWoken {}
