//! The real kernel's side: a map, the shipped drain program, and an epoll instance that watches for wakeups.
//!
//! **Moving the consumer.** A real consumer position can't be written. It is moved by draining discarded records of up
//! to 2^24 bytes, 131,072 of them per drain: so 2^32 is near in any ring, and 2^64 some hours away in a large one.
//!
//! **Wakeups** are asynchronous: the drain queues an `irq_work`. If one must come, the trial waits for it. If none may come,
//! the trial looks at once after the drain, and every so often, and at the end, also behind a fence: a forced wakeup
//! through another map. A case that is run alone has a fence behind each such drain. A CPU runs its queued work in one
//! interrupt, and the thread is bound to one CPU, so once the fence has been seen, whatever the drain queued before has
//! been done too. A late event stays on epoll's list and is found then.

use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::retry_on_intr;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_linux::{DISCARD_BIT, DrainOptions, DrainProgram, Map, Mapping, WakeupFlags};
use user_ringbuf_sim::{RingImage, RingSize};

use super::image::Call;
use super::side::{Answer, Side};
use crate::kernel::{drain_program, ring};

/// How long a wakeup that must come may take.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Drains that must not wake between two fences.
const FENCE_EVERY: u32 = 64;

/// Largest record by which the consumer is moved.
const STRIDE: u32 = 1 << 24;

const QUIET: DrainOptions = DrainOptions::new().wakeup(WakeupFlags::NEVER);

/// A real ring and its consumer.
#[derive(Debug)]
pub struct KernelRing {
    pages: RawRing,
    mapping: Arc<Mapping>,
    program: DrainProgram,
    nesting: Option<DrainProgram>,
    wakeups: Wakeups,
    fence: Rc<Fence>,
    unfenced: u32,
    thorough: bool,
}

/// An edge-triggered watch for wakeups of one map.
#[derive(Debug)]
struct Wakeups {
    epoll: OwnedFd,
    /// Held, because a registration lives no longer than its file.
    _map: Map,
}

impl Wakeups {
    fn of(map: Map) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll_create1")?;
        let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&epoll, &map, epoll::EventData::new_u64(0), flags).context("epoll_ctl")?;
        let wakeups = Self { epoll, _map: map };
        // The event of the registration: a new ring is empty.
        ensure!(wakeups.event(false)?, "epoll did not report a new ring as writable");
        Ok(wakeups)
    }

    /// Takes the event, if there is one; if `patient`, waits for one.
    fn event(&self, patient: bool) -> anyhow::Result<bool> {
        let timeout = if patient { PATIENCE } else { Timespec { tv_sec: 0, tv_nsec: 0 } };
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 1];
        let waited = retry_on_intr(|| {
            epoll::wait(&self.epoll, &mut events, Some(&timeout)).map(|(events, _)| !events.is_empty())
        });
        waited.context("epoll_pwait2")
    }
}

/// A ring whose wakeup shows that earlier ones are done.
#[derive(Debug)]
pub struct Fence {
    wakeups: Wakeups,
    program: std::cell::RefCell<DrainProgram>,
}

impl Fence {
    /// Binds this thread to the CPU it runs on: all drains must queue their work there.
    ///
    /// # Errors
    /// [`Unavailable`](crate::kernel::Unavailable) without rights, and what the kernel refused.
    pub fn new() -> anyhow::Result<Rc<Self>> {
        let mut cpus = CpuSet::new();
        cpus.set(sched_getcpu());
        sched_setaffinity(None, &cpus).context("sched_setaffinity")?;
        let map = ring(1)?;
        let program = std::cell::RefCell::new(drain_program(&map, 0)?);
        Ok(Rc::new(Self { wakeups: Wakeups::of(map)?, program }))
    }

    /// Returns once all wakeups that were queued before are done.
    fn pass(&self) -> anyhow::Result<()> {
        self.program.borrow_mut().run(&QUIET.wakeup(WakeupFlags::ALWAYS)).context("running the fence's program")?;
        ensure!(self.wakeups.event(true)?, "a forced wakeup did not come");
        Ok(())
    }
}

impl KernelRing {
    /// A new ring of `size` bytes with a log of `log_bytes`; its callback can drain again if it is `nesting`.
    ///
    /// # Errors
    /// [`Unavailable`](crate::kernel::Unavailable) without rights, and what the kernel refused.
    pub fn new(size: u32, log_bytes: usize, nesting: bool, fence: &Rc<Fence>) -> anyhow::Result<Self> {
        let map = ring(size.into())?;
        ensure!(map.size() == size, "the kernel made a ring of {} bytes, not {size}", map.size());
        let nesting = nesting.then(|| DrainProgram::load_troublesome(&map, log_bytes)).transpose()?;
        Ok(Self {
            pages: RawRing::new(&map),
            mapping: Arc::new(Mapping::new(&map)?),
            program: drain_program(&map, log_bytes)?,
            nesting,
            wakeups: Wakeups::of(map)?,
            fence: Rc::clone(fence),
            unfenced: 0,
            thorough: false,
        })
    }

