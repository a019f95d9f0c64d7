//! Waiting in a task: attempts in its own polls, and one watch over the reactor for all tasks of all rings of a set.
//!
//! What the reactor wakes is not a task but the [`Watch`], which looks on the reactor's own thread: it fetches what the
//! descriptor reports, wakes the tasks that may be able to continue in the [`Line`](super::line::Line) of each ring
//! concerned, and asks the reactor for the next wake.
//!
//! No wake is lost: a task leaves its waker with the line, makes sure that the line is watched, and only then attempts.
//! Its attempt sees what was fetched before it left its waker; what is fetched later wakes it. A future that is dropped
//! leaves the line and nothing else behind, since it reserves only in the poll that completes it.

use core::future::poll_fn;
use core::task::{Context, Poll};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use user_ringbuf_core::{BlockingError, ReserveError, RingId, RingPositions};

use super::line::{Place, Service};
use super::rings::{Ring, Rings};
use super::sync::{AtomicU8, AtomicUsize, Ordering};
use super::wake_fd::AT_ONCE;
use super::{AsyncError, Reactor, ReactorError, WakeFd};
use crate::map::Map;
use crate::wait::Recheck;

/// Where the tasks of one producer wait: its ring's place in a watch, given up when this is dropped.
#[derive(Debug)]
pub(super) struct Waiting<R: Reactor> {
    watch: Arc<Watch<R>>,
    ring: Arc<Ring>,
}

/// The watch over the reactor, for all tasks in the lines of its rings.
#[derive(Debug)]
pub(super) struct Watch<R> {
    reactor: R,
    rings: Rings,
    /// How many lines are watched. Where none is, the reactor need not wake.
    watched: AtomicUsize,
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
    /// In a watch of its own.
    pub(super) fn alone(map: &Map, producer: RingId, recheck: Recheck) -> Result<Self, ReactorError> {
        // What is refused is refused before anything is registered.
        check_ring(map, producer)?;
        Self::join(&Watch::new(recheck)?, map, producer)
    }

    /// In a watch that other rings share.
    pub(super) fn join(watch: &Arc<Watch<R>>, map: &Map, producer: RingId) -> Result<Self, ReactorError> {
        check_ring(map, producer)?;
        let ring = watch.rings.add(map, watch.reactor.wake_fd())?;
        Ok(Self { watch: Arc::clone(watch), ring })
    }

    /// Over simulated memory, in a watch of its own.
    pub(super) fn simulated<M>(memory: M, recheck: Recheck) -> Result<Self, ReactorError>
    where
        M: RingPositions + Send + Sync + 'static,
    {
        let watch = Watch::<R>::new(recheck)?;
        let ring = watch.rings.add_simulated(memory, watch.reactor.wake_fd())?;
        Ok(Self { watch, ring })
    }

    /// Wakes those whose time may have come.
    pub(super) fn look(&self) {
        self.ring.wake_reached();
    }

    /// Attempts until one succeeds. An attempt returns `None` for "not yet".
    pub(super) async fn until<T>(
        &self,
        service: Service,
        mut attempt: impl FnMut() -> Result<Option<T>, AsyncError>,
    ) -> Result<T, AsyncError> {
        let Self { watch, ring } = self;
        if service != Service::InOrder || !ring.line.has_order() {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        let place = ring.line.join(service);
        let mut begun = false;
        poll_fn(|cx| watch.poll(cx, ring, &place, &mut begun, &mut attempt)).await
    }
}

impl<R: Reactor> Drop for Waiting<R> {
    fn drop(&mut self) {
        // No future of this producer is left, so nobody stands in the line.
        self.watch.settle(&self.ring);
        self.watch.rings.remove(&self.ring, self.watch.reactor.wake_fd());
    }
}

fn check_ring(map: &Map, producer: RingId) -> Result<(), ReactorError> {
    let ring = RingId::new(map.id().into());
    if ring == producer { Ok(()) } else { Err(ReactorError::OtherRing { map: ring, producer }) }
}

impl<R: Reactor> Watch<R> {
    pub(super) fn new(recheck: Recheck) -> Result<Arc<Self>, ReactorError> {
        let reactor = R::register(WakeFd::new()?)?;
        Ok(Arc::new_cyclic(|watch: &Weak<Self>| Self {
            reactor,
            rings: Rings::new(recheck),
            watched: AtomicUsize::new(0),
            state: AtomicU8::new(IDLE),
            waker: Arc::new(Bell(Weak::clone(watch))).into(),
        }))
    }

    pub(super) fn len(&self) -> usize {
        self.rings.len()
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        ring: &Ring,
        place: &Place<'_>,
        begun: &mut bool,
        attempt: &mut impl FnMut() -> Result<Option<T>, AsyncError>,
    ) -> Poll<Result<T, AsyncError>> {
        let duties = place.duties(cx.waker());
        if duties.watches {
            // Relaxed: whoever looks acquires it by the exchange in `look`.
            self.watched.fetch_add(1, Ordering::Relaxed);
            let fd = self.reactor.wake_fd();
            self.rings.look_in_time(ring, fd).map_err(ReactorError::from).map_err(BlockingError::Wait)?;
            self.look().map_err(BlockingError::Wait)?;
        }
        if duties.attempts {
            if let Some(done) = attempt()? {
                return Poll::Ready(Ok(done));
            }
            // Once per place: a task that is polled for other reasons too must not restart the pauses each time.
            if !core::mem::replace(begun, true) {
                let fd = self.reactor.wake_fd();
                self.rings.begin_pauses(ring, fd).map_err(ReactorError::from).map_err(BlockingError::Wait)?;
            }
        }
        Poll::Pending
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
                for ring in self.rings.all() {
                    self.give_up(&ring);
                }
            }
            if self.state.compare_exchange(LOOKING, IDLE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return looked;
            }
        }
    }

    /// Fetches what the descriptor reports, until the reactor has the waker for what comes next.
    fn look_and_watch(&self) -> Result<(), ReactorError> {
        let fd = self.reactor.wake_fd();
        let mut keys = [0; AT_ONCE];
        loop {
            // Whatever the reactor returned: not every reactor can tell that a descriptor is still readable.
            let events = fd.fetch(&mut keys)?;
            for ring in keys.iter().take(events.rings).filter_map(|key| self.rings.drained(*key)) {
                self.serve(&ring)?;
            }
            if events.other {
                for ring in self.rings.due() {
                    self.serve(&ring)?;
                }
                self.rings.set_timer(fd)?;
            }
            if events.more {
                continue;
            }
            if self.watched.load(Ordering::Relaxed) == 0 {
                return Ok(());
            }
            match self.reactor.poll_readable(&mut Context::from_waker(&self.waker)) {
                Poll::Pending => return Ok(()),
                Poll::Ready(readable) => readable?,
            }
        }
    }

    /// Wakes the tasks that may be able to continue, and goes on watching if a task is left.
    fn serve(&self, ring: &Ring) -> Result<(), ReactorError> {
        ring.wake_reached();
        self.settle(ring);
        self.rings.look_in_time(ring, self.reactor.wake_fd())?;
        Ok(())
    }

    /// Stops watching a line in which no task waits.
    fn settle(&self, ring: &Ring) {
        if ring.line.ceases() {
            self.watched.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The line can't be watched: wakes every task, so that each finds out why.
    fn give_up(&self, ring: &Ring) {
        if ring.line.give_up() {
            self.watched.fetch_sub(1, Ordering::Relaxed);
        }
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

#[cfg(all(test, user_ringbuf_loom))]
mod models;
