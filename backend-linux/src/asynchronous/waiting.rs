//! Waiting in a task: attempts in its own polls, and one watch over the reactor for all tasks.
//!
//! What the reactor wakes is not a task but the [`Watch`], which looks on the reactor's own thread: it fetches what the
//! descriptor reports, wakes the tasks in the [`Line`] that may be able to continue, and asks the reactor for the next
//! wake.
//!
//! No wake is lost: a task leaves its waker with the line, makes sure that the line is watched, and only then attempts.
//! Its attempt sees what was fetched before it left its waker; what is fetched later wakes it. A future that is dropped
//! leaves the line and nothing else behind, since it reserves only in the poll that completes it.

use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use user_ringbuf_core::{BlockingError, ReserveError, RingId};

use super::line::{Kinds, Line, Place, Service};
use super::{AsyncError, Reactor, ReactorError, WakeFd};
use crate::map::Map;
use crate::mapping::ConsumerPage;
use crate::wait::{Pace, Recheck, monotonic};

/// Where the tasks of one producer wait.
#[derive(Debug)]
pub(super) struct Waiting<R> {
    watch: Arc<Watch<R>>,
}

/// The watch over the reactor, for all tasks in the line.
#[derive(Debug)]
struct Watch<R> {
    reactor: R,
    consumer: ConsumerPage,
    line: Line,
    clock: Mutex<Clock>,
    /// [`IDLE`], [`LOOKING`] or [`AGAIN`].
    state: AtomicU8,
    /// A [`Bell`]: what the reactor is given to wake.
    waker: Waker,
}

/// No thread looks.
const IDLE: u8 = 0;
/// A thread looks.
const LOOKING: u8 = 1;
/// A thread looks, and has to look once more.
const AGAIN: u8 = 2;

/// When the descriptor becomes readable by itself.
#[derive(Debug)]
struct Clock {
    pace: Pace,
    /// Looks since a task began to wait.
    round: u32,
    /// When the next look is due, on the monotonic clock; `None` if that is to be set.
    due: Option<Duration>,
}

/// What the reactor wakes. It does not keep the watch alive: the watch holds the reactor, and the reactor holds this.
struct Bell<R>(Weak<Watch<R>>);

impl<R: Reactor> Wake for Bell<R> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(watch) = self.0.upgrade() {
            // On failure every task was woken, and will find out why.
            let _ = watch.look();
        }
    }
}

impl<R: Reactor> Waiting<R> {
    pub(super) fn new(map: &Map, producer: RingId, recheck: Recheck) -> Result<Self, ReactorError> {
        let ring = RingId::new(map.id().into());
        if ring != producer {
            return Err(ReactorError::OtherRing { map: ring, producer });
        }
        let consumer = ConsumerPage::map(map)?;
        let reactor = R::register(WakeFd::new(map)?)?;
        let watch = Arc::new_cyclic(|watch: &Weak<Watch<R>>| Watch {
            reactor,
            consumer,
            line: Line::default(),
            clock: Mutex::new(Clock { pace: Pace::new(recheck), round: 0, due: None }),
            state: AtomicU8::new(IDLE),
            waker: Arc::new(Bell(Weak::clone(watch))).into(),
        });
        Ok(Self { watch })
    }

    /// Attempts until one succeeds. An attempt returns `None` for "not yet".
    pub(super) async fn until<T>(
        &self,
        service: Service,
        mut attempt: impl FnMut() -> Result<Option<T>, AsyncError>,
    ) -> Result<T, AsyncError> {
        let watch = &*self.watch;
        if service != Service::InOrder || !watch.line.has_order() {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        let place = watch.line.join(service);
        let mut begun = false;
        poll_fn(|cx| watch.poll(cx, &place, &mut begun, &mut attempt)).await
    }
}

impl<R: Reactor> Watch<R> {
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        begun: &mut bool,
        attempt: &mut impl FnMut() -> Result<Option<T>, AsyncError>,
    ) -> Poll<Result<T, AsyncError>> {
        let duties = place.duties(cx.waker());
        if duties.watches {
            self.look().map_err(BlockingError::Wait)?;
        }
        if duties.attempts {
            if let Some(done) = attempt()? {
                return Poll::Ready(Ok(done));
            }
            // Once per place: a task that is polled for other reasons too must not restart the pauses each time.
            if !core::mem::replace(begun, true) {
                self.begin_pauses().map_err(BlockingError::Wait)?;
            }
        }
        Poll::Pending
    }

