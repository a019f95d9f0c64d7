//! A thread's handle on a shared producer that takes lanes by itself while several threads send much.
//!
//! Invariant: the record held is this thread's, and is a lane only while the thread takes its share of the ring. Kernel
//! counterpart: as for `lane`.

use core::ops::{Deref, DerefMut};
use core::time::Duration;

use crate::error::ReserveError;
use crate::format::layout::{RingSize, SampleLen, filler_len};
use crate::format::position::Position;
use crate::produce::busy::BusyRecord;
use crate::produce::payload::{BeyondSample, Payload};
use crate::produce::shared::Shared;
use crate::seam::memory::RingMemory;
use crate::wait::attempts::{Deadline, or_not_yet};
use crate::wait::{BlockingError, Wait};

/// How many times a thread's own bytes the others may reserve, for it to count as one that sends as much as they do.
const OTHERS: u64 = 8;

/// One thread's handle on a [`Shared`] producer, by reference or by `Arc`. It reserves single samples as `Shared` does,
/// and a [`Lane`](crate::Lane) by itself while this thread and others send much at the same time.
///
/// Samples are visible to the kernel as soon as they are submitted, in the order in which this thread reserved them.
///
/// # What an open lane holds up
/// Everything that other threads reserve behind an open lane waits for it. So a lane is
/// - short: at most 4 KiB and a 32nd of the ring, or what [`with_longest`](Self::with_longest) says;
/// - taken only by a thread that sends: it begins with single samples, doubles the stretch as long as the other threads
///   reserve no more than eight times what this one does, and halves it when they reserve next to nothing;
/// - given up when it is used up, when the handle is dropped or [released](Self::release), and at the thread's next call
///   if the others have reserved more than eight times its length by then: that sample is a single one.
///
/// A thread that makes no call gives up nothing. Call [`release`](Self::release) before the thread waits for something
/// else, above all for what another thread's sample brings about. Where that can't be seen to, use [`Shared`] itself.
#[derive(Debug)]
pub struct AutoLane<S, M: RingMemory> {
    shared: S,
    own: Own<M>,
}

/// What the thread holds and knows.
#[derive(Debug)]
struct Own<M: RingMemory> {
    record: Option<BusyRecord<M>>,
    /// Where the record that this thread reserved last ends.
    end: Position,
    pace: Pace,
}

impl<S: Deref<Target = Shared<M>>, M: RingMemory + Clone> AutoLane<S, M> {
    /// A handle for one thread. It reserves nothing yet.
    pub fn new(shared: S) -> Self {
        let longest = (shared.ring_size().bytes() / 32).min(4096);
        Self::with_longest(shared, longest)
    }

    /// A handle whose lanes are at most `longest` bytes long, headers included. With 0 it takes none.
    pub fn with_longest(shared: S, longest: u32) -> Self {
        let pace = Pace::new(longest.min(shared.ring_size().bytes()));
        let end = shared.position();
        Self { shared, own: Own { record: None, end, pace } }
    }

    /// Reserves a sample of `len` bytes.
    ///
    /// # Errors
    /// As for [`Shared::reserve`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<AutoSample<'_, M>, ReserveError> {
        let (shared, own) = (&*self.shared, &mut self.own);
        let len = checked(shared.ring_size(), len)?;
        if !own.goes_on(shared, len) {
            own.take(shared, len)?;
        }
        Ok(own.begun())
    }

    /// Reserves a sample, copies `bytes` into it and submits it. Returns the position at which its record ends.
    ///
    /// # Errors
    /// As for [`Shared::reserve`].
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<Position, ReserveError> {
        let mut sample = self.reserve(bytes.len())?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Reserves a sample of `len` bytes, waiting for room and letting others go first as [`Shared::reserve_blocking`]
    /// does. No lane is open meanwhile.
    ///
    /// # Errors
    /// As for [`Shared::reserve_blocking`].
    pub fn reserve_blocking<W: Wait + ?Sized>(
        &mut self,
        len: usize,
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<AutoSample<'_, M>, BlockingError<W::Error>> {
        let (shared, own) = (&*self.shared, &mut self.own);
        // A mistake shows at once, also while a lane lasts.
        Deadline::new(waiter, shared.memory().ring_id(), timeout)?;
        let len = checked(shared.ring_size(), len)?;
        if !own.goes_on(shared, len) {
            own.record = None;
            shared.in_line(waiter, timeout, || or_not_yet(own.take(shared, len)))?;
        }
        waiter.took(len.extent());
        Ok(own.begun())
    }

    /// Copies `bytes` into a sample and submits it, waiting for room as [`reserve_blocking`](Self::reserve_blocking)
    /// does. Returns the position at which the record ends.
    ///
    /// # Errors
    /// As for [`reserve_blocking`](Self::reserve_blocking).
    pub fn push_blocking<W: Wait + ?Sized>(
        &mut self,
        bytes: &[u8],
        waiter: &mut W,
        timeout: Option<Duration>,
    ) -> Result<Position, BlockingError<W::Error>> {
        let mut sample = self.reserve_blocking(bytes.len(), waiter, timeout)?;
        sample.write_whole(bytes);
        Ok(sample.submit())
    }

    /// Gives up the lane, if one is open: the kernel reaches what lies behind it.
    #[inline]
    pub fn release(&mut self) {
        self.own.record = None;
    }

    /// Bytes left in the open lane; 0 if none is open.
    #[inline]
    pub fn left(&self) -> u32 {
        self.own.record.as_ref().map_or(0, BusyRecord::extent)
    }

    /// The producer that this is a handle on.
    #[inline]
    pub fn shared(&self) -> &Shared<M> {
        &self.shared
    }
}

