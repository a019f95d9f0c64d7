//! Stamped samples through each of the producers' interfaces, at full speed, waiting where the ring is full.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use serde::Serialize;
use user_ringbuf_linux::{
    AutoLane, BlockingError, DetachedSample, EpollWaiter, Map, Mapping, Payload, Position, Producer, ReserveError,
    RingMemory, Shared, WaiterError,
};

use crate::kernel::Drainer;
use crate::tally::{Counts, Tally};
use user_ringbuf_kit::stamp::Stamp;

/// Longest sample, in bytes. Lengths vary from 24 bytes to this.
pub const LONGEST: usize = 120;
/// Records of a batch.
pub const BATCH: u64 = 16;
/// No drain takes so long: a longer wait is a bug.
const PATIENCE: Duration = Duration::from_secs(20);
/// Samples that a thread holds in `detached` before it submits them, the last first.
const HELD: usize = 8;

/// An interface of the producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// One thread reserves and submits, published late
    Exclusive,
    /// One thread submits batches of 16
    Batch,
    /// One thread reserves on an exclusive producer; the others fill and submit, in any order
    Detached,
    /// All threads reserve and submit on one shared producer
    Shared,
    /// Each thread sends from lanes that it takes from one shared producer
    Lanes,
    /// Each thread has a handle on one shared producer that takes lanes by itself
    Auto,
}

impl Api {
    /// Whether a producer that dies may leave a busy record behind.
    #[must_use]
    pub fn publishes_busy(self) -> bool {
        !matches!(self, Self::Exclusive | Self::Batch)
    }

    /// Whether all threads send through one shared producer.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Shared | Self::Lanes | Self::Auto)
    }

    /// Whether several producers send at once. With the other interfaces they send one after another.
    #[must_use]
    pub fn is_concurrent(self) -> bool {
        self.publishes_busy()
    }
}

/// Divides `samples` evenly among producers.
#[must_use]
pub fn shares(samples: u64, producers: u64) -> Vec<u64> {
    (0..producers).map(|producer| samples / producers + u64::from(producer < samples % producers)).collect()
}

/// What to send, and what to call for each sample sent.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The ring.
    pub map: &'a Map,
    /// Its memory.
    pub mapping: &'a Mapping,
    /// How many samples each producer sends; both are numbered from 0.
    pub counts: &'a [u64],
    /// Called once a sample is submitted, with its stamp and the position at which its record ends.
    pub submitted: &'a (dyn Fn(Stamp, Position) + Sync),
}

/// Sends everything.
///
/// # Errors
/// The error of a reservation, or that nothing was drained for 20 seconds.
pub fn send(api: Api, order: Order<'_>) -> anyhow::Result<()> {
    match api {
        Api::Exclusive => order.exclusive(),
        Api::Batch => order.batches(),
        Api::Detached => order.detached(),
        Api::Shared => order.shared(),
        Api::Lanes => order.lanes(),
        Api::Auto => order.auto(),
    }
}

/// Sends everything while `drainer` drains on a thread of its own, and counts what arrived. `seen` is called for each
/// sample. The first fault is told on standard error.
///
/// # Errors
/// As [`send`] and [`Drainer::drain`].
pub fn send_checked(
    api: Api,
    order: Order<'_>,
    drainer: &mut Drainer,
    mut seen: impl FnMut() + Send,
) -> anyhow::Result<Counts> {
    let mut tally = Tally::new(order.counts.len());
    let over = AtomicBool::new(false);
    let note = |sample: &[u8]| {
        tally.note(sample);
        seen();
    };
    scope(|scope| {
        let draining = scope.spawn(|| drainer.drain_until(&over, Duration::ZERO, note));
        let sent = send(api, order);
        // Release: pairs with the drainer's acquire load, whose next drain then sees all that was submitted.
        over.store(true, Ordering::Release);
        draining.join().map_err(|_| anyhow!("the drainer panicked"))?.and(sent)
    })?;
    if let Some(wrong) = tally.first_wrong() {
        eprintln!("{api:?} on a ring of {} bytes, the first fault: {wrong}", order.map.size());
    }
    Ok(tally.counts(order.counts))
}

/// The stamps of some of one producer's samples.
fn stamps(producer: u32, sequences: Range<u64>) -> impl Iterator<Item = Stamp> {
    sequences.map(move |sequence| Stamp { producer, sequence })
}

fn stamp_into<M: RingMemory>(sample: &mut Payload<M>, stamp: Stamp) -> anyhow::Result<()> {
    let mut bytes = [0; LONGEST];
    let bytes = &mut bytes[..sample.len()];
    stamp.write(bytes);
    Ok(sample.write(0, bytes)?)
}

/// Reserves a sample of any kind, stamps it and submits it.
macro_rules! send {
    ($order:ident, $stamp:ident, |$len:ident| $reserve:expr) => {{
        let $len = $stamp.len(LONGEST);
        let mut sample = $reserve?;
        stamp_into(&mut sample, $stamp)?;
        ($order.submitted)($stamp, sample.submit());
    }};
}

fn join_all(threads: Vec<ScopedJoinHandle<'_, anyhow::Result<()>>>) -> anyhow::Result<()> {
    let join = |thread: ScopedJoinHandle<'_, _>| thread.join().map_err(|_| anyhow!("a thread panicked"))?;
    // All are joined before the first failure is returned.
    threads.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
}