    /// A task has just begun to wait: the first looks come after short pauses.
    fn begin_pauses(&self) -> Result<(), ReactorError> {
        let kinds = self.line.kinds();
        let mut clock = self.clock();
        clock.round = 0;
        clock.set(self.reactor.wake_fd(), kinds)
    }

    /// Looks once more, or has the thread that is looking do so. Several threads may be woken for one event, and a
    /// reactor may wake while it is polled.
    fn look(&self) -> Result<(), ReactorError> {
        // Both exchanges acquire and release, so that the thread that looks sees what the other one would have seen.
        if self.state.swap(AGAIN, Ordering::AcqRel) != IDLE {
            return Ok(());
        }
        loop {
            self.state.swap(LOOKING, Ordering::AcqRel);
            let looked = self.look_and_watch();
            if looked.is_err() {
                self.line.give_up();
            }
            if self.state.compare_exchange(LOOKING, IDLE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return looked;
            }
        }
    }

    /// Fetches what the descriptor reports, until the reactor has the waker for what comes next.
    fn look_and_watch(&self) -> Result<(), ReactorError> {
        let fd = self.reactor.wake_fd();
        loop {
            // Whatever the reactor returned: not every reactor can tell that a descriptor is still readable.
            let events = fd.fetch()?;
            if events.drained || events.other {
                self.clock().note(events.drained);
                self.line.wake_reached(self.consumer.position());
            }
            let kinds = self.line.still_waiting();
            if !kinds.room && !kinds.consumption {
                return Ok(());
            }
            self.clock().set(fd, kinds)?;
            match self.reactor.poll_readable(&mut Context::from_waker(&self.waker)) {
                Poll::Pending => return Ok(()),
                Poll::Ready(readable) => readable?,
            }
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    /// There is a look now, for a drain that has woken or because it was due.
    fn note(&mut self, drained: bool) {
        self.pace.note(drained);
        self.round = self.round.saturating_add(1);
        // The next pause begins now: a timer that continued an earlier one would suggest that drains don't wake.
        self.due = None;
    }

    /// Makes sure that there is a look in time. An earlier look that is already due stays due.
    fn set(&mut self, fd: &WakeFd, kinds: Kinds) -> Result<(), ReactorError> {
        let room = self.pace.pause(self.round).filter(|_| kinds.room);
        let consumption = kinds.consumption.then(|| self.pace.pause_for_consumption(self.round));
        let Some(pause) = room.into_iter().chain(consumption).min() else { return Ok(()) };
        let due = monotonic().saturating_add(pause);
        if self.due.is_none_or(|known| due < known) {
            fd.look_in(pause)?;
            self.due = Some(due);
        }
        Ok(())
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

/// A wait with a timeout of zero, as an attempt.
pub(super) fn waited_or_not_yet(
    waited: Result<(), BlockingError<core::convert::Infallible>>,
) -> Result<Option<()>, AsyncError> {
    match waited {
        Ok(()) => Ok(Some(())),
        Err(BlockingError::Reserve(why)) => Err(why.into()),
        Err(BlockingError::NotSubmitted { position, end }) => Err(BlockingError::NotSubmitted { position, end }),
        Err(BlockingError::BeyondRing { bytes, size }) => Err(BlockingError::BeyondRing { bytes, size }),
        // Of the other errors only the timeout can occur, and it is zero.
        Err(_) => Ok(None),
    }
}
