//! One pair of rings, and random calls on both: through libbpf on the one and through ours on the other, or through either
//! in turn, so that each ring has records of both libraries and the other ring has them the other way round.

mod compare;
mod deviations;

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, bail, ensure};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Position, RingSize, WakeupFlags, record_extent};

use crate::abi::{Call, Handles, Library, Place, RINGS, Reply, SLOTS};
use crate::actor::Child;
use crate::pages::Pages;
use crate::plant::Plant;
use crate::tally::{Mode, Tally};

/// Samples outstanding at once, at most.
const OUTSTANDING: usize = 40;
const DYNPTR: u32 = 1 << 24;

struct Side {
    map: Map,
    pages: Pages,
    drain: DrainProgram,
}

pub(crate) struct Episode<'e> {
    sides: [Side; RINGS],
    size: RingSize,
    mode: Mode,
    handles: Handles,
    child: Option<Child>,
    /// Offsets of the headers of busy records.
    outstanding: Vec<u32>,
    /// Submitted or discarded a moment ago, and not drained since.
    committed: Option<Call>,
    random: &'e mut fastrand::Rng,
    tally: &'e mut Tally,
    plant: Option<Plant>,
    /// Descriptors of something else, or none.
    wrong_fds: &'e [i32],
}

impl<'e> Episode<'e> {
    pub(crate) fn begin(
        random: &'e mut fastrand::Rng,
        tally: &'e mut Tally,
        plant: Option<Plant>,
        wrong_fds: &'e [i32],
    ) -> Result<Self> {
        let bytes = match random.u32(..16) {
            0 => 2 * DYNPTR,
            1..=4 => 1 << 14,
            _ => 1 << 12,
        };
        let side = || -> Result<Side> {
            let map = Map::create_exact("abi", bytes.into()).context("make a ring (needs CAP_BPF)")?;
            let log = 1 << 17;
            let drain = DrainProgram::load(&map, log).context("load the program that drains")?;
            Ok(Side { pages: Pages::new(&map), map, drain })
        };
        let sides = [side()?, side()?];
        let size = RingSize::new(bytes.into())?;
        let maps = sides.each_ref().map(|side| side.map.as_fd().as_raw_fd());
        let mode = [Mode::Apart, Mode::Apart, Mode::Interleaved, Mode::TwoProcesses][random.usize(..4)];
        let child = if mode == Mode::TwoProcesses { Some(Child::fork(size, maps)?) } else { None };
        let handles = Handles::open(size, maps)?;
        tally.episodes += 1;
        Ok(Self {
            sides,
            size,
            mode,
            handles,
            child,
            outstanding: vec![],
            committed: None,
            random,
            tally,
            plant,
            wrong_fds,
        })
    }

    /// Makes up to `calls` calls of the six functions on each ring.
    pub(crate) fn run(mut self, calls: u64) -> Result<()> {
        let until = self.tally.calls + calls;
        while self.tally.calls < until {
            let step = self.random.u32(..1000);
            match step {
                0..=2 => self.open()?,
                3..=5 if self.mode == Mode::Apart => self.wrong_position()?,
                6 if self.mode == Mode::Apart => self.without_limit()?,
                7..=60 => self.drain()?,
                61..=70 => self.again()?,
                71..=520 if self.outstanding.len() < OUTSTANDING => self.reserve()?,
                _ if self.outstanding.is_empty() => self.reserve()?,
                _ => self.commit()?,
            }
            if self.random.u32(..32) == 0 {
                self.compare_bytes()?;
            }
        }
        // What is left is not counted.
        for header in std::mem::take(&mut self.outstanding) {
            for ring in 0..RINGS {
                self.commit_by_hand(ring, Call::Submit { header });
            }
        }
        self.drain()?;
        self.compare_bytes()
    }

    fn used(&self) -> u64 {
        let pages = &self.sides[0].pages;
        pages.producer_pos().wrapping_sub(pages.consumer_pos())
    }

    fn free(&self) -> u64 {
        self.size.bytes_u64() - self.used()
    }

    fn reserve(&mut self) -> Result<()> {
        let whole = self.size.bytes();
        let size = match self.random.u32(..64) {
            0 => whole - 8 - self.random.u32(..8),
            1 => whole - 8,
            2 => whole - 7 + self.random.u32(..9),
            3 => u32::try_from(self.free())?.saturating_sub(8 + self.random.u32(..9)),
            4 => self
                .random
                .choice([0, DYNPTR - 1, DYNPTR, 1 << 30, (1 << 30) - 1, 1 << 31, u32::MAX])
                .context("some")?,
            // Up to the last eight bytes of the area.
            5 | 6 => {
                let to_end = whole - Position::new(self.sides[0].pages.producer_pos()).offset(self.size);
                to_end.saturating_sub(16)
            }
            7..=12 => self.random.u32(..whole / 2),
            _ => self.random.u32(..64),
        };
        // As libbpf reckons.
        let possible = size < 1 << 30 && record_extent(size) <= whole;
        let fits = possible && u64::from(record_extent(size)) <= self.free();
        if fits && size >= DYNPTR {
            return self.beyond_the_dynptr(size);
        }
        let call = match self.random.u32(..8) {
            0 if fits || !possible || size >= DYNPTR => {
                let timeouts = [-1, 0, 1, 10, i32::MAX, -2, i32::MIN];
                Call::ReserveBlocking { size, timeout: self.random.choice(timeouts).context("some")? }
            }
            // Two in a thousand of those wait for a millisecond.
            0 => {
                let timeout = if self.random.u32(..500) == 0 { 1 } else { 0 };
                let timeout = if self.random.u32(..8) == 0 { -2 } else { timeout };
                Call::ReserveBlocking { size, timeout }
            }
            _ => Call::Reserve { size },
        };
        if possible && !fits && size >= DYNPTR {
            // Full for libbpf, and never possible for us: it says so at once.
            return Ok(());
        }
        let before = self.sides[0].pages.producer_pos();
        let reply = self.both(call)?;
        if reply.offset >= 0 {
            self.reserved(before, size)?;
        }
        Ok(())
    }

