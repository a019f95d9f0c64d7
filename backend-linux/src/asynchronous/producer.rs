//! One task on a ring of its own.

use core::time::Duration;

use user_ringbuf_core::{Position, Producer, RingMemory, Sample};

use super::line::Service;
use super::waiting::{Waiting, or_not_yet, waited_or_not_yet};
use super::{AsyncError, AsyncSet, NotAsync, Reactor, ReactorError};
use crate::map::Map;
use crate::wait::{Recheck, Spin};

/// An exclusive [`Producer`] whose task waits for room without blocking its thread.
///
/// **Cancel-safe**: dropping a future that has not completed leaves nothing behind.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
pub struct AsyncProducer<M: RingMemory, R: Reactor> {
    producer: Producer<M>,
    waiting: Waiting<R>,
}

impl<M: RingMemory, R: Reactor> AsyncProducer<M, R> {
    /// Lets a task wait for room in `map`, the ring of `producer`, with the default [`Recheck`].
    ///
    /// # Errors
    /// [`ReactorError`]: no runtime, another map than the producer's, or what a system call or the reactor returned.
    /// Nothing stays open then.
    pub fn new(producer: Producer<M>, map: &Map) -> Result<Self, ReactorError> {
        Self::with_recheck(producer, map, Recheck::default())
    }

    /// Like [`new`](Self::new), but looks at the ring by itself as often as `recheck` says.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_recheck(producer: Producer<M>, map: &Map, recheck: Recheck) -> Result<Self, ReactorError> {
        Self::try_new(producer, map, recheck).map_err(ReactorError::from)
    }

    /// Like [`with_recheck`](Self::with_recheck), but gives the producer back on failure.
    ///
    /// # Errors
    /// [`NotAsync`], with the producer and the error that [`with_recheck`](Self::with_recheck) would return.
    pub fn try_new(producer: Producer<M>, map: &Map, recheck: Recheck) -> Result<Self, NotAsync<Producer<M>>> {
        match Waiting::alone(map, producer.memory().ring_id(), recheck) {
            Ok(waiting) => Ok(Self { producer, waiting }),
            Err(error) => Err(NotAsync { producer, error }),
        }
    }

    /// Waits in `set`, together with other rings, looking by itself as often as the set says. Gives the producer back where
    /// it fails.
    ///
    /// # Errors
    /// [`NotAsync`], with the producer and why: another map than the producer's, or what a system call returned.
    pub fn in_set(producer: Producer<M>, map: &Map, set: &AsyncSet<R>) -> Result<Self, NotAsync<Producer<M>>> {
        match Waiting::join(&set.watch, map, producer.memory().ring_id()) {
            Ok(waiting) => Ok(Self { producer, waiting }),
            Err(error) => Err(NotAsync { producer, error }),
        }
    }

    /// Lets a task wait for room in memory that is not a kernel's map, such as `user-ringbuf-sim`'s: for tests, which need
    /// no root then. No drain wakes there, so it looks by itself, as `recheck` says.
    ///
    /// # Errors
    /// [`ReactorError`]: no runtime, or what a system call or the reactor returned. Nothing stays open then.
    pub fn simulated(producer: Producer<M>, recheck: Recheck) -> Result<Self, ReactorError>
    where
        M: Clone + Send + Sync + 'static,
    {
        let waiting = Waiting::simulated(producer.memory().clone(), recheck)?;
        Ok(Self { producer, waiting })
    }

    /// Reserves a sample of `len` bytes as soon as there is room.
    ///
    /// # Errors
    /// [`AsyncError`]. An error that waiting can't change, such as
    /// [`ReserveError::TooLarge`](user_ringbuf_core::ReserveError::TooLarge), is returned at once.
    pub async fn reserve(&mut self, len: usize) -> Result<Sample<'_, M>, AsyncError> {
        let Self { producer, waiting } = self;
        // A reservation that is dropped leaves no trace: it only shows that there is room.
        waiting.until(Service::InOrder, || or_not_yet(producer.reserve(len).map(drop))).await?;
        // Only this producer takes room, so the room that was found is still free.
        Ok(producer.reserve(len)?)
    }

    /// Copies `bytes` into a sample and submits it, as soon as there is room. Returns the position at which the record
    /// ends.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    pub async fn push(&mut self, bytes: &[u8]) -> Result<Position, AsyncError> {
        let Self { producer, waiting } = self;
        waiting.until(Service::InOrder, || or_not_yet(producer.push(bytes))).await
    }

    /// Waits until the kernel has taken everything up to `position`, as [`Sample::submit`] returned it.
    ///
    /// # Errors
    /// As [`Producer::wait_consumed`].
    pub async fn wait_consumed(&self, position: Position) -> Result<(), AsyncError> {
        let look = || waited_or_not_yet(self.producer.wait_consumed(position, &mut Spin::new(), Some(Duration::ZERO)));
        self.waiting.until(Service::ConsumedTo(position), look).await
    }

    /// Waits until `bytes` bytes of the ring are free: room for a whole batch. See [`Producer::wait_room`].
    ///
    /// # Errors
    /// As [`Producer::wait_room`].
    pub async fn wait_room(&self, bytes: usize) -> Result<(), AsyncError> {
        let look = || waited_or_not_yet(self.producer.wait_room(bytes, &mut Spin::new(), Some(Duration::ZERO)));
        self.waiting.until(Service::InOrder, look).await
    }

    /// The producer itself, for what needs no waiting.
    pub fn producer(&self) -> &Producer<M> {
        &self.producer
    }

    /// The producer itself, for what needs no waiting.
    pub fn producer_mut(&mut self) -> &mut Producer<M> {
        &mut self.producer
    }

    /// Gives the producer back.
    pub fn into_producer(self) -> Producer<M> {
        self.producer
    }
}