fn checked(size: RingSize, len: usize) -> Result<SampleLen, ReserveError> {
    size.sample_len(len).ok_or(ReserveError::TooLarge { len, max: size.max_sample_len() })
}

impl<M: RingMemory + Clone> Own<M> {
    /// Whether the others have reserved too much behind the last lane for it to stay open.
    #[inline]
    fn is_late(&self, shared: &Shared<M>) -> bool {
        let lane = u64::from(self.pace.stretch);
        lane > 0 && shared.reserved_behind(self.end) > OTHERS * lane
    }

    /// Makes a sample of `len` bytes the front of the open lane. Returns `false` if none is open, if it is late, or if too
    /// little is left.
    #[inline]
    fn goes_on(&mut self, shared: &Shared<M>, len: SampleLen) -> bool {
        !self.is_late(shared) && self.record.as_mut().is_some_and(|record| record.begin(len))
    }

    /// The sample that was begun.
    #[inline]
    fn begun(&mut self) -> AutoSample<'_, M> {
        match &mut self.record {
            Some(record) => AutoSample { record, alone: self.pace.stretch == 0 },
            None => unreachable!("a sample was begun in it"),
        }
    }

    /// Takes the next record: a lane, or the one sample alone, as it is for a thread that was late with its last lane.
    fn take(&mut self, shared: &Shared<M>, len: SampleLen) -> Result<(), ReserveError> {
        let stretch = if self.is_late(shared) { 0 } else { self.pace.next(len.extent()) };
        self.record = None;
        let memory = || M::clone(shared.memory());
        let lane =
            if stretch > len.extent() { shared.ring_size().sample_len(filler_len(stretch) as usize) } else { None };
        let (stretch, mut record) = match lane.map(|lane| shared.reserve_record(memory(), lane)) {
            Some(Ok(record)) => (record.extent(), record),
            // No lane is wanted, or there is no room for one.
            Some(Err(_)) | None => (0, shared.reserve_record(memory(), len)?),
        };
        let others = record.start().distance_from(self.end);
        self.end = record.end();
        self.pace.took(stretch, record.extent(), others);
        record.begin(len);
        self.record = Some(record);
        Ok(())
    }
}

/// Room for one sample of an [`AutoLane`]: fill it in place through [`Payload`], then submit it. Dropping it discards it.
#[derive(Debug)]
#[must_use = "a sample that is dropped is discarded: submit it"]
pub struct AutoSample<'l, M: RingMemory> {
    record: &'l mut BusyRecord<M>,
    /// The record holds this sample alone, so nothing of it stays behind.
    alone: bool,
}

impl<M: RingMemory> AutoSample<'_, M> {
    /// Submits the sample. Returns the position at which its record ends.
    ///
    /// This is a release store of the header's length word, which pairs with the acquire load in
    /// `__bpf_user_ringbuf_peek`.
    #[inline]
    pub fn submit(self) -> Position {
        if self.alone { self.record.commit_last() } else { self.record.commit_front() }
    }

    /// Submits only the first `len` bytes.
    ///
    /// # Errors
    /// [`BeyondSample`] if `len` is longer than what was reserved. The sample is then discarded.
    #[inline]
    pub fn submit_len(mut self, len: usize) -> Result<Position, BeyondSample> {
        self.shorten(len)?;
        Ok(self.submit())
    }

    /// Discards the sample, as dropping it does.
    #[inline]
    pub fn discard(self) {}
}

