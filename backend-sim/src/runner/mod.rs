//! Runs a program on a ring and holds every answer, every position and every byte against the reference model.
//!
//! Invariant: from [`Tampering`] to the next repair the model is silent, and only that nothing panics, hangs or reaches
//! outside is shown; a repair must leave a ring that the model can take up again.

mod actor;

use std::fmt;
use std::ops::ControlFlow;

use user_ringbuf_core::{Position, RingMemory, RingSize, repair};

use crate::fake_kernel::{FakeKernel, Fault};
use crate::kernel_memory::KernelMemory;
use crate::memory::{HeapMemory, MemoryError, RawAccess, RingImage};
use crate::model::{Answer, Event, Model, Predictor};
use crate::operations::{Operation, Program, Tampering};
use actor::{Actor, Fuse};

/// Rings up to this size are compared byte by byte after each operation, larger ones every so often.
const SMALL: u32 = 512;

/// How often larger rings are compared.
const OFTEN: usize = 16;

/// Samples after which a drain of a damaged ring is stopped: its positions may promise any number.
const FEW: u32 = 64;

/// A ring from outside: what drains it, and what can be seen of it.
pub trait Bench {
    /// Drains once. `stop_after` is the number of samples after which the callback stops; 0 counts as 1.
    fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> Answer;

    /// Positions and bytes as they stand.
    fn snapshot(&self) -> RingImage;

    /// Consumer and producer position.
    fn positions(&self) -> (u64, u64);

    /// Does damage. `false` if that can't be done here; nothing has changed then.
    fn damage(&mut self, damage: Tampering) -> bool;
}

/// The simulated ring as a [`Bench`].
#[derive(Debug)]
pub struct SimBench<'m, M> {
    kernel: FakeKernel<&'m M>,
}

impl<'m, M: RawAccess> SimBench<'m, M> {
    /// This ring, drained by the fake kernel, with a planted fault or none.
    ///
    /// # Safety
    /// While it lives, no sample of this ring is used as a slice: damage and faults give its bytes away.
    pub unsafe fn new(memory: &'m M, fault: Option<Fault>) -> Self {
        // SAFETY: the caller's promise is passed on.
        let faulty = |fault| unsafe { FakeKernel::with_fault(memory, fault) };
        Self { kernel: fault.map_or_else(|| FakeKernel::new(memory), faulty) }
    }
}