impl<'a> Order<'a> {
    fn producers(&self) -> impl Iterator<Item = (u32, u64)> + 'a {
        (0..).zip(self.counts.iter().copied())
    }

    fn exclusive(self) -> anyhow::Result<()> {
        let mut producer = Producer::attach(self.mapping)?;
        let mut waiter = EpollWaiter::new(self.map)?;
        for stamp in self.producers().flat_map(|(number, count)| stamps(number, 0..count)) {
            send!(self, stamp, |len| producer.reserve_blocking(len, &mut waiter, Some(PATIENCE)));
        }
        Ok(())
    }

    fn batches(self) -> anyhow::Result<()> {
        let mut producer = Producer::attach(self.mapping)?;
        let mut waiter = EpollWaiter::new(self.map)?;
        for (number, count) in self.producers() {
            for first in (0..count).step_by(usize::try_from(BATCH)?) {
                let stamps = || stamps(number, first..count.min(first + BATCH));
                // Room for the whole batch first: a batch holds what it has, so it must not wait half-way.
                let most = usize::try_from(BATCH)? * (LONGEST + 16);
                producer.reserve_blocking(most, &mut waiter, Some(PATIENCE))?.discard();
                let mut batch = producer.batch();
                for stamp in stamps() {
                    let mut sample = batch.reserve(stamp.len(LONGEST))?;
                    stamp_into(&mut sample, stamp)?;
                    sample.submit();
                }
                let end = batch.submit()?;
                stamps().for_each(|stamp| (self.submitted)(stamp, end));
            }
        }
        Ok(())
    }

    fn shared(self) -> anyhow::Result<()> {
        self.on_each_thread(|shared, waiter, stamps| {
            for stamp in stamps {
                send!(self, stamp, |len| shared.reserve_blocking(len, waiter, Some(PATIENCE)));
            }
            Ok(())
        })
    }

    fn lanes(self) -> anyhow::Result<()> {
        // Several lanes fit, so that threads work beside each other in the smallest ring too.
        let stretch = usize::try_from(self.map.size() / 8)?.min(16 * 1024);
        self.on_each_thread(|shared, waiter, stamps| {
            let mut stamps = stamps.peekable();
            while stamps.peek().is_some() {
                let mut lane = shared.reserve_blocking(stretch, waiter, Some(PATIENCE))?.into_lane();
                while let Some(stamp) = stamps.peek().copied() {
                    match lane.reserve(stamp.len(LONGEST)) {
                        Ok(mut sample) => {
                            stamp_into(&mut sample, stamp)?;
                            (self.submitted)(stamp, sample.submit());
                            stamps.next();
                        }
                        Err(ReserveError::LaneUsedUp { .. }) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(())
        })
    }

    fn auto(self) -> anyhow::Result<()> {
        self.on_each_thread(|shared, waiter, stamps| {
            let mut handle = AutoLane::new(shared);
            for stamp in stamps {
                send!(self, stamp, |len| handle.reserve_blocking(len, waiter, Some(PATIENCE)));
            }
            Ok(())
        })
    }

    fn on_each_thread(
        self,
        send: impl Fn(&Shared<&'a Mapping>, &mut EpollWaiter, &mut dyn Iterator<Item = Stamp>) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        let shared = Shared::attach(self.mapping)?;
        let (shared, send) = (&shared, &send);
        scope(|scope| {
            let threads = self.producers().map(|(number, count)| {
                scope.spawn(move || {
                    let mut waiter = EpollWaiter::new(self.map)?;
                    send(shared, &mut waiter, &mut stamps(number, 0..count))
                })
            });
            join_all(threads.collect())
        })
    }

    fn detached(self) -> anyhow::Result<()> {
        scope(|scope| {
            let (senders, threads): (Vec<_>, Vec<_>) = (self.counts.iter())
                .map(|_| {
                    let (sender, reserved) = sync_channel(1024);
                    (sender, scope.spawn(move || self.submit_in_reverse(&reserved)))
                })
                .unzip();
            let reserved = self.reserve_all(&senders);
            drop(senders);
            join_all(threads).and(reserved)
        })
    }

    fn reserve_all(self, to: &[SyncSender<Reserved<'a>>]) -> anyhow::Result<()> {
        let mut producer = Producer::attach(self.mapping)?;
        let mut waiter = EpollWaiter::new(self.map)?;
        let most = self.counts.iter().copied().max().unwrap_or(0);
        for sequence in 0..most {
            for ((producer_number, _), to) in self.producers().zip(to).filter(|((_, count), _)| sequence < *count) {
                let stamp = Stamp { producer: producer_number, sequence };
                let sample = detach(&mut producer, &mut waiter, stamp.len(LONGEST))?;
                to.send((sample, stamp)).ok().context("a submitting thread has ended early")?;
            }
        }
        Ok(())
    }

    /// Fills what comes, and submits a handful in reverse.
    fn submit_in_reverse(self, reserved: &Receiver<Reserved<'a>>) -> anyhow::Result<()> {
        let mut held = Vec::with_capacity(HELD);
        while let Ok(first) = reserved.recv() {
            held.push(first);
            // No waiting for more while we hold some: the ring may be full of them.
            held.extend(reserved.try_iter().take(HELD - 1));
            for (sample, stamp) in &mut held {
                stamp_into(sample, *stamp)?;
            }
            for (sample, stamp) in held.drain(..).rev() {
                (self.submitted)(stamp, sample.submit());
            }
        }
        Ok(())
    }
}

type Reserved<'a> = (DetachedSample<&'a Mapping>, Stamp);

fn detach<'a>(
    producer: &mut Producer<&'a Mapping>,
    waiter: &mut EpollWaiter,
    len: usize,
) -> Result<DetachedSample<&'a Mapping>, BlockingError<WaiterError>> {
    match producer.reserve_detached(len) {
        Err(ReserveError::Full { .. }) => {
            // A reservation of the exclusive producer leaves no trace: it only tells that there is room.
            producer.reserve_blocking(len, waiter, Some(PATIENCE))?.discard();
            Ok(producer.reserve_detached(len)?)
        }
        reserved => Ok(reserved?),
    }
}
