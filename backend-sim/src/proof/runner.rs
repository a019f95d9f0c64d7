//! Runs a program on a ring and holds every result, every position and every byte against the reference model.
//!
//! Invariant: from [`Tampering`] to the next repair the model is silent, and only that nothing panics, hangs or reaches
//! outside is shown; a repair must leave a ring that the model can take up again.

use std::fmt;
use std::ops::{AddAssign, ControlFlow};

use user_ringbuf_core::{Position, RingMemory, RingSize, repair};

use super::actor::Actor;
use super::fault::Fault;
use super::model::{DrainResult, Event, Predictor, Queue};
use super::program::{Operation, Program, Tampering};
use crate::accidents::Crash;
use crate::kernel::{FakeKernel, Rules};
use crate::memory::{HeapMemory, KernelMemory, RawAccess, RingImage};

/// Rings up to this size are compared byte by byte after each operation, larger ones every so often.
const SMALL: u32 = 512;

/// How often larger rings are compared.
const OFTEN: usize = 16;

/// Samples after which a drain of a damaged ring is stopped: its positions may promise any number.
const FEW: u32 = 64;

/// A ring from outside: what drains it, and what can be seen of it.
pub trait Bench {
    /// Drains once. `stop_after` is the number of samples after which the callback stops; 0 counts as 1.
    fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult;

    /// Positions and bytes as they are now.
    fn snapshot(&self) -> RingImage;

    /// Consumer and producer position.
    fn positions(&self) -> (u64, u64);

    /// Does damage. `false` if that can't be done here; nothing has changed then.
    fn damage(&mut self, damage: Tampering) -> bool;
}

/// The simulated ring as a [`Bench`].
#[derive(Debug)]
pub struct SimBench<'m, M> {
    kernel: FakeKernel<&'m M, dyn Rules>,
}

impl<'m, M: RawAccess> SimBench<'m, M> {
    /// This ring, drained by the fake kernel, with a planted fault or none.
    ///
    /// # Safety
    /// While it lives, no sample of this ring is used as a slice: damage and faults give its bytes away.
    pub unsafe fn new(memory: &'m M, fault: Option<Fault>) -> Self {
        // SAFETY: the caller's promise is passed on.
        Self { kernel: unsafe { FakeKernel::with_fault(memory, fault) } }
    }
}

impl<M: RawAccess> Bench for SimBench<'_, M> {
    fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult {
        let mut samples = Vec::new();
        let drained = self.kernel.drain(flags, |sample| {
            samples.push(sample.to_vec());
            let enough = stop_after.is_some_and(|most| samples.len() >= most.max(1) as usize);
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        DrainResult { returned: drained.returned, samples, woke: Some(drained.woke) }
    }

    fn snapshot(&self) -> RingImage {
        self.kernel.memory().snapshot()
    }

    fn positions(&self) -> (u64, u64) {
        let memory = self.kernel.memory();
        (memory.kernel_load_consumer(), memory.kernel_load_producer())
    }

    fn damage(&mut self, damage: Tampering) -> bool {
        let memory = self.kernel.memory();
        let (consumer, producer) = self.positions();
        match damage {
            // SAFETY: no sample is used as a slice, as promised to `new`.
            Tampering::Producer(by) => unsafe { memory.set_producer(producer.wrapping_add_signed(by)) },
            // SAFETY: as above.
            Tampering::Consumer(by) => unsafe { memory.set_consumer(consumer.wrapping_add_signed(by)) },
            Tampering::Header { offset, word } => {
                let at = Position::new(consumer.wrapping_add(u64::from(offset)) & !7).offset(memory.size());
                // SAFETY: as above; one thread runs a program.
                let _ = unsafe { memory.write_raw(at, &word.to_ne_bytes()) };
            }
        }
        true
    }
}

/// Where a ring and the model went different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The number of the operation, from 0; the number of operations if it was found at the end.
    pub at: usize,
    /// The operation, as text.
    pub operation: String,
    /// What was found, and what was expected.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} ({}): {}", self.at, self.operation, self.what)
    }
}

impl std::error::Error for Mismatch {}

/// What a program came to. Sums of these show that a run was not an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Operations run.
    pub operations: u64,
    /// Those whose results, positions and bytes were held against the model.
    pub compared: u64,
    /// Samples submitted.
    pub submitted: u64,
    /// Samples that came out.
    pub drained: u64,
    /// Reservations that failed.
    pub refused: u64,
    /// Crashes and repairs.
    pub repairs: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.compared += other.compared;
        self.submitted += other.submitted;
        self.drained += other.drained;
        self.refused += other.refused;
        self.repairs += other.repairs;
    }
}