impl<M: RawAccess> Bench for SimBench<'_, M> {
    fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> Answer {
        let mut samples = Vec::new();
        let drained = self.kernel.drain(flags, |sample| {
            samples.push(sample.to_vec());
            let enough = stop_after.is_some_and(|most| samples.len() >= most.max(1) as usize);
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Answer { returned: drained.returned, samples, woke: Some(drained.woke) }
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

/// What a program came to. Sums of these show that a run was no empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Operations run.
    pub operations: u64,
    /// Those whose answers, positions and bytes were held against the model.
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

impl Report {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.compared += other.compared;
        self.submitted += other.submitted;
        self.drained += other.drained;
        self.refused += other.refused;
        self.repairs += other.repairs;
    }

    fn count(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Ended(_) => self.submitted += 1,
                Event::Refused(_) | Event::TimedOut => self.refused += 1,
                Event::Drained(answer) => self.drained += answer.samples.len() as u64,
                Event::Beyond(_) | Event::NotAttached(_) | Event::WaitFailed(_) => {}
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
/// use user_ringbuf_sim::{Program, run_on_heap};
///
/// let program: Program = "ring 16 from 8
///     push 8
///     push 0
///     drain flags=0 stop=none".parse()?;
/// let report = run_on_heap(&program)?;
/// assert_eq!((report.submitted, report.refused, report.drained), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_on_heap(program: &Program) -> Result<Report, Mismatch> {
    let mut memory = HeapMemory::new(program.size.bytes_u64()).unwrap_or_else(|why: MemoryError| panic!("{why}"));
    run_on(program, &mut memory, None)
}

/// Runs `program` on `memory`, a simulated ring of the program's size, drained by the fake kernel with this fault.
///
/// # Errors
/// [`Mismatch`] where the ring does not do as the model says.
pub fn run_on<M>(program: &Program, memory: &mut M, fault: Option<Fault>) -> Result<Report, Mismatch>
where
    M: RingMemory + RawAccess,
{
    let wrong_size =
        |why: crate::WrongSize| Mismatch { at: 0, operation: String::from("the ring"), what: why.to_string() };
    memory.restore(&stale_ring(program.size, program.start)).map_err(wrong_size)?;
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
pub unsafe fn run<M: RingMemory, B: Bench>(program: &Program, memory: &M, bench: &mut B) -> Result<Report, Mismatch> {
    let fuse = Fuse::default();
    let mut run = Run {
        memory,
        bench,
        // SAFETY: the caller's promise; the actor fills samples by writes.
        actor: unsafe { Actor::new(memory, &fuse) },
        fuse: &fuse,
        predictor: Some(Predictor::new(Model::new(program.size, program.start))),
        report: Report::default(),
        dies_after: None,
    };
    run.begin().map_err(|what| Mismatch { at: 0, operation: String::from("the first attach"), what })?;
    for (at, operation) in program.operations.iter().enumerate() {
        let number = at as u64;
        run.operation(number, operation).map_err(|what| Mismatch { at, operation: operation.to_string(), what })?;
    }
    let at = program.operations.len();
    run.compare(true).map_err(|what| Mismatch { at, operation: String::from("the end"), what })?;
    Ok(run.report)
}

struct Run<'m, 'b, M: RingMemory, B> {
    memory: &'m M,
    bench: &'b mut B,
    actor: Actor<'m, M>,
    fuse: &'m Fuse,
    /// `None` on a damaged ring.
    predictor: Option<Predictor>,
    report: Report,
    /// Set between a crash and the operation that it strikes.
    dies_after: Option<u8>,
}

impl<M: RingMemory, B: Bench> Run<'_, '_, M, B> {
    fn begin(&mut self) -> Result<(), String> {
        self.step(0, &Operation::Attach { shared: false })?;
        self.compare(true)
    }

    fn operation(&mut self, n: u64, operation: &Operation) -> Result<(), String> {
        self.report.operations += 1;
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

    /// Does the operation and compares its answers.
    fn step(&mut self, n: u64, operation: &Operation) -> Result<(), String> {
        // A damaged ring may promise samples without end.
        let tamed = match operation {
            Operation::Drain { flags, stop_after } if self.predictor.is_none() => {
                Operation::Drain { flags: *flags, stop_after: Some(stop_after.unwrap_or(FEW).min(FEW)) }
            }
            other => other.clone(),
        };
        let found = self.actor.step(n, &tamed, self.bench, self.predictor.is_none().then_some(FEW));
        self.report.count(&found);
        let Some(predictor) = &mut self.predictor else { return Ok(()) };
        self.report.compared += 1;
        let mut expected = predictor.step(n, operation);
        forget_unknown_wakes(&mut expected, &found);
        if found == expected { Ok(()) } else { Err(format!("it answered {found:?}, expected {expected:?}")) }
    }

    /// Lets the producing process die within the operation.
    fn die_within(&mut self, n: u64, operation: &Operation, steps: u8) -> Result<(), String> {
        let before = self.predictor.clone();
        let after = before.clone().map(|mut predictor| {
            predictor.step(n, operation);
            predictor
        });
        self.fuse.light(steps.into());
        // What a dead process makes of its answers is nobody's business.
        self.actor.step(n, operation, self.bench, Some(FEW));
        let died = self.fuse.has_burnt();
        self.fuse.put_out();
        // Sample by sample: one without bytes is one too.
        let submitted = |predictor: &Option<Predictor>| {
            let samples = predictor.as_ref().map(|predictor| predictor.model.submitted());
            samples.into_iter().flatten().map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
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
        self.report.repairs += 1;
        self.actor.die();
        // SAFETY: the runner's producer and everything held were forgotten just now, and nobody else has any.
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
        let model = Model::from_image(&self.bench.snapshot()).map_err(|why| format!("after the repair {why}"))?;
        if let Some(busy) = model.first_busy() {
            return Err(format!("the repair left {busy:?}"));
        }
        if let Some(expected) = expected {
            let (found, expected) = ((model.consumer(), model.submitted()), &expected.model);
            if found != (expected.consumer(), expected.submitted()) {
                return Err(format!("the repair left {found:?}, expected {:?}", expected.submitted()));
            }
        }
        self.predictor = Some(Predictor::new(model));
        self.step(0, &Operation::Attach { shared: false })
    }

    /// Positions always, and every byte in small rings or `thoroughly`.
    fn compare(&mut self, thoroughly: bool) -> Result<(), String> {
        let Some(predictor) = &self.predictor else { return Ok(()) };
        let model = &predictor.model;
        let (found, expected) = (self.bench.positions(), (model.consumer(), model.producer()));
        if found != expected {
            return Err(format!("consumer and producer are at {found:?}, expected {expected:?}"));
        }
        self.actor.compare(model)?;
        if thoroughly || model.size().bytes() <= SMALL { model.compare(&self.bench.snapshot()) } else { Ok(()) }
    }
}

/// Where a bench can't know whether a drain woke anybody, nothing is expected.
fn forget_unknown_wakes(expected: &mut [Event], found: &[Event]) {
    for (expected, found) in expected.iter_mut().zip(found) {
        if let (Event::Drained(expected), Event::Drained(Answer { woke: None, .. })) = (expected, found) {
            expected.woke = None;
        }
    }
}

#[cfg(test)]
mod tests;
