//! Many rings in one process: what each takes to attach, in memory and in descriptors, what a sample to each ring in turn
//! takes, and what it takes to wait for all of them and to be told which one was drained.
//!
//! Ours waits through a `RingSet`. libbpf has no wait for several rings: each handle has an epoll instance of its own, and
//! one more instance over all of those waits for them here. To be woken for room at all, all rings are full to the last
//! byte. Each turn gets new maps, since only the rings that wake have a program that drains them.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use user_ringbuf_kit::usage::open_descriptors;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, Producer, Recheck, RingSet};

use crate::options::Options;
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Goal, Row, Table, Unit};
use crate::rounds::medians;
use crate::stats::{clock_cost, median, nanoseconds_each};

/// How many rings, and in how many rounds at most.
const COUNTS: [(usize, usize); 4] = [(1, 101), (100, 31), (1000, 11), (10_000, 5)];
const RING: u32 = 4096;
const SAMPLE: [u8; 40] = [7; 40];
/// Samples to each ring, the first few of which are not timed.
const PASSES: u32 = 16;
const WARM_UP: u32 = 4;
/// Rings that are drained, and how often.
const WAKING: usize = 16;
const WAKES: usize = 16;
/// Descriptors that the process has and needs besides its rings.
const OTHERS: u64 = 256;
/// Longer than any wake takes.
const STUCK: Duration = Duration::from_secs(10);

/// What is measured, by the name that its row has.
pub(crate) const FIGURES: [(&str, Unit); 7] = [
    ("attach", Unit::Nanoseconds),
    ("sample", Unit::Nanoseconds),
    ("wake", Unit::Nanoseconds),
    ("descriptors", Unit::Count),
    ("descriptors_waiting", Unit::Count),
    ("memory", Unit::Bytes),
    ("memory_waiting", Unit::Bytes),
];
/// The allocator counts the few chunks that it keeps at hand as in use. Beside fewer rings than this they matter.
const EXACT: usize = 1000;
/// At most so many times what libbpf takes: no more, but for noise.
const NO_WORSE: f64 = 1.05;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (count, rounds) in COUNTS {
        if options.wants(&format!("rings/{count}")) {
            measure(table, count, rounds.min(options.rounds()))?;
        }
    }
    Ok(())
}

fn measure(table: &mut Table, count: usize, rounds: usize) -> Result<()> {
    // A map's own descriptor, and libbpf's or the set's.
    let allowed = allow_descriptors(2 * u64::try_from(count)? + OTHERS);
    let count = count.min(usize::try_from(allowed.saturating_sub(OTHERS) / 2)?);
    let case = format!("rings/{count}");
    let figures =
        medians(rounds, 2, |_, which| if which == 0 { turn_of::<Ours>(count) } else { turn_of::<Libbpf>(count) })?;
    for (figure, (name, unit)) in FIGURES.into_iter().enumerate() {
        if unit != Unit::Bytes || count >= EXACT {
            let (case, goal) = (format!("{case}/{name}"), Some(Goal::Within(NO_WORSE)));
            table.add(Row { unit, goal, ..Row::new(case, "libbpf", figures[0][figure], figures[1][figure]) });
        }
    }
    Ok(())
}

/// A program with many rings.
trait Rings: Sized {
    /// For `count` rings, of which there is none yet, and with what it takes to wait for any number of them.
    fn new(count: usize) -> Result<Self>;
    fn attach(&mut self, map: &Map) -> Result<()>;
    fn publish(&mut self, ring: usize, sample: &[u8]) -> Result<()>;
    /// From now on all rings are waited for.
    fn watch(&mut self, maps: &[Map]) -> Result<()>;
    /// Waits until a ring was drained. Says which.
    fn wait(&mut self) -> Result<Option<usize>>;
}

/// One figure for each of [`FIGURES`], per ring.
fn turn_of<R: Rings>(count: usize) -> Result<[f64; FIGURES.len()]> {
    let rings = u64::try_from(count)?;
    let maps = (0..count).map(|_| Ok(Map::create("peers", RING.into())?)).collect::<Result<Vec<Map>>>()?;
    let bytes = allocated();
    let mut handles = R::new(count)?;
    let descriptors = open_descriptors();

    let began = Instant::now();
    for map in &maps {
        handles.attach(map)?;
    }
    let attach = nanoseconds_each(began.elapsed(), rings);
    let bytes = allocated() - bytes;
    let attached = open_descriptors() - descriptors;

    let mut passes = Vec::new();
    for pass in 0..PASSES {
        let began = Instant::now();
        for ring in 0..count {
            handles.publish(ring, &SAMPLE)?;
        }
        if pass >= WARM_UP {
            passes.push(nanoseconds_each(began.elapsed().saturating_sub(clock_cost()), rings));
        }
    }

    let left = RING - PASSES * user_ringbuf_linux::record_extent(u32::try_from(SAMPLE.len())?);
    let (rest, whole) = (vec![0; left as usize - 8], vec![0; RING as usize - 8]);
    for ring in 0..count {
        handles.publish(ring, &rest)?;
    }
    let before = allocated();
    handles.watch(&maps)?;
    let waiting = bytes + allocated() - before;
    let watched = open_descriptors() - descriptors;

    let mut drains = Vec::new();
    for ring in (0..count).step_by(count.div_ceil(WAKING)) {
        drains.push((ring, DrainProgram::load(&maps[ring], 0)?));
    }
    let (mut expected, mut wakes) = (PASSES + 1, Vec::new());
    for _ in 0..WAKES {
        for (ring, drain) in &mut drains {
            let came = drain.run(&DrainOptions::new())?.returned().context("the kernel refused to drain")?;
            ensure!(came == expected, "{expected} samples were published to ring {ring}, and {came} came");
            let began = Instant::now();
            let woken = handles.wait()?;
            wakes.push(nanoseconds_each(began.elapsed(), 1));
            ensure!(woken == Some(*ring), "ring {ring} was drained, and the wait tells of {woken:?}");
            handles.publish(*ring, &whole)?;
        }
        expected = 1;
    }
    let [attached, watched, bytes, waiting] = [attached, watched, bytes, waiting].map(|figure| per_ring(figure, count));
    Ok([attach, median(&passes), median(&wakes), attached, watched, bytes, waiting])
}

