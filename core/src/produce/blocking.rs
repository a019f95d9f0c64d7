//! Waiting for room, and for consumption, on a ring that threads share.
//!
//! Invariant: no lane of the thread's own is open while it waits or lets others go first, and an attempt follows whatever
//! it waited for. Kernel counterpart: as for `wait`.

use core::time::Duration;

use crate::format::position::Position;
use crate::produce::detached::DetachedSample;
use crate::produce::line::LONGEST;
use crate::produce::shared::Shared;
use crate::seam::memory::RingMemory;
use crate::wait::attempts::{Deadline, Until, block_on, checked_room, keep_trying, or_not_yet};
use crate::wait::{BlockingError, Wait};

impl<M: RingMemory> Shared<M> {
    /// Reserves a sample of `len` bytes, waiting for room if necessary: forever if `timeout` is `None`, not at all if
    /// it is zero. Otherwise there is one last attempt when the time is up. Each waiting thread needs its own waiter.
    ///
    /// Threads that wait [take turns](Wait::take_turn) as far as their waiters do: a thread that was served goes to the end
    /// of the line. A thread that has taken its share, the ring's size divided by the number of threads that want room and at
    /// least 16 KiB, [lets those in line go first](Wait::give_way), though there may be room: until the next drain that wakes,
    /// and for a millisecond at most.
    ///
    /// # Errors
    /// [`BlockingError`]. An error that waiting can't change, such as [`ReserveError::TooLarge`](crate::ReserveError::TooLarge), is returned at once.
    pub fn reserve_blocking<W: Wait + ?Sized>(
        &self,
        len: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<DetachedSample<&M>, BlockingError<W::Error>> {
        let sample = self.in_line(waiter, timeout, || or_not_yet(self.reserve(len)))?;
        waiter.took(sample.sample_len().extent());
        Ok(sample)
    }

    /// Copies `bytes` into a sample and submits it, waiting for room as [`reserve_blocking`](Self::reserve_blocking)
    /// does. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As for [`reserve_blocking`](Self::reserve_blocking).
    pub fn push_blocking<W: Wait + ?Sized>(
        &self,
        bytes: &[u8],
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Position, BlockingError<W::Error>> {
        let mut sample = self.reserve_blocking(bytes.len(), waiter, timeout)?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Waits until `bytes` bytes of the ring are free, as [`Producer::wait_room`](crate::Producer::wait_room) does. Other threads may take them
    /// first; the reservation that follows is then [`ReserveError::Full`](crate::ReserveError::Full).
    ///
    /// # Errors
    /// As for [`Producer::wait_room`](crate::Producer::wait_room), except [`ReserveError::ForeignProducer`](crate::ReserveError::ForeignProducer).
    pub fn wait_room<W: Wait + ?Sized>(
        &self,
        bytes: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<(), BlockingError<W::Error>> {
        let size = self.ring_size();
        let bytes = checked_room(size, bytes)?;
        self.in_line(waiter, timeout, || {
            let (consumer, end) = self.ends();
            let used = end.occupied(consumer, size)?;
            Ok((size.bytes() - used >= bytes).then_some(()))
        })
    }

    /// Waits until the kernel has taken everything up to `position`, as [`DetachedSample::submit`] returned it. For
    /// everything so far pass [`position()`](Self::position).
    ///
    /// Other threads may fill the ring again at once, and epoll forgets a wake if the ring is full to the last byte
    /// when it looks. So this operation also looks by itself, after a pause that doubles from 100 microseconds to 20
    /// milliseconds, whatever the waiter's own re-check is.
    ///
    /// # Errors
    /// [`BlockingError`], including [`BlockingError::NotSubmitted`] for a position that lies ahead, and
    /// [`ReserveError::Corrupted`](crate::ReserveError::Corrupted) for positions that can't be those of a ring of this size.
    pub fn wait_consumed<W: Wait + ?Sized>(
        &self,
        position: Position,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<(), BlockingError<W::Error>> {
        let end = self.position();
        if !end.has_reached(position) {
            return Err(BlockingError::NotSubmitted { position, end });
        }
        block_on(waiter, self.memory().ring_id(), timeout, Until::WokenOrSomeTime, || {
            let (consumer, end) = self.ends();
            end.occupied(consumer, self.ring_size())?;
            Ok(consumer.has_reached(position).then_some(()))
        })
    }

    /// Attempts until there is room, in line if it takes more than one attempt.
    pub(crate) fn in_line<T, W: Wait + ?Sized>(
        &self,
        waiter: &mut W,
        timeout: Option<Duration>,
        mut attempt: impl FnMut() -> Result<Option<T>, BlockingError<W::Error>>,
    ) -> Result<T, BlockingError<W::Error>> {
        let mut deadline = Deadline::new(waiter, self.memory().ring_id(), timeout)?;
        if !deadline.is_now() && self.line().share(self.memory()).is_some_and(|share| waiter.took(0) >= share) {
            let longest = waiter.now().saturating_add(LONGEST);
            let until = deadline.begin(waiter)?.map_or(longest, |end| end.min(longest));
            let _place = self.line().join(self.memory());
            waiter.give_way(until).map_err(BlockingError::Wait)?;
        }
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        deadline.begin(waiter)?;
        let _place = self.line().join(self.memory());
        waiter.take_turn().map_err(BlockingError::Wait)?;
        keep_trying(waiter, deadline, Until::Woken, attempt)
    }
}