    fn reserved(&mut self, before: u64, size: u32) -> Result<()> {
        let header = Position::new(before).offset(self.size);
        for side in &self.sides {
            side.pages.fill(header, size.min(4096), self.tally.calls);
        }
        ensure!(self.sides[0].pages.producer_pos() != before, "reserved, and the position stands still");
        self.outstanding.push(header);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let header = self.outstanding.swap_remove(self.random.usize(..self.outstanding.len()));
        let call = if self.random.u32(..4) == 0 { Call::Discard { header } } else { Call::Submit { header } };
        self.both(call)?;
        self.committed = Some(call);
        Ok(())
    }

    /// A second submit of a submitted sample, or discard of a discarded one, changes nothing in either library.
    fn again(&mut self) -> Result<()> {
        if let Some(call) = self.committed {
            self.both(call)?;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let sizes = [(8, 0), (64, 0), (4096, 0), (7, 0), (0, 0), (9, 1), (4096, 1)];
        let options = [None].into_iter().chain(sizes.map(Some));
        let options = self.random.choice(options.collect::<Vec<_>>()).context("some")?;
        let fd = if self.random.u32(..4) == 0 { self.random.choice(self.wrong_fds).copied() } else { None };
        self.both(Call::Open { fd: fd.unwrap_or(OWN), options })?;
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        self.committed = None;
        let flags = WakeupFlags(self.random.u64(..3));
        let mut options = DrainOptions::new().wakeup(flags);
        if self.random.bool() {
            options = options.stop_after(self.random.u32(1..8));
        }
        let [theirs, ours] = &mut self.sides;
        let (theirs, ours) = (theirs.drain.run(&options)?, ours.drain.run(&options)?);
        if theirs.raw_returned() != ours.raw_returned() || !theirs.samples().eq(ours.samples()) {
            let (theirs, ours) = (theirs.raw_returned(), ours.raw_returned());
            bail!(Difference(format!("drains return {theirs} and {ours}, or other samples")));
        }
        self.tally.drained += u64::try_from(theirs.raw_returned()).context("the kernel refused to drain")?;
        self.compare_positions("a drain")
    }

    /// Calls it on both rings, and compares what comes of it.
    fn both(&mut self, call: Call) -> Result<Reply> {
        let first = match self.mode {
            Mode::Apart => Library::Theirs,
            _ if self.random.bool() => Library::Theirs,
            _ => Library::Ours,
        };
        let by_child = self.child.is_some() && !matches!(call, Call::Open { .. }) && self.random.u32(..8) == 0;
        let slot = if by_child { 0 } else { self.random.usize(..SLOTS) };
        let mut replies = [Reply::DONE; RINGS];
        for (ring, library) in [first, first.other()].into_iter().enumerate() {
            let mut place = Place { ring, library, slot };
            let mut by_child = by_child;
            if call.commits().is_some() {
                by_child &= self.child.as_ref().is_some_and(|child| child.knows_its_data(place));
                if !by_child {
                    let mut slots = (0..SLOTS).map(|n| Place { slot: (slot + n) % SLOTS, ..place });
                    let Some(known) = slots.find(|place| self.handles.knows_its_data(*place)) else {
                        self.commit_by_hand(ring, call);
                        continue;
                    };
                    place = known;
                }
            }
            replies[ring] = self.call(place, call, by_child)?;
        }
        self.tally.count(call, self.mode);
        let [theirs, ours] = replies;
        if theirs != ours {
            let text =
                format!("{call:?} in the mode {:?}: {first:?} replies {theirs:?}, the other {ours:?}", self.mode);
            bail!(Difference(text));
        }
        self.compare_positions(&format!("{call:?}"))?;
        if let Some(header) = call.commits() {
            self.compare_header(call, header)?;
        }
        Ok(theirs)
    }

    fn call(&mut self, place: Place, call: Call, by_child: bool) -> Result<Reply> {
        let side = &self.sides[place.ring];
        let before = side.pages.producer_pos();
        let own = side.map.as_fd().as_raw_fd();
        let done = match call {
            Call::Open { fd: OWN, options } => Call::Open { fd: own, options },
            call => call,
        };
        let mut reply = match &mut self.child {
            Some(child) if by_child => {
                self.tally.by_another_process += 1;
                child.call(place, done, before)?
            }
            _ => self.handles.call(place, done, before),
        };
        if let Some(plant) = self.plant.filter(|_| place.library == Library::Ours) {
            plant.spoil(call, &mut reply, &side.pages, before, self.size.bytes(), self.tally.calls);
        }
        if call.commits().is_some() {
            // What is refused of what is not busy is a deviation of ours, which nothing but errno shows.
            reply.errno = 0;
        }
        Ok(reply)
    }

    /// No handle of this library knows its data area yet.
    fn commit_by_hand(&self, ring: usize, call: Call) {
        let pages = &self.sides[ring].pages;
        match call {
            Call::Submit { header } => pages.set_header(header, pages.header(header) & !(1 << 31)),
            Call::Discard { header } => pages.set_header(header, (pages.header(header) & !(1 << 31)) | 1 << 30),
            _ => {}
        }
    }
}

/// The descriptor of the ring that is at hand.
const OWN: i32 = -77;

/// The two sides are not the same.
#[derive(Debug)]
pub(crate) struct Difference(pub(crate) String);

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Difference {}
