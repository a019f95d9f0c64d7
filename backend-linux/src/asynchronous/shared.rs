//! Many tasks on one ring.

use core::fmt;
use core::time::Duration;

use user_ringbuf_core::{DetachedSample, Position, ReserveError, RingMemory, Shared};

use super::line::Service;
use super::waiting::{Waiting, or_not_yet, waited_or_not_yet};
use super::{AsyncError, AsyncSet, NotAsync, Reactor, ReactorError};
use crate::map::Map;
use crate::wait::{Recheck, Spin};

/// A [`Shared`] producer whose tasks wait for room without blocking their threads. Share it by reference, or by `Arc`.
///
/// **Fair**: tasks get room in the order in which they began to wait, whatever they ask for. Short samples don't
/// overtake a long one; they wait behind it. What is reserved on [`shared`](Self::shared) directly does not queue.
///
/// **Cancel-safe**: nothing is reserved before a future completes, so dropping it earlier leaves nothing behind. It
/// loses its place in the line.
///
/// One handle has three descriptors, a mapped page and one registration, however many tasks use it; many rings share the
/// registration in an [`AsyncSet`]. Drains wake it, and for drains that don't wake it looks at the ring by itself as its
/// [`Recheck`] says. It always does so for tasks that wait for consumption, since epoll may forget a wake that they need.
/// The cost of a look depends on how many tasks it serves, not on how many wait.
///
/// # Minimum kernel version
/// Linux 6.1.
pub struct AsyncShared<M: RingMemory, R: Reactor> {
    shared: Shared<M>,
    waiting: Waiting<R>,
}

impl<M: RingMemory, R: Reactor> AsyncShared<M, R> {
    /// Lets tasks wait for room in `map`, the ring of `shared`, with the default [`Recheck`].
    ///
    /// # Errors
    /// [`ReactorError`]: no runtime, another map than the producer's, or what a system call or the reactor returned.
    /// Nothing stays open then.
    pub fn new(shared: Shared<M>, map: &Map) -> Result<Self, ReactorError> {
        Self::with_recheck(shared, map, Recheck::default())
    }

