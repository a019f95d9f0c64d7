//! A consumer that drains by a script, on virtual time: for testing what depends on when the kernel drains.
//!
//! Nothing sleeps: waiting moves the clock to the next drain of the script, or to the deadline, whichever comes first.
//! Invariant: the clock never passes a scripted drain without running it. Kernel counterpart: whatever runs the BPF
//! program that drains, a timer or a scheduler for example.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use user_ringbuf_core::kernel::MAX_RECORDS_PER_DRAIN;

use super::{Script, VirtualClock};
use crate::kernel::{Drained, FakeKernel, UnderWay};
use crate::memory::KernelMemory;

/// The fake kernel, draining as a [`Script`] says.
///
/// ```
/// use std::time::Duration;
/// use user_ringbuf_sim::{HeapMemory, Script, ScriptedConsumer, Producer};
///
/// let memory = HeapMemory::new(64)?;
/// let consumer = ScriptedConsumer::new(&memory, Script::every(Duration::from_millis(5)));
/// let mut producer = Producer::attach(&memory)?;
/// let mut waiter = consumer.waiter();
/// for n in 0..100_u32 {
///     // Waits until the consumer has drained, without sleeping.
///     let mut sample = producer.reserve_blocking(4, &mut waiter, Some(Duration::from_millis(20)))?;
///     sample.write(0, &n.to_ne_bytes())?;
///     sample.submit();
/// }
/// consumer.run_for(Duration::from_millis(5));
/// assert_eq!(consumer.samples().len(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ScriptedConsumer<M> {
    kernel: FakeKernel<M>,
    clock: VirtualClock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    script: Script,
    /// The drain whose callback is under way.
    slow: Option<SlowDrain>,
    /// The sample that is being handed out, or was last.
    sample: Vec<u8>,
    taken: Vec<Vec<u8>>,
    drains: Vec<(Duration, Drained)>,
}

/// A drain whose callback takes time.
#[derive(Debug)]
struct SlowDrain {
    drain: UnderWay,
    left: u32,
    /// When the callback returns.
    returns: Duration,
}

impl<M: KernelMemory> ScriptedConsumer<M> {
    /// A consumer of this ring, on a clock of its own.
    pub fn new(memory: M, script: Script) -> Self {
        Self::with_clock(memory, script, VirtualClock::new())
    }

    /// A consumer of this ring, on a clock that is shared with others. Drains that are overdue happen at the next chance.
    pub fn with_clock(memory: M, script: Script, clock: VirtualClock) -> Self {
        let state = State { script, slow: None, sample: Vec::new(), taken: Vec::new(), drains: Vec::new() };
        Self { kernel: FakeKernel::new(memory), clock, state: Mutex::new(state) }
    }

    /// The clock, for reading. Advancing it directly passes over scripted drains, which then happen late: use
    /// [`run_until`](Self::run_until) instead.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// The kernel that drains.
    pub fn kernel(&self) -> &FakeKernel<M> {
        &self.kernel
    }

    /// Replaces the script. A drain that is under way is not affected.
    pub fn set_script(&self, script: Script) {
        self.state().script = script;
    }

    /// Every sample taken so far, in order.
    pub fn samples(&self) -> Vec<Vec<u8>> {
        self.state().taken.clone()
    }

    /// Every drain that has ended so far, and when.
    pub fn drains(&self) -> Vec<(Duration, Drained)> {
        self.state().drains.clone()
    }

    /// When the script does something next, if ever.
    pub fn next_event(&self) -> Option<Duration> {
        self.state().next_event().map(|at| at.max(self.clock.now()))
    }

    /// Moves the clock on to `time`, and does everything that falls due on the way.
    pub fn run_until(&self, time: Duration) {
        while let Some(at) = self.next_event().filter(|at| *at <= time) {
            self.run_event(at);
        }
        self.clock.advance_to(time);
    }

    /// Moves the clock on by `time`, and does everything that falls due on the way.
    pub fn run_for(&self, time: Duration) {
        self.run_until(self.clock.now().saturating_add(time));
    }

    /// Drains at once, in addition to the script, with these flags; keeps the samples.
    pub fn drain_now(&self, flags: u64) -> Drained {
        let mut state = self.state();
        let (drained, samples) = self.kernel.collect(flags);
        state.taken.extend(samples);
        state.drains.push((self.clock.now(), drained));
        drained
    }

    /// Does what falls due at `at`, which is the next event.
    fn run_event(&self, at: Duration) {
        self.clock.advance_to(at);
        let mut state = self.state();
        let state = &mut *state;
        let slow = match state.slow.take() {
            Some(mut slow) => {
                state.taken.push(std::mem::take(&mut state.sample));
                self.kernel.release(&mut slow.drain);
                slow.left -= 1;
                slow
            }
            None => {
                state.script.passes(at);
                let left = state.script.at_most.unwrap_or(MAX_RECORDS_PER_DRAIN);
                match self.kernel.begin(state.script.flags) {
                    Ok(drain) => SlowDrain { drain, left, returns: at },
                    Err(why) => {
                        state.drains.push((at, Drained::refused(why)));
                        return;
                    }
                }
            }
        };
        self.go_on(state, slow, at);
    }

    /// Takes samples until the drain is over, or until a callback has begun that takes time.
    fn go_on(&self, state: &mut State, mut slow: SlowDrain, at: Duration) {
        while slow.left > 0 && self.kernel.next_sample(&mut slow.drain, &mut state.sample) {
            if !state.script.per_sample.is_zero() {
                slow.returns = at.saturating_add(state.script.per_sample);
                state.slow = Some(slow);
                return;
            }
            state.taken.push(std::mem::take(&mut state.sample));
            self.kernel.release(&mut slow.drain);
            slow.left -= 1;
        }
        state.drains.push((at, self.kernel.end(slow.drain)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where a panic can occur.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_event(&self) -> Option<Duration> {
        // One thread drains: what falls due during a slow drain happens after it.
        self.slow.as_ref().map_or_else(|| self.script.next(), |slow| Some(slow.returns))
    }
}
