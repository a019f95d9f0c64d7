//! The core's producers, doing what a program says.

use std::cell::Cell;
use std::time::Duration;

use user_ringbuf_core::{
    BlockingError, DetachedSample, Lane, Payload, Position, Producer, ReserveError, RingId, RingMemory, Shared, Wait,
    Wake,
};

use super::Bench;
use crate::hooked::{Fate, Hook, Hooked, Step};
use crate::model::{Event, Model, pattern, second_write};
use crate::operations::{Finish, Operation, PLACES};

/// Lets a producing process die after some memory operations.
#[derive(Debug, Default)]
pub(super) struct Fuse {
    left: Cell<Option<u64>>,
    burnt: Cell<bool>,
}

impl Fuse {
    pub(super) fn light(&self, steps: u64) {
        self.left.set(Some(steps));
        self.burnt.set(false);
    }

    pub(super) fn put_out(&self) {
        self.left.set(None);
    }

    /// Whether an operation was lost since the fuse was lit.
    pub(super) fn has_burnt(&self) -> bool {
        self.burnt.get()
    }
}

impl Hook for &Fuse {
    fn before(&self, _: Step) -> Fate {
        match self.left.get() {
            None => Fate::Happens,
            Some(0) => {
                self.burnt.set(true);
                Fate::IsLost
            }
            Some(left) => {
                self.left.set(Some(left - 1));
                Fate::Happens
            }
        }
    }
}

type Memory<'m, M> = Hooked<&'m M, &'m Fuse>;

