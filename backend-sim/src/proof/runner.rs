//! Runs a program on a ring and holds every result, every position and every byte against the reference model.
//!
//! Invariant: from [`Tampering`] to the next repair the model is silent, and only that nothing panics, hangs or reaches
//! outside is shown; a repair must leave a ring that the model can take up again.

use std::ops::{AddAssign, ControlFlow};

use user_ringbuf_core::{Position, RingMemory, RingSize, repair};

use super::actor::Actor;
use super::model::{DrainResult, Event, Predictor, Queue};
use super::program::{Operation, Program, Tampering};
use crate::accidents::Crash;
use crate::kernel::FakeKernel;
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
    ///
    /// # Safety
    /// No sample of this ring is used as a slice: damage gives its bytes away.
    unsafe fn damage(&mut self, damage: Tampering) -> bool;
}

/// A simulated ring.
impl<M: RawAccess> Bench for FakeKernel<&M> {
    fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult {
        let mut samples = Vec::new();
        let drained = FakeKernel::drain(self, flags, |sample| {
            samples.push(sample.to_vec());
            let enough = stop_after.is_some_and(|most| samples.len() >= most.max(1) as usize);
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        DrainResult { returned: drained.returned, samples, woke: drained.woke }
    }

    fn snapshot(&self) -> RingImage {
        self.memory().snapshot()
    }

    fn positions(&self) -> (u64, u64) {
        (self.memory().kernel_load_consumer(), self.memory().kernel_load_producer())
    }

    unsafe fn damage(&mut self, damage: Tampering) -> bool {
        let (memory, (consumer, producer)) = (self.memory(), self.positions());
        match damage {
            // SAFETY: the caller's promise is passed on.
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
/// Where the ring does not do as the model says, in words.
///
/// # Panics
/// If the heap has no room for the ring.
pub fn run_on_heap(program: &Program) -> Result<Totals, String> {
    let mut memory = HeapMemory::new(program.size.bytes_u64()).unwrap_or_else(|why| panic!("{why}"));
    run_on(program, &mut memory)
}

/// Runs `program` on `memory`, a simulated ring of the program's size, drained by the fake kernel.
///
/// # Errors
/// Where the ring does not do as the model says, in words.
///
/// # Panics
/// If the ring has another size.
pub fn run_on<M: RingMemory + RawAccess>(program: &Program, memory: &mut M) -> Result<Totals, String> {
    memory.restore(&stale_ring(program.size, program.start)).unwrap_or_else(|why| panic!("{why}"));
    let memory = &*memory;
    // SAFETY: the ring was borrowed exclusively, so there is no sample but the runner's, which fills them by writes.
    unsafe { run(program, memory, &mut FakeKernel::new(memory)) }
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
/// Where the ring does not do as the model says, in words.
///
/// # Safety
/// There is no producer of this ring and no sample or lane of one, in this process or another, before it returns:
/// programs kill their producers, and repair what those leave.
pub unsafe fn run<M: RingMemory, B: Bench>(program: &Program, memory: &M, bench: &mut B) -> Result<Totals, String> {
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
    run.begin().map_err(|what| format!("the first attach: {what}"))?;
    for (n, operation) in (0..).zip(&program.operations) {
        run.operation(n, operation).map_err(|what| format!("operation {n}, {operation:?}: {what}"))?;
    }
    run.compare(true).map_err(|what| format!("at the end: {what}"))?;
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
                // SAFETY: the caller of `run` promises that there are no other samples, and the actor fills its by writes.
                if unsafe { self.bench.damage(*damage) } {
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
        let expected = predictor.step(n, operation);
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