impl Totals {
    fn count(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Ended(_) => self.submitted += 1,
                Event::Refused(_) | Event::TimedOut => self.refused += 1,
                Event::Drained(output) => self.drained += output.samples.len() as u64,
                _ => {}
            }
        }
    }
}

/// Runs `program` on a simulated ring on the heap.
///
/// # Errors
/// [`Mismatch`] where the ring does not do as the model says.
///
/// # Panics
/// If the heap has no room for the ring.
///
/// ```
/// use user_ringbuf_sim::proof::{Program, run_on_heap};
///
/// let program: Program = "ring 16 from 8
///     push 8
///     push 0
///     drain flags=0 stop=none".parse()?;
/// let totals = run_on_heap(&program)?;
/// assert_eq!((totals.submitted, totals.refused, totals.drained), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_on_heap(program: &Program) -> Result<Totals, Mismatch> {
    let mut memory = HeapMemory::new(program.size.bytes_u64()).unwrap_or_else(|why| panic!("{why}"));
    run_on(program, &mut memory, None)
}

/// Runs `program` on `memory`, a simulated ring of the program's size, drained by the fake kernel with this fault.
///
/// # Errors
/// [`Mismatch`] where the ring does not do as the model says.
pub fn run_on<M>(program: &Program, memory: &mut M, fault: Option<Fault>) -> Result<Totals, Mismatch>
where
    M: RingMemory + RawAccess,
{
    let restored = memory.restore(&stale_ring(program.size, program.start));
    restored.map_err(|why| Mismatch { at: 0, operation: String::from("the ring"), what: why.to_string() })?;
    let memory = &*memory;
    // SAFETY: the ring was borrowed exclusively, so there is no sample but the runner's, which fills them by writes.
    unsafe { run(program, memory, &mut SimBench::new(memory, fault)) }
}

/// An empty ring whose bytes all look like submitted records: what is read where nothing was written gives itself away.
pub fn stale_ring(size: RingSize, start: u64) -> RingImage {
    let stale = [5_u32.to_ne_bytes(), [0xa5; 4]].concat();
    RingImage::from_bytes(size, start, start, &stale)
}

/// Runs `program` on `memory`, an empty ring of the program's size with both positions at its start, seen through
/// `bench`.
///
/// # Errors
/// [`Mismatch`] where the ring does not do as the model says.
///
/// # Safety
/// There is no producer of this ring and no sample or lane of one, in this process or another, before it returns:
/// programs kill their producers, and repair what those leave.
pub unsafe fn run<M: RingMemory, B: Bench>(program: &Program, memory: &M, bench: &mut B) -> Result<Totals, Mismatch> {
    let crash = Crash::never();
    let mut run = Run {
        memory,
        bench,
        // SAFETY: the caller's promise; the actor fills samples by writes.
        actor: unsafe { Actor::new(memory, &crash) },
        crash: &crash,
        predictor: Some(Predictor::new(Queue::new(program.size, program.start))),
        totals: Totals::default(),
        dies_after: None,
    };
    run.begin().map_err(|what| Mismatch { at: 0, operation: String::from("the first attach"), what })?;
    for (at, operation) in program.operations.iter().enumerate() {
        let number = at as u64;
        run.operation(number, operation).map_err(|what| Mismatch { at, operation: operation.to_string(), what })?;
    }
    let at = program.operations.len();
    run.compare(true).map_err(|what| Mismatch { at, operation: String::from("the end"), what })?;
    Ok(run.totals)
}

struct Run<'m, 'b, M: RingMemory, B> {
    memory: &'m M,
    bench: &'b mut B,
    actor: Actor<'m, M, &'m Crash>,
    crash: &'m Crash,
    /// `None` on a damaged ring.
    predictor: Option<Predictor>,
    totals: Totals,
    /// Set between a crash and the operation that it strikes.
    dies_after: Option<u8>,
}

impl<M: RingMemory, B: Bench> Run<'_, '_, M, B> {
    fn begin(&mut self) -> Result<(), String> {
        self.step(0, &Operation::Attach { shared: false })?;
        self.compare(true)
    }

    fn operation(&mut self, n: u64, operation: &Operation) -> Result<(), String> {
        self.totals.operations += 1;
        if let Some(steps) = self.dies_after.take() {
            let dies_within = matches!(
                operation,
                Operation::Push { .. }
                    | Operation::Sample { .. }
                    | Operation::Batch { .. }
                    | Operation::Detach { .. }
                    | Operation::Finish { .. }
                    | Operation::Lane { .. }
                    | Operation::LaneSample { .. }
                    | Operation::Close { .. }
            );
            if dies_within {
                return self.die_within(n, operation, steps);
            }
            self.start_again(&self.predictor.clone())?;
        }
        match operation {
            Operation::Crash { after } => self.dies_after = Some(*after),
            Operation::Repair => self.start_again(&self.predictor.clone())?,
            Operation::Tamper(damage) => {
                if self.bench.damage(*damage) {
                    self.predictor = None;
                }
            }
            _ => self.step(n, operation)?,
        }
        self.compare(usize::try_from(n).is_ok_and(|n| n % OFTEN == 0))
    }