    /// Like [`new`](Self::new), but looks at the ring by itself as often as `recheck` says.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_recheck(shared: Shared<M>, map: &Map, recheck: Recheck) -> Result<Self, ReactorError> {
        Self::try_new(shared, map, recheck).map_err(ReactorError::from)
    }

    /// Like [`with_recheck`](Self::with_recheck), but gives the producer back on failure.
    ///
    /// # Errors
    /// [`NotAsync`], with the producer and the error that [`with_recheck`](Self::with_recheck) would return.
    pub fn try_new(shared: Shared<M>, map: &Map, recheck: Recheck) -> Result<Self, NotAsync<Shared<M>>> {
        match Waiting::alone(map, shared.memory().ring_id(), recheck) {
            Ok(waiting) => Ok(Self { shared, waiting }),
            Err(error) => Err(NotAsync { producer: shared, error }),
        }
    }

    /// Waits in `set`, together with other rings, looking by itself as often as the set says. Gives the producer back where
    /// it fails.
    ///
    /// # Errors
    /// [`NotAsync`], with the producer and why: another map than the producer's, or what a system call returned.
    pub fn in_set(shared: Shared<M>, map: &Map, set: &AsyncSet<R>) -> Result<Self, NotAsync<Shared<M>>> {
        match Waiting::join(&set.watch, map, shared.memory().ring_id()) {
            Ok(waiting) => Ok(Self { shared, waiting }),
            Err(error) => Err(NotAsync { producer: shared, error }),
        }
    }

    /// Lets tasks wait for room in memory that is not a kernel's map, such as `user-ringbuf-sim`'s: for tests of services,
    /// which need no root then. No drain wakes there: call [`look`](Self::look) after one, or leave it to `recheck`.
    ///
    /// # Errors
    /// [`ReactorError`]: no runtime, or what a system call or the reactor returned. Nothing stays open then.
    pub fn simulated(shared: Shared<M>, recheck: Recheck) -> Result<Self, ReactorError>
    where
        M: Clone + Send + Sync + 'static,
    {
        let waiting = Waiting::simulated(shared.memory().clone(), recheck)?;
        Ok(Self { shared, waiting })
    }

    /// Looks at the ring now, and wakes the tasks that can go on. A kernel that wakes when it drains makes this
    /// unnecessary. It is for those who learn of a drain otherwise: from an answer that came back, after a drain with
    /// `BPF_RB_NO_WAKEUP`, or in a test that drains simulated memory itself. It makes no system call of its own.
    pub fn look(&self) {
        self.waiting.look();
    }

    /// Reserves a sample of `len` bytes, which borrows this producer's memory, as soon as there is room.
    ///
    /// First come, first served: no task is served before the first in the line has its room, or its future is dropped.
    /// So a future that was polled once and is then kept without being polled holds up every task that began to wait
    /// for room after it. It does not hold up tasks that wait for consumption.
    ///
    /// # Errors
    /// [`AsyncError`]. An error that waiting can't change, such as [`ReserveError::TooLarge`], is returned at once.
    pub async fn reserve(&self, len: usize) -> Result<DetachedSample<&M>, AsyncError> {
        self.check(len)?;
        self.waiting.until(Service::InOrder, || or_not_yet(self.shared.reserve(len))).await
    }

    /// Reserves a sample of `len` bytes, which holds a clone of the memory and so may outlive this producer.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    pub async fn reserve_owned(&self, len: usize) -> Result<DetachedSample<M>, AsyncError>
    where
        M: Clone,
    {
        self.check(len)?;
        self.waiting.until(Service::InOrder, || or_not_yet(self.shared.reserve_owned(len))).await
    }

    /// Copies `bytes` into a sample and submits it, as soon as there is room. Returns the position at which the record
    /// ends.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    pub async fn push(&self, bytes: &[u8]) -> Result<Position, AsyncError> {
        self.check(bytes.len())?;
        self.waiting.until(Service::InOrder, || or_not_yet(self.shared.push(bytes))).await
    }

    /// Waits until the kernel has taken everything up to `position`, as
    /// [`submit`](user_ringbuf_core::DetachedSample::submit) returned it. It does not queue behind tasks that wait for
    /// room.
    ///
    /// # Errors
    /// As for [`Shared::wait_consumed`].
    pub async fn wait_consumed(&self, position: Position) -> Result<(), AsyncError> {
        let look = || waited_or_not_yet(self.shared.wait_consumed(position, &mut Spin::new(), Some(Duration::ZERO)));
        self.waiting.until(Service::ConsumedTo(position), look).await
    }

    /// Waits until `bytes` bytes of the ring are free, in line with the tasks that reserve. Others may take the bytes
    /// before this task does: see [`Shared::wait_room`].
    ///
    /// # Errors
    /// As for [`Shared::wait_room`].
    pub async fn wait_room(&self, bytes: usize) -> Result<(), AsyncError> {
        let look = || waited_or_not_yet(self.shared.wait_room(bytes, &mut Spin::new(), Some(Duration::ZERO)));
        self.waiting.until(Service::InOrder, look).await
    }

    /// What can never fit is refused before it queues.
    fn check(&self, len: usize) -> Result<(), ReserveError> {
        let size = self.shared.ring_size();
        let max = size.max_sample_len();
        size.sample_len(len).map(drop).ok_or(ReserveError::TooLarge { len, max })
    }

    /// The producer itself, for what needs no waiting.
    pub fn shared(&self) -> &Shared<M> {
        &self.shared
    }

    /// Gives the producer back.
    pub fn into_shared(self) -> Shared<M> {
        self.shared
    }
}

// Not derived: that would ask for `M: Debug`, and not for what `Shared<M>` asks.
impl<M: RingMemory, R: Reactor + fmt::Debug> fmt::Debug for AsyncShared<M, R>
where
    Shared<M>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncShared").field("shared", &self.shared).field("waiting", &self.waiting).finish()
    }
}
