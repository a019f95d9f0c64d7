//! The process that kills, drains, repairs and goes on.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fastrand::Rng;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use serde::Serialize;
use user_ringbuf_linux::{Map, Mapping, MappingView, Producer, Repair, Survey, Verdict, repair};

use super::board::{Arrived, Board};
use crate::kernel::{Drainer, ring};
use crate::send::{Api, BATCH, LONGEST};
use user_ringbuf_kit::stamp::Stamp;

/// Bytes of the ring: some hundred samples, so that a child is often in the middle of something, and often waits.
const RING: u64 = 32 * 1024;
/// A child that submits nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What all kills together have shown. All zero but `kills`, `samples` and some `repairs` if the ring kept its word.
#[derive(Debug, Default, Serialize)]
pub struct Toll {
    /// Children killed.
    pub kills: u64,
    /// Rings that did not flow again, or needed a repair after an interface that may not leave one to do.
    pub jams: u64,
    /// Samples that arrived with wrong bytes, and batches that arrived in part.
    pub torn: u64,
    /// Samples that were submitted and did not arrive.
    pub lost_submitted: u64,
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

/// A ring that children inherit, and its consumer.
fn inherited_ring() -> anyhow::Result<(Map, Drainer)> {
    let map = ring(RING)?;
    let drainer = Drainer::new(&map, LONGEST)?;
    inherit(map.as_fd())?;
    Ok((map, drainer))
}

fn inherit(fd: BorrowedFd<'_>) -> anyhow::Result<()> {
    fcntl_setfd(fd, FdFlags::empty()).context("letting children inherit the ring")
}

impl Harness {
    /// A ring in the kernel, with `seed` for the instants of death.
    ///
    /// # Errors
    /// [`Unavailable`](crate::kernel::Unavailable) without the rights, or what failed.
    pub fn new(seed: u64) -> anyhow::Result<Self> {
        let (map, drainer) = inherited_ring()?;
        let board = Board::new()?;
        inherit(board.as_fd())?;
        Ok(Self { map, drainer, board, rng: Rng::with_seed(seed), toll: Toll::default() })
    }

    /// Lets one child send through `api`, kills it, and checks what it leaves. Where the ring is jammed then, the next
    /// child gets a new one.
    ///
    /// # Errors
    /// What kept this from being tried. What went wrong with the ring is in the report.
    pub fn kill_one(&mut self, api: Api) -> anyhow::Result<()> {
        self.board.clear();
        let mut arrived = Arrived::default();
        let flows = self.kill_and_drain(api, &mut arrived);
        self.toll.out_of_order += arrived.out_of_order;
        self.toll.samples += arrived.count();
        match flows {
            Err(error) if error.is::<Jammed>() => {
                eprintln!("{api:?}: {error}");
                self.toll.jams += 1;
                (self.map, self.drainer) = inherited_ring()?;
                Ok(())
            }
            flows => flows,
        }
    }

    fn kill_and_drain(&mut self, api: Api, arrived: &mut Arrived) -> anyhow::Result<()> {
        let mut child = self.spawn(api)?;
        let lived = self.drain_a_while(&mut child, arrived);
        child.kill().and_then(|()| child.wait()).context("killing the child")?;
        self.toll.kills += 1;
        lived?;
        self.drain_all(arrived)?;
        self.toll.lost_submitted += arrived.settle();
        let repaired = self.repair_if_held()?;
        *self.toll.repairs.entry(api).or_default() += u64::from(repaired);
        self.drain_all(arrived)?;
        let verdict = self.verdict()?;
        ensure!(verdict == Verdict::Empty, Jammed(format!("what is left after everything was drained: {verdict}")));
        self.toll.jams += u64::from(repaired && !api.publishes_busy());
        if api == Api::Batch && arrived.count() % BATCH != 0 {
            self.toll.torn += 1;
        }
        self.toll.lost_submitted += self.board.missing(arrived);
        self.go_on()
    }

    fn spawn(&self, api: Api) -> anyhow::Result<Child> {
        let fd = |fd: rustix::fd::BorrowedFd<'_>| fd.as_raw_fd().to_string();
        let name = serde_json::to_value(api)?;
        Command::new(std::env::current_exe()?)
            .args(["child", "--api", name.as_str().unwrap_or_default()])
            .args(["--map", &fd(self.map.as_fd()), "--board", &fd(self.board.as_fd())])
            .stdin(Stdio::null())
            .spawn()
            .context("starting the child")
    }

    /// Drains until the child has sent something, and then for a random while.
    fn drain_a_while(&mut self, child: &mut Child, arrived: &mut Arrived) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.board.is_marked() {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the child ended by itself: {status}");
            }
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

    fn drain_once(&mut self, arrived: &mut Arrived) -> anyhow::Result<u32> {
        let torn = &mut self.toll.torn;
        let drained = self.drainer.drain(|sample| match Stamp::read(sample) {
            Ok(stamp) => arrived.note(stamp),
            Err(wrong) => {
                eprintln!("torn: {wrong}");
                *torn += 1;
            }
        });
        drained.map_err(jam_or_other)
    }

    fn drain_all(&mut self, arrived: &mut Arrived) -> anyhow::Result<()> {
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
        let mut bytes = [0; LONGEST];
        stamp.write(&mut bytes);
        let mapping = Mapping::new(&self.map)?;
        let mut producer = Producer::attach(&mapping).map_err(|error| Jammed(error.to_string()))?;
        producer.push(&bytes).map_err(|error| Jammed(error.to_string()))?;
        let mut seen = Vec::new();
        self.drainer.drain(|sample| seen.push(Stamp::read(sample))).map_err(jam_or_other)?;
        ensure!(seen == [Ok(stamp)], Jammed(format!("a new producer's sample did not arrive, but {seen:?}")));
        Ok(())
    }
}

/// The errors with which the kernel refuses a record or a position, forever.
fn jam_or_other(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref().copied() {
        Some(Errno::INVAL | Errno::TOOBIG) => Jammed(format!("{error:#}")).into(),
        _ => error,
    }
}
