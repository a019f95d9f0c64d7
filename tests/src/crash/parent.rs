//! The process that kills, drains, repairs and goes on.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fastrand::Rng;
use rustix::io::Errno;
use serde::Serialize;
use user_ringbuf_linux::{Map, Mapping, MappingView, Producer, Repair, RingPositions, Role, Survey, Verdict, repair};

use super::board::{Board, PRODUCERS};
use crate::kernel::{Drainer, ring};
use crate::send::{Api, BATCH, LONGEST, Order, send};
use crate::tally::{Counts, Tally};
use user_ringbuf_kit::fork::fork;
use user_ringbuf_kit::stamp::Stamp;

/// Bytes of the ring: some hundred samples, so that a child is often in the middle of something, and often waits.
const RING: u64 = 32 * 1024;
/// A child that submits nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What all kills together have shown. `jams`, `torn`, `lost_submitted` and `out_of_order` are zero if the ring kept its word.
#[derive(Debug, Default, Serialize)]
pub struct Toll {
    /// Children killed.
    pub kills: u64,
    /// Rings that did not flow again, or needed a repair after an interface that may not leave one to do.
    pub jams: u64,
    /// Samples that arrived with wrong bytes, and batches that arrived in part.
    pub torn: u64,
    /// Samples that were submitted and did not arrive, but for those in `never_shown`.
    pub lost_submitted: u64,
    /// Samples that were submitted on a shared producer while another thread was between taking its room and publishing,
    /// and were not published before the kill: what [`Shared`](user_ringbuf_linux::Shared) does not promise.
    pub never_shown: u64,
    /// Samples that came twice or after a later one of the same producer.
    pub out_of_order: u64,
    /// Samples that arrived.
    pub samples: u64,
    /// Repairs that were needed, by interface.
    pub repairs: BTreeMap<Api, u64>,
    /// Records that repairs discarded.
    pub discarded_records: u64,
}

impl Toll {
    /// Whether the ring kept its word.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        [self.jams, self.torn, self.lost_submitted, self.out_of_order] == [0; 4]
    }
}

/// One ring, and the children that die on it.
#[derive(Debug)]
pub struct Harness {
    map: Map,
    drainer: Drainer,
    board: Board,
    rng: Rng,
    /// What has come of it so far.
    pub toll: Toll,
}

/// The ring does not flow any more, and why.
#[derive(Debug)]
struct Jammed(String);

impl fmt::Display for Jammed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ring is jammed: {}", self.0)
    }
}

impl std::error::Error for Jammed {}

/// A ring and its consumer.
fn drained_ring() -> anyhow::Result<(Map, Drainer)> {
    let map = ring(RING)?;
    let drainer = Drainer::new(&map, LONGEST)?;
    Ok((map, drainer))
}

impl Harness {
    /// A ring in the kernel, with `seed` for the instants of death.
    ///
    /// # Errors
    /// [`Unavailable`](crate::kernel::Unavailable) without the rights, or what failed.
    pub fn new(seed: u64) -> anyhow::Result<Self> {
        let (map, drainer) = drained_ring()?;
        Ok(Self { map, drainer, board: Board::new()?, rng: Rng::with_seed(seed), toll: Toll::default() })
    }

    /// Lets one child send through `api`, kills it, and checks what it leaves. Where the ring is jammed then, the next
    /// child gets a new one.
    ///
    /// # Errors
    /// What kept this from being tried. What went wrong with the ring is in the report.
    pub fn kill_one(&mut self, api: Api) -> anyhow::Result<()> {
        self.board.clear();
        let mut arrived = Tally::new(PRODUCERS);
        let flows = self.kill_and_drain(api, &mut arrived);
        let wrong = arrived.wrong();
        self.toll.torn += wrong.torn;
        self.toll.out_of_order += wrong.out_of_order + wrong.duplicated;
        self.toll.samples += arrived.arrived();
        if wrong != Counts::default() {
            eprintln!("{api:?}: {wrong:?}; the first fault or gap: {}", arrived.first_wrong().unwrap_or_default());
        }
        match flows {
            Err(error) if error.is::<Jammed>() => {
                eprintln!("{api:?}: {error}");
                self.toll.jams += 1;
                (self.map, self.drainer) = drained_ring()?;
                Ok(())
            }
            flows => flows,
        }
    }

