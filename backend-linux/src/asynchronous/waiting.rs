//! Waiting in a task: attempts, the line, and the watch over the reactor.
//!
//! No wake is lost: the one who watches attempts, then polls the reactor, and attempts again after whatever the
//! descriptor had to say; the reactor remembers what came since the descriptor was last looked at. A future that is
//! dropped leaves the line, and nothing else of it stays: what it wants is reserved in the very poll that completes it.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::AsFd;
use user_ringbuf_core::{BlockingError, ReserveError};

use super::line::{Line, Place, Service};
use super::{AsyncError, Reactor, ReactorError, WakeFd};
use crate::wait::{Pace, Recheck};

/// Where the tasks of one producer wait.
#[derive(Debug)]
pub(super) struct Waiting<R> {
    reactor: R,
    line: Line,
    clock: Mutex<Clock>,
}

/// When the descriptor becomes readable by itself. Locked over the system calls that change it, none of which sleeps:
/// so `set_by` names a task only while its pause is running, or has ended and nobody has fetched that.
#[derive(Debug)]
struct Clock {
    pace: Pace,
    /// The ticket of the task whose pause it is.
    set_by: Option<u64>,
}

/// The first's watch over the reactor.
#[derive(Default)]
struct Watch {
    /// Looks so far.
    round: u32,
    /// The reactor may know this task as the one to wake.
    begun: bool,
}

impl<R: Reactor> Waiting<R> {
    pub(super) fn new(map: impl AsFd, recheck: Recheck) -> Result<Self, ReactorError> {
        let reactor = R::register(WakeFd::new(map)?)?;
        let clock = Mutex::new(Clock { pace: Pace::new(recheck), set_by: None });
        Ok(Self { reactor, line: Line::default(), clock })
    }

    /// Attempts until one succeeds. An attempt answers `None` for "not yet".
    pub(super) async fn until<T>(
        &self,
        service: Service,
        mut attempt: impl FnMut() -> Result<Option<T>, AsyncError>,
    ) -> Result<T, AsyncError> {
        if service == Service::AnyTime || !self.line.has_order() {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        let place = self.line.join(service);
        let mut watch = Watch::default();
        poll_fn(|cx| self.poll(cx, &place, &mut watch, &mut attempt)).await
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        watch: &mut Watch,
        attempt: &mut impl FnMut() -> Result<Option<T>, AsyncError>,
    ) -> Poll<Result<T, AsyncError>> {
        // The waker is left with the line before the attempt: who looks at the descriptor meanwhile wakes us.
        let first = place.is_first(cx.waker());
        if !first && core::mem::take(&mut watch.begun) {
            // What the reactor woke us for is the first's business now.
            self.line.wake_first();
        }
        if !first && place.service == Service::InOrder {
            return Poll::Pending;
        }
        loop {
            if let Some(done) = attempt()? {
                return Poll::Ready(Ok(done));
            }
            if !first {
                return Poll::Pending;
            }
            ready!(self.poll_watch(cx, place, watch)).map_err(BlockingError::Wait)?;
            self.line.wake_any_time(place);
        }
    }

    /// Ready when it is time for another attempt.
    fn poll_watch(&self, cx: &mut Context<'_>, place: &Place<'_>, watch: &mut Watch) -> Poll<Result<(), ReactorError>> {
        let fd = self.reactor.wake_fd();
        let mut clock = self.clock();
        // Once a round: a task that is polled for other reasons too would put off the look for ever.
        if clock.set_by != Some(place.ticket) {
            if let Some(pause) = clock.pace.pause(watch.round) {
                fd.look_in(pause)?;
                clock.set_by = Some(place.ticket);
            }
        }
        drop(clock);
        watch.begun = true;
        ready!(self.reactor.poll_readable(cx))?;
        let mut clock = self.clock();
        let drained = fd.fetch()?;
        clock.set_by = None;
        clock.pace.note(drained);
        drop(clock);
        watch.round = watch.round.saturating_add(1);
        Poll::Ready(Ok(()))
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failed reservation as an attempt: a full ring means "not yet".
pub(super) fn or_not_yet<T>(reserved: Result<T, ReserveError>) -> Result<Option<T>, AsyncError> {
    match reserved {
        Ok(reserved) => Ok(Some(reserved)),
        Err(why) if why.is_full() => Ok(None),
        Err(why) => Err(why.into()),
    }
}

/// A wait for consumption that was not to wait, as an attempt.
pub(super) fn consumed_or_not_yet(
    waited: Result<(), BlockingError<core::convert::Infallible>>,
) -> Result<Option<()>, AsyncError> {
    match waited {
        Ok(()) => Ok(Some(())),
        Err(BlockingError::Reserve(why)) => Err(why.into()),
        Err(BlockingError::NotSubmitted { position, end }) => Err(BlockingError::NotSubmitted { position, end }),
        // Of the rest only the timeout can come, and it is zero.
        Err(_) => Ok(None),
    }
}