    /// Does the operation and compares its results.
    fn step(&mut self, n: u64, operation: &Operation) -> Result<(), String> {
        let found = self.act(n, operation, self.predictor.is_none());
        self.totals.count(&found);
        let Some(predictor) = &mut self.predictor else { return Ok(()) };
        self.totals.compared += 1;
        let mut expected = predictor.step(n, operation);
        forget_unknown_wakes(&mut expected, &found);
        if found == expected { Ok(()) } else { Err(format!("it gave {found:?}, expected {expected:?}")) }
    }

    /// Does the operation. A ring that may be damaged may promise samples without end, so its drains are cut short.
    fn act(&mut self, n: u64, operation: &Operation, damaged: bool) -> Vec<Event> {
        let bench = &mut *self.bench;
        self.actor.step(n, operation, &mut |flags, stop_after| {
            let few = stop_after.unwrap_or(FEW).min(FEW);
            bench.drain(flags, if damaged { Some(few) } else { stop_after })
        })
    }

    /// Lets the producing process die within the operation.
    fn die_within(&mut self, n: u64, operation: &Operation, steps: u8) -> Result<(), String> {
        let before = self.predictor.clone();
        let after = before.clone().map(|mut predictor| {
            predictor.step(n, operation);
            predictor
        });
        self.crash.again_after(steps.into());
        // What a dead process makes of its results does not count.
        self.act(n, operation, true);
        let died = self.crash.has_died();
        self.crash.again_after(u64::MAX);
        // Sample by sample: one without bytes is one too.
        let submitted = |predictor: &Option<Predictor>| predictor.as_ref().map(Predictor::submitted);
        let either = if died { before.clone() } else { after.clone() };
        let first = self.start_again(&either);
        // The last operation that happened may have been the one that submits.
        if first.is_err() && died && submitted(&before) != submitted(&after) {
            return self.adopt(&after).and_then(|()| self.compare(true));
        }
        first.and_then(|()| self.compare(true))
    }

    /// The producing process is gone: repairs the ring, takes the model up from there, and attaches.
    fn start_again(&mut self, expected: &Option<Predictor>) -> Result<(), String> {
        self.totals.repairs += 1;
        self.actor.die();
        // SAFETY: the runner's producer and everything held were forgotten just now, and nothing else has any.
        if unsafe { repair(self.memory, |_| ()) }.is_err() {
            // The consumer position is wrong, which no repair mends; damage alone can do that.
            return match self.predictor.take() {
                None => Ok(()),
                Some(_) => Err(String::from("a ring that was not damaged can't be repaired")),
            };
        }
        self.adopt(expected)
    }

    /// Takes the model up from the ring as it is, which must hold what `expected` says was submitted.
    fn adopt(&mut self, expected: &Option<Predictor>) -> Result<(), String> {
        let queue = Queue::from_image(&self.bench.snapshot()).map_err(|why| format!("after the repair {why}"))?;
        if let Some(busy) = queue.first_busy() {
            return Err(format!("the repair left {busy:?}"));
        }
        if let Some(expected) = expected {
            let (found, expected) = ((queue.consumer(), queue.submitted()), &expected.queue);
            if found != (expected.consumer(), expected.submitted()) {
                return Err(format!("the repair left {found:?}, expected {:?}", expected.submitted()));
            }
        }
        self.predictor = Some(Predictor::new(queue));
        self.step(0, &Operation::Attach { shared: false })
    }

    /// Positions always, and every byte in small rings or `thoroughly`.
    fn compare(&mut self, thoroughly: bool) -> Result<(), String> {
        let Some(predictor) = &self.predictor else { return Ok(()) };
        let queue = &predictor.queue;
        let (found, expected) = (self.bench.positions(), (queue.consumer(), queue.producer()));
        if found != expected {
            return Err(format!("consumer and producer are at {found:?}, expected {expected:?}"));
        }
        self.actor.compare(predictor)?;
        if thoroughly || queue.size().bytes() <= SMALL { queue.compare(&self.bench.snapshot()) } else { Ok(()) }
    }
}

/// Where a bench can't know whether a drain woke a waiter, nothing is expected.
fn forget_unknown_wakes(expected: &mut [Event], found: &[Event]) {
    for (expected, found) in expected.iter_mut().zip(found) {
        if let (Event::Drained(expected), Event::Drained(DrainResult { woke: None, .. })) = (expected, found) {
            expected.woke = None;
        }
    }
}