struct Ours {
    producers: Vec<Producer<Mapping>>,
    set: RingSet,
}

impl Rings for Ours {
    fn new(count: usize) -> Result<Self> {
        Ok(Self { producers: Vec::with_capacity(count), set: RingSet::with_recheck(Recheck::Never)? })
    }

    fn attach(&mut self, map: &Map) -> Result<()> {
        self.producers.push(Producer::attach(Mapping::new(map)?)?);
        Ok(())
    }

    #[inline]
    fn publish(&mut self, ring: usize, sample: &[u8]) -> Result<()> {
        self.producers[ring].push(sample)?;
        Ok(())
    }

    fn watch(&mut self, maps: &[Map]) -> Result<()> {
        for (key, map) in (0..).zip(maps) {
            self.set.add(map, key)?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<Option<usize>> {
        let mut keys = [0; 8];
        let woken = self.set.wait(&mut keys, 0, Some(STUCK))?;
        Ok(woken.rings.first().copied().map(usize::try_from).transpose()?)
    }
}

struct Libbpf {
    handles: Vec<LibbpfRing>,
    outer: OwnedFd,
}

impl Rings for Libbpf {
    fn new(count: usize) -> Result<Self> {
        Ok(Self { handles: Vec::with_capacity(count), outer: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    fn attach(&mut self, map: &Map) -> Result<()> {
        self.handles.push(LibbpfRing::new(map)?);
        Ok(())
    }

    #[inline]
    fn publish(&mut self, ring: usize, sample: &[u8]) -> Result<()> {
        let handle = &mut self.handles[ring];
        let place = handle.reserve(u32::try_from(sample.len())?)?;
        // SAFETY: the place is as long as the sample and ours, and it is submitted once.
        unsafe {
            place.as_ptr().copy_from_nonoverlapping(sample.as_ptr(), sample.len());
            handle.submit(place);
        }
        Ok(())
    }

    fn watch(&mut self, _: &[Map]) -> Result<()> {
        let mut instances = epoll_instances()?;
        instances.retain(|instance| *instance != self.outer.as_raw_fd());
        ensure!(instances.len() == self.handles.len(), "each handle has one epoll instance");
        for (key, instance) in (0..).zip(&instances) {
            // SAFETY: open as long as its handle is, which lives.
            let instance = unsafe { BorrowedFd::borrow_raw(*instance) };
            epoll::add(&self.outer, instance, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<Option<usize>> {
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 8];
        let count = epoll::wait(&self.outer, &mut events[..], Some(&Timespec::try_from(STUCK)?))?;
        Ok(events[..count].first().map(|event| usize::try_from(event.data.u64())).transpose()?)
    }
}

/// This process's epoll instances, which libbpf does not tell: in the order of their descriptors, which is that in which they were made: the maps
/// before them leave no gaps.
fn epoll_instances() -> Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        if std::fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == "anon_inode:[eventpoll]") {
            found.push(entry.file_name().to_string_lossy().parse()?);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Raises this process's limit of open descriptors, if it may. Returns how many it may have, at most `wanted`.
fn allow_descriptors(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
        return wanted;
    }
    // Without CAP_SYS_RESOURCE the hard limit stays.
    let most = limit.maximum.unwrap_or(wanted).min(wanted);
    eprintln!("the limit of open descriptors can't be raised to {wanted}: fewer rings");
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    if raised.is_ok() { most } else { limit.current.unwrap_or(most).min(wanted) }
}

/// Bytes that are allocated on the heap now.
fn allocated() -> usize {
    // SAFETY: only looks at the allocator's own counts.
    let counts = unsafe { libc::mallinfo2() };
    counts.uordblks + counts.hblkhd
}

fn per_ring(what: usize, rings: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (what, rings) = (what as f64, rings as f64);
    what / rings
}