impl<M: RingMemory> Deref for AutoSample<'_, M> {
    type Target = Payload<M>;

    #[inline]
    fn deref(&self) -> &Payload<M> {
        self.record
    }
}

impl<M: RingMemory> DerefMut for AutoSample<'_, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Payload<M> {
        self.record
    }
}

impl<M: RingMemory> Drop for AutoSample<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if self.alone {
            self.record.discard();
        }
    }
}

/// What this thread reserved lately, and what the others reserved meanwhile. Pure arithmetic.
#[derive(Debug)]
struct Pace {
    ours: u64,
    others: u64,
    /// Length of the lane taken last; 0 for a single sample.
    stretch: u32,
    longest: u32,
}

impl Pace {
    fn new(longest: u32) -> Self {
        Self { ours: 0, others: 0, stretch: 0, longest }
    }

    /// Bytes of the next stretch, for a sample of `extent` bytes: a lane if that is longer.
    fn next(&self, extent: u32) -> u32 {
        if self.others > OTHERS * self.ours {
            return 0;
        }
        let alone = self.others <= self.ours / 64;
        let stretch = if alone { self.stretch / 2 } else { self.stretch.max(extent).saturating_mul(2) };
        stretch.min(self.longest) & !7
    }

    /// Counts `ours` bytes that this thread reserved, for a lane of `stretch` bytes or a single sample, and what others
    /// reserved since its last ones. What is long past counts for half again and again.
    fn took(&mut self, stretch: u32, ours: u32, others: u64) {
        self.stretch = stretch;
        self.ours += u64::from(ours);
        let window = 2 * u64::from(self.longest);
        // A thread that was idle for long is soon one of the busy ones again.
        self.others = (self.others.saturating_add(others)).min(2 * OTHERS * window);
        if self.ours > window {
            self.ours /= 2;
            self.others /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;
    use crate::format::layout::record_extent;

    const RECORD: u32 = record_extent(40);

    const LONGEST: u32 = 4096;

    fn pace() -> Pace {
        Pace::new(LONGEST)
    }

    /// Takes `takes` times what `pace` says, while others reserve `others(stretch)` in between.
    fn go(pace: &mut Pace, takes: u32, others: impl Fn(u32) -> u64) -> u32 {
        for _ in 0..takes {
            let stretch = pace.next(RECORD);
            let lane = if stretch > RECORD { stretch } else { 0 };
            pace.took(lane, lane.max(RECORD), others(lane.max(RECORD)));
        }
        pace.stretch
    }

    #[test]
    fn a_thread_alone_takes_no_lane() {
        assert_eq!(go(&mut pace(), 1000, |_| 0), 0);
    }

    #[test]
    fn a_thread_beside_others_that_send_as_much_takes_longer_and_longer_lanes_up_to_the_longest() {
        for threads in [1, 3, 8] {
            let mut pace = pace();
            assert!((2 * RECORD..=4 * RECORD).contains(&go(&mut pace, 2, |ours| threads * u64::from(ours))));
            assert_eq!(go(&mut pace, 10, |ours| threads * u64::from(ours)), LONGEST);
        }
    }

    #[test]
    fn a_thread_that_sends_little_beside_the_others_takes_no_lane() {
        assert_eq!(go(&mut pace(), 1000, |ours| 20 * u64::from(ours)), 0);
    }

    #[test]
    fn a_thread_that_is_left_alone_halves_its_lanes_until_it_takes_none() {
        let mut pace = pace();
        go(&mut pace, 20, u64::from);
        // The others still count for a while.
        let stretches: Vec<_> = (0..200).map(|_| go(&mut pace, 1, |_| 0)).collect();
        let halved: Vec<_> = stretches.chunk_by(u32::eq).map(|same| same[0]).collect();
        assert_eq!(halved, [4096, 2048, 1024, 512, 256, 128, 64, 0]);
    }

    #[test]
    fn a_thread_that_was_idle_for_long_takes_lanes_again_after_one_to_four_times_the_longest() {
        let mut pace = pace();
        go(&mut pace, 20, u64::from);
        pace.took(0, RECORD, u64::MAX);
        assert_eq!(go(&mut pace, LONGEST / RECORD, u64::from), 0);
        assert!(go(&mut pace, 3 * LONGEST / RECORD, u64::from) > RECORD);
    }

    #[test]
    fn a_lane_is_no_longer_than_asked_for_and_a_multiple_of_eight() {
        for (longest, most) in [(0, 0), (RECORD, 0), (100, 96), (1 << 31, 1 << 31)] {
            assert_eq!(go(&mut Pace::new(longest), 100, u64::from), most, "{longest}");
        }
    }
}