enum Handle<'m, M: RingMemory> {
    Exclusive(Producer<Memory<'m, M>>),
    Shared(Shared<Memory<'m, M>>),
}

enum Held<'m, M: RingMemory> {
    Sample(DetachedSample<Memory<'m, M>>),
    Lane(Lane<Memory<'m, M>>),
}

/// A producer, and the samples and lanes that it holds.
pub(super) struct Actor<'m, M: RingMemory> {
    memory: Memory<'m, M>,
    handle: Option<Handle<'m, M>>,
    places: [Option<Held<'m, M>>; PLACES as usize],
}

impl<'m, M: RingMemory> Actor<'m, M> {
    /// # Safety
    /// As for [`Hooked::new_over_slices`].
    pub(super) unsafe fn new(memory: &'m M, fuse: &'m Fuse) -> Self {
        // SAFETY: the caller's promise is passed on.
        let memory = unsafe { Hooked::new_over_slices(memory, fuse) };
        Self { memory, handle: None, places: Default::default() }
    }

    /// The process ends: nothing that it held does anything any more.
    pub(super) fn die(&mut self) {
        self.places.iter_mut().filter_map(Option::take).for_each(std::mem::forget);
        // A producer holds nothing but its claim, which goes with the process.
        self.handle = None;
    }

    /// What a producer says of itself.
    pub(super) fn compare(&self, model: &Model) -> Result<(), String> {
        let ends = [model.consumer(), model.first_end(), model.producer()].map(Position::new);
        let (found, consumed) = match &self.handle {
            None => return Ok(()),
            Some(Handle::Exclusive(producer)) => {
                let room = (producer.used().map(u64::from), producer.free().map(u64::from));
                let expected = (model.used(), model.size().bytes_u64() - model.used());
                if room != (Ok(expected.0), Ok(expected.1)) {
                    return Err(format!("the producer says {room:?} bytes are used and free, expected {expected:?}"));
                }
                (producer.position(), ends.map(|end| producer.is_consumed(end)))
            }
            Some(Handle::Shared(shared)) => (shared.position(), ends.map(|end| shared.is_consumed(end))),
        };
        if found.get() != model.producer() {
            return Err(format!("the producer says it is at {found}, expected {}", model.producer()));
        }
        let expected = [true, model.used() == 0, model.used() == 0];
        if consumed != expected {
            return Err(format!("of {ends:?} the producer says that {consumed:?} are consumed, expected {expected:?}"));
        }
        Ok(())
    }

    /// Does one operation. `few` limits what a drain within it takes.
    pub(super) fn step(
        &mut self,
        n: u64,
        operation: &Operation,
        bench: &mut impl Bench,
        few: Option<u32>,
    ) -> Vec<Event> {
        match operation {
            Operation::Attach { shared } => self.attach(*shared),
            Operation::Drain { flags, stop_after } => vec![Event::Drained(bench.drain(*flags, *stop_after))],
            Operation::Finish { place, finish } => match self.take(*place) {
                Some(Held::Sample(mut sample)) => {
                    fill(&mut sample, n);
                    end(sample, *finish).into_iter().collect()
                }
                // A lane is closed by dropping it.
                Some(Held::Lane(_)) | None => vec![],
            },
            Operation::LaneSample { place, len, finish } => self.lane_sample(n, *place, *len, *finish),
            Operation::Close { place } => {
                self.take(*place);
                vec![]
            }
            Operation::Push { len } => self.push(n, *len),
            Operation::Sample { len, at, count, finish } => self.sample(n, *len, *at, *count, *finish),
            Operation::Batch { lens, submit } => self.batch(n, lens, *submit),
            Operation::Detach { place, len } => {
                let reserved = self.in_place(*place, |handle| match handle {
                    Handle::Exclusive(producer) => producer.reserve_detached(*len as usize),
                    Handle::Shared(shared) => shared.reserve_owned(*len as usize),
                });
                self.hold(*place, reserved.map(|reserved| reserved.map(Held::Sample)))
            }
            Operation::Lane { place, len } => {
                let taken = self.in_place(*place, |handle| match handle {
                    Handle::Exclusive(producer) => producer.lane(*len as usize),
                    Handle::Shared(shared) => shared.lane_owned(*len as usize),
                });
                self.hold(*place, taken.map(|taken| taken.map(Held::Lane)))
            }
            Operation::Wait { len, timeout_ms, drain_after_ms } => {
                let drain_at = drain_after_ms.map(|after| Duration::from_millis(after.into()));
                let mut waiter = BenchWaiter { bench, few, now: Duration::ZERO, drain_at, events: vec![] };
                let timeout = Duration::from_millis((*timeout_ms).into());
                let event = self.wait(n, *len, &mut waiter, timeout);
                let mut events = waiter.events;
                events.extend(event);
                events
            }
            Operation::Crash { .. } | Operation::Repair | Operation::Tamper(_) => vec![],
        }
    }

    fn attach(&mut self, shared: bool) -> Vec<Event> {
        self.handle = None;
        match Producer::attach(self.memory) {
            Ok(producer) if shared => self.handle = Some(Handle::Shared(producer.into_shared())),
            Ok(producer) => self.handle = Some(Handle::Exclusive(producer)),
            Err(why) => return vec![Event::NotAttached(why)],
        }
        vec![]
    }

    fn push(&mut self, n: u64, len: u32) -> Vec<Event> {
        // Bytes that no ring takes need not exist: a reservation of that length fails in the same way.
        let bytes = pattern(n, len.min(self.memory.inner().size().bytes()));
        let pushed = match &mut self.handle {
            None => return vec![],
            Some(Handle::Exclusive(producer)) if bytes.len() == len as usize => producer.push(&bytes),
            Some(Handle::Shared(shared)) if bytes.len() == len as usize => shared.push(&bytes),
            Some(Handle::Exclusive(producer)) => producer.reserve(len as usize).map(|sample| sample.submit()),
            Some(Handle::Shared(shared)) => shared.reserve(len as usize).map(|sample| sample.submit()),
        };
        vec![pushed.map_or_else(Event::Refused, Event::Ended)]
    }

    fn sample(&mut self, n: u64, len: u32, at: u32, count: u32, finish: Finish) -> Vec<Event> {
        let mut events = vec![];
        let event = match &mut self.handle {
            None => None,
            Some(Handle::Exclusive(producer)) => match producer.reserve(len as usize) {
                Err(why) => Some(Event::Refused(why)),
                Ok(mut sample) => {
                    fill(&mut sample, n);
                    events.extend(write_again(&mut sample, n, at, count));
                    match finish {
                        Finish::Submit => Some(Event::Ended(sample.submit())),
                        Finish::SubmitLen(len) => {
                            Some(sample.submit_len(len as usize).map_or_else(Event::Beyond, Event::Ended))
                        }
                        Finish::Discard => {
                            sample.discard();
                            None
                        }
                    }
                }
            },
            Some(Handle::Shared(shared)) => match shared.reserve(len as usize) {
                Err(why) => Some(Event::Refused(why)),
                Ok(mut sample) => {
                    fill(&mut sample, n);
                    events.extend(write_again(&mut sample, n, at, count));
                    end(sample, finish)
                }
            },
        };
        events.extend(event);
        events
    }

    fn batch(&mut self, n: u64, lens: &[u32], submit: bool) -> Vec<Event> {
        let Some(Handle::Exclusive(producer)) = &mut self.handle else { return vec![] };
        let mut events = vec![];
        let mut batch = producer.batch();
        for (i, len) in (0..).zip(lens) {
            match batch.reserve(*len as usize) {
                Err(why) => events.push(Event::Refused(why)),
                Ok(mut sample) => {
                    fill(&mut sample, n + i);
                    sample.submit();
                }
            }
        }
        if submit {
            events.push(batch.submit().map_or_else(Event::Refused, Event::Ended));
        } else {
            batch.discard();
        }
        events
    }

    fn take(&mut self, place: u8) -> Option<Held<'m, M>> {
        self.places[usize::from(place % PLACES)].take()
    }

    /// Drops what a place holds, and asks the producer for something else.
    fn in_place<T>(&mut self, place: u8, ask: impl FnOnce(&mut Handle<'m, M>) -> T) -> Option<T> {
        self.handle.as_ref()?;
        self.take(place);
        self.handle.as_mut().map(ask)
    }

    fn hold(&mut self, place: u8, held: Option<Result<Held<'m, M>, ReserveError>>) -> Vec<Event> {
        match held {
            None => vec![],
            Some(Err(why)) => vec![Event::Refused(why)],
            Some(Ok(held)) => {
                self.places[usize::from(place % PLACES)] = Some(held);
                vec![]
            }
        }
    }

    fn lane_sample(&mut self, n: u64, place: u8, len: u32, finish: Finish) -> Vec<Event> {
        let mut lane = match self.take(place) {
            None => return vec![],
            Some(Held::Sample(sample)) => sample.into_lane(),
            Some(Held::Lane(lane)) => lane,
        };
        let event = match lane.reserve(len as usize) {
            Err(why) => Some(Event::Refused(why)),
            Ok(mut sample) => {
                fill(&mut sample, n);
                match finish {
                    Finish::Submit => Some(Event::Ended(sample.submit())),
                    Finish::SubmitLen(len) => {
                        Some(sample.submit_len(len as usize).map_or_else(Event::Beyond, Event::Ended))
                    }
                    Finish::Discard => {
                        sample.discard();
                        None
                    }
                }
            }
        };
        self.places[usize::from(place % PLACES)] = Some(Held::Lane(lane));
        event.into_iter().collect()
    }

    fn wait<B: Bench>(
        &mut self,
        n: u64,
        len: u32,
        waiter: &mut BenchWaiter<'_, B>,
        timeout: Duration,
    ) -> Option<Event> {
        let submitted = match self.handle.as_mut()? {
            Handle::Exclusive(producer) => {
                producer.reserve_blocking(len as usize, waiter, Some(timeout)).map(|mut sample| {
                    fill(&mut sample, n);
                    sample.submit()
                })
            }
            Handle::Shared(shared) => shared.reserve_blocking(len as usize, waiter, Some(timeout)).map(|mut sample| {
                fill(&mut sample, n);
                sample.submit()
            }),
        };
        Some(match submitted {
            Ok(end) => Event::Ended(end),
            Err(BlockingError::Reserve(why)) => Event::Refused(why),
            Err(BlockingError::TimedOut { timeout: told }) if told == timeout => Event::TimedOut,
            // Nothing that a program can ask for ends in another way.
            Err(why) => Event::WaitFailed(format!("{why:?}")),
        })
    }
}

/// Lets go of a detached sample.
fn end<M: RingMemory>(sample: DetachedSample<M>, finish: Finish) -> Option<Event> {
    match finish {
        Finish::Submit => Some(Event::Ended(sample.submit())),
        Finish::SubmitLen(len) => Some(sample.submit_len(len as usize).map_or_else(Event::Beyond, Event::Ended)),
        Finish::Discard => {
            sample.discard();
            None
        }
    }
}

fn len32<M: RingMemory>(payload: &Payload<M>) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

/// Writes the whole sample.
fn fill<M: RingMemory>(payload: &mut Payload<M>, n: u64) {
    let whole = payload.write(0, &pattern(n, len32(payload)));
    debug_assert_eq!(whole, Ok(()), "a sample takes as many bytes as it has");
}

fn write_again<M: RingMemory>(payload: &mut Payload<M>, n: u64, at: u32, count: u32) -> Option<Event> {
    let bytes = second_write(n, len32(payload), count);
    payload.write(at as usize, &bytes).err().map(Event::Beyond)
}

/// Waits on a clock that moves to the one drain that is due, or to the deadline.
struct BenchWaiter<'b, B> {
    bench: &'b mut B,
    few: Option<u32>,
    now: Duration,
    drain_at: Option<Duration>,
    events: Vec<Event>,
}

impl<B: Bench> Wait for BenchWaiter<'_, B> {
    type Error = std::convert::Infallible;

    fn ring(&self) -> Option<RingId> {
        None
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn wait(&mut self, _round: u32, until: Option<Duration>) -> Result<Wake, Self::Error> {
        let Some(until) = until else { return Ok(Wake::Cancelled) };
        match self.drain_at.take_if(|at| *at <= until) {
            Some(at) => {
                self.now = at;
                self.events.push(Event::Drained(self.bench.drain(0, self.few)));
            }
            None => self.now = until,
        }
        Ok(Wake::Look)
    }
}