    /// Writes the header of a discarded record of `extent` bytes.
    fn discarded(&self, position: u64, extent: u32) {
        self.pages.write(position, &(DISCARD_BIT | (extent - 8)).to_ne_bytes());
    }

    /// Drains up to `target`, with only discarded records in front of it.
    fn drain_to(&mut self, target: u64) -> anyhow::Result<()> {
        self.pages.set_producer_pos(target);
        while self.consumer() != target {
            let before = self.consumer();
            let drained = self.program.run(&QUIET).context("moving the consumer")?;
            ensure!(
                drained.raw_returned() == 0 && self.pages.consumer_pos() > before,
                "the drain of discarded records from {before} to {target} returned {} and stopped at {}",
                drained.raw_returned(),
                self.pages.consumer_pos()
            );
        }
        Ok(())
    }
}

impl Side for KernelRing {
    type Memory = Mapping;

    fn size(&self) -> u32 {
        u32::try_from(self.pages.size()).expect("a ring has 2^31 bytes at most")
    }

    fn memory(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping)
    }

    fn consumer(&self) -> u64 {
        self.pages.consumer_pos()
    }

    fn producer(&self) -> u64 {
        self.pages.producer_pos()
    }

    fn set_producer(&mut self, position: u64) {
        self.pages.set_producer_pos(position);
    }

    fn write(&mut self, position: u64, bytes: &[u8]) {
        self.pages.write(position, bytes);
    }

    fn word(&self, offset: u32) -> u32 {
        self.pages.header((offset & !7).into())
    }

    fn snapshot(&self) -> RingImage {
        // The kernel made a ring of this size.
        let size = RingSize::new(self.size().into()).unwrap_or_else(|error| panic!("{error}"));
        RingImage::from_bytes(size, self.consumer(), self.producer(), &self.pages.bytes(0, self.pages.size()))
    }

    fn move_to(&mut self, target: u64) -> anyhow::Result<()> {
        let stride = self.size().min(STRIDE);
        let start = self.consumer();
        // First a record that leaves whole strides, then the strides.
        let first = u32::try_from(target.wrapping_sub(start) % u64::from(stride))?;
        if first > 0 {
            self.discarded(start, first);
            self.drain_to(start + u64::from(first))?;
            self.pages.write(start, &[0; 8]);
        }
        let start = self.consumer();
        if start != target {
            let headers = (0..self.size() / stride).map(|n| start + u64::from(n * stride));
            headers.clone().for_each(|at| self.discarded(at, stride));
            self.drain_to(target)?;
            headers.for_each(|at| self.pages.write(at, &[0; 8]));
        }
        self.pages.set_producer_pos(target);
        Ok(())
    }

    fn drain(&mut self, call: &Call, wakes: bool) -> anyhow::Result<Answer> {
        let options = DrainOptions::new().wakeup(WakeupFlags(call.flags)).stop_after(call.stop_after);
        let (program, options) = match &mut self.nesting {
            Some(program) if call.nested => (program, options.nested(true)),
            _ => (&mut self.program, options),
        };
        let drained = program.run(&options).context("running the drain program")?;
        let mut answer = Answer {
            returned: drained.raw_returned(),
            nested: match drained.nested() {
                None => 0,
                Some(Ok(count)) => count.into(),
                Some(Err(errno)) => -i64::from(errno.raw_os_error()),
            },
            consumer: self.pages.consumer_pos(),
            samples: drained.samples().map(<[u8]>::to_vec).collect(),
            unlogged: drained.unlogged(),
            woke: false,
        };
        if !wakes {
            self.unfenced += 1;
            if self.thorough || self.unfenced >= FENCE_EVERY {
                self.unfenced = 0;
                self.fence.pass()?;
            }
        }
        answer.woke = self.event(wakes)?;
        Ok(answer)
    }

    fn be_thorough(&mut self, thorough: bool) {
        self.thorough = thorough;
    }

    fn woke_late(&mut self) -> anyhow::Result<bool> {
        self.fence.pass()?;
        self.event(false)
    }
}

impl KernelRing {
    /// Takes the event of a wakeup, and waits for one that is expected.
    fn event(&mut self, expected: bool) -> anyhow::Result<bool> {
        // epoll reports nothing while the ring looks full, so it is looked at as an empty one.
        let producer = self.pages.producer_pos();
        self.pages.set_producer_pos(self.pages.consumer_pos());
        let woke = self.wakeups.event(expected)?;
        self.pages.set_producer_pos(producer);
        Ok(woke)
    }
}