    fn kill_and_drain(&mut self, api: Api, arrived: &mut Tally) -> anyhow::Result<()> {
        let child = fork(|| self.send_forever(api).expect("it sends until it is killed"));
        let lived = self.drain_a_while(arrived);
        child.kill();
        self.toll.kills += 1;
        lived?;
        self.drain_all(arrived)?;
        // Producers submit in the order of their sequences or hold back what lies behind, and no drain gets past a busy
        // record: whatever is passed over now is lost. A repair discards such records, and then there may be gaps.
        let passed_over = arrived.passed_over();
        self.toll.lost_submitted += count(&passed_over);
        let published = MappingView::new(&self.map)?.load_producer(Role::ObserveProducer);
        let repaired = self.repair_if_held()?;
        *self.toll.repairs.entry(api).or_default() += u64::from(repaired);
        self.drain_all(arrived)?;
        let verdict = self.verdict()?;
        ensure!(verdict == Verdict::Empty, Jammed(format!("what is left after everything was drained: {verdict}")));
        self.toll.jams += u64::from(repaired && !api.publishes_busy());
        if api == Api::Batch && arrived.arrived() % BATCH != 0 {
            self.toll.torn += 1;
        }
        let mut missing = self.board.missing(arrived);
        missing.retain(|(stamp, _)| !passed_over.contains(stamp));
        let (lost, hidden): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|(_, end)| !api.is_shared() || published.has_reached(*end));
        self.toll.lost_submitted += count(&lost);
        self.toll.never_shown += count(&hidden);
        self.go_on()
    }

    /// What the child does. One that ends by itself has found a bug.
    fn send_forever(&self, api: Api) -> anyhow::Result<()> {
        let mapping = Mapping::new(&self.map)?;
        let counts = [u64::MAX; PRODUCERS];
        let counts = if api.is_concurrent() { &counts } else { &counts[..1] };
        let submitted = |stamp, end| self.board.note(stamp, end);
        send(api, Order { map: &self.map, mapping: &mapping, counts, submitted: &submitted })
    }

    /// Drains until the child has sent something, and then for a random while.
    fn drain_a_while(&mut self, arrived: &mut Tally) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.board.is_marked() {
            ensure!(began.elapsed() < PATIENCE, "the child has submitted nothing for {PATIENCE:?}");
            std::thread::yield_now();
        }
        let end = Instant::now() + Duration::from_micros(self.rng.u64(..2_000));
        // Half of the children find room all the time and die at work; the others often wait for it.
        let pauses = self.rng.bool();
        while Instant::now() < end {
            self.drain_once(arrived)?;
            if pauses {
                std::thread::sleep(Duration::from_micros(self.rng.u64(..200)));
            }
        }
        Ok(())
    }

    fn drain_once(&mut self, arrived: &mut Tally) -> anyhow::Result<u32> {
        self.drainer.drain(|sample| arrived.note(sample)).map_err(jam_or_other)
    }

    fn drain_all(&mut self, arrived: &mut Tally) -> anyhow::Result<()> {
        while self.drain_once(arrived)? > 0 {}
        Ok(())
    }

    fn verdict(&self) -> anyhow::Result<Verdict> {
        Ok(Survey::of(&MappingView::new(&self.map)?).verdict)
    }

    fn repair_if_held(&mut self) -> anyhow::Result<bool> {
        if self.verdict()? == Verdict::Empty {
            return Ok(false);
        }
        let mapping = Mapping::new(&self.map)?;
        let discarded = &mut self.toll.discarded_records;
        // SAFETY: the child was the ring's only producer, and it was killed and waited for.
        unsafe { repair(&mapping, |done| *discarded += u64::from(matches!(done, Repair::Discarded { .. }))) }
            .map_err(|error| Jammed(error.to_string()))?;
        Ok(true)
    }

    /// A new producer goes on where the dead one stopped.
    fn go_on(&mut self) -> anyhow::Result<()> {
        let stamp = Stamp { producer: 0, sequence: u64::MAX - 1 };
        let mapping = Mapping::new(&self.map)?;
        let mut producer = Producer::attach(&mapping).map_err(|error| Jammed(error.to_string()))?;
        producer.push(&stamp.sample(LONGEST)).map_err(|error| Jammed(error.to_string()))?;
        let mut seen = Vec::new();
        self.drainer.drain(|sample| seen.push(Stamp::read(sample))).map_err(jam_or_other)?;
        ensure!(seen == [Ok(stamp)], Jammed(format!("a new producer's sample did not arrive, but {seen:?}")));
        Ok(())
    }
}

fn count<T>(samples: &[T]) -> u64 {
    u64::try_from(samples.len()).unwrap_or(u64::MAX)
}

/// The errors with which the kernel refuses a record or a position, forever.
fn jam_or_other(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref().copied() {
        Some(Errno::INVAL | Errno::TOOBIG) => Jammed(format!("{error:#}")).into(),
        _ => error,
    }
}
