//! The one interpreter: the core's producers, doing what a program says, under the eyes of a [`Witness`].

mod waiter;

use std::time::Duration;

use user_ringbuf_core::{
    AttachError, BlockingError, DetachedSample, Lane, Payload, Position, Producer, ReserveError, RingMemory, Shared,
    record_extent,
};

use super::model::{Event, Predictor, pattern, second_write};
use super::program::{Finish, Operation, PLACES};
use crate::accidents::{Crash, Hook, Hooked};
use waiter::DrainingWaiter;

pub use waiter::DrainWith;

/// What watches an actor: each memory operation beforehand, as a [`Hook`], and what its producer replies.
pub trait Witness: Hook + Copy {
    /// The producer is about to be asked for a position or for room.
    fn asks(&self) {}

    /// It gave room, or refused. `looks_only` says that giving room shows nothing to the kernel yet.
    fn answered(&self, _refused: Option<ReserveError>, _looks_only: bool) {}

    /// A producer begins at this position, or could not.
    fn attached(&self, _position: Result<Position, AttachError>) {}

    /// A place holds a record of this extent, which was asked for just now, or nothing any more.
    fn holds(&self, _place: u8, _extent: Option<u32>) {}
}

impl Witness for &Crash {}

enum AnyProducer<M: RingMemory> {
    Exclusive(Producer<M>),
    Shared(Shared<M>),
}

enum Held<M: RingMemory> {
    Sample(DetachedSample<M>),
    Lane(Lane<M>),
}

type Watched<'m, M, W> = Hooked<&'m M, W>;

/// A producer, and the samples and lanes that it holds.
pub struct Actor<'m, M: RingMemory, W: Witness> {
    memory: Watched<'m, M, W>,
    handle: Option<AnyProducer<Watched<'m, M, W>>>,
    places: [Option<Held<Watched<'m, M, W>>>; PLACES as usize],
}

/// Does the same with a producer of either kind.
macro_rules! with_any {
    ($handle:expr, $producer:ident => $does:expr) => {
        match $handle {
            AnyProducer::Exclusive($producer) => $does,
            AnyProducer::Shared($producer) => $does,
        }
    };
}

/// Lets go of a sample of any kind.
macro_rules! end {
    ($sample:expr, $finish:expr) => {
        match $finish {
            Finish::Submit => Some(Event::Ended($sample.submit())),
            Finish::SubmitLen(len) => Some($sample.submit_len(len as usize).map_or_else(Event::Beyond, Event::Ended)),
            Finish::Discard => {
                $sample.discard();
                None
            }
        }
    };
}

impl<'m, M: RingMemory, W: Witness> Actor<'m, M, W> {
    /// An actor without a producer, which an [`Operation::Attach`] gives it.
    ///
    /// # Safety
    /// As for [`Hooked::new_over_slices`].
    #[expect(unsafe_code, reason = "passes on what the caller promises")]
    pub unsafe fn new(memory: &'m M, witness: W) -> Self {
        // SAFETY: the caller's promise is passed on.
        let memory = unsafe { Hooked::new_over_slices(memory, witness) };
        Self { memory, handle: None, places: Default::default() }
    }

    /// The process ends: nothing that it held does anything any more.
    pub fn die(&mut self) {
        self.places.iter_mut().filter_map(Option::take).for_each(std::mem::forget);
        // A producer holds nothing but its claim, which goes with the process.
        self.handle = None;
    }

    /// Compares what the producer says of itself with what the model says.
    ///
    /// # Errors
    /// Where they differ, in words.
    pub fn compare(&self, predictor: &Predictor) -> Result<(), String> {
        let queue = &predictor.queue;
        let ends = [queue.consumer(), queue.first_end(), queue.producer()].map(Position::new);
        let Some(handle) = &self.handle else { return Ok(()) };
        let (room, found) = with_any!(handle, producer => ((producer.used(), producer.free()), producer.position()));
        let consumed = with_any!(handle, producer => ends.map(|end| producer.is_consumed(end)));
        let room = (room.0.map(u64::from), room.1.map(u64::from));
        let (used, free) = (queue.used(), queue.size().bytes_u64() - queue.used());
        if room != (Ok(used), Ok(free)) {
            return Err(format!("the producer says {room:?} bytes are used and free, expected {used} and {free}"));
        }
        if found.get() != queue.producer() {
            return Err(format!("the producer says it is at {found}, expected {}", queue.producer()));
        }
        let expected = [true, used == 0, used == 0];
        if consumed != expected {
            return Err(format!("of {ends:?} the producer says that {consumed:?} are consumed, expected {expected:?}"));
        }
        Ok(())
    }

    /// Does one operation, number `n` of its program. `drain` is the consumer.
    pub fn step(&mut self, n: u64, operation: &Operation, drain: DrainWith<'_>) -> Vec<Event> {
        match operation {
            Operation::Attach { shared } => self.attach(*shared),
            Operation::Resume => self.resume(),
            Operation::Ask => self.ask(),
            Operation::Drain { flags, stop_after } => vec![Event::Drained(drain(*flags, *stop_after))],
            Operation::Push { len } => self.push(n, *len).into_iter().collect(),
            Operation::Sample { len, at, count, finish } => self.sample(n, *len, (*at, *count), *finish),
            Operation::Batch { lens, submit } => self.batch(n, lens, *submit),
            Operation::Detach { place, len } => self.hold(*place, *len, |handle, len| match handle {
                AnyProducer::Exclusive(producer) => producer.reserve_detached(len).map(Held::Sample),
                AnyProducer::Shared(shared) => shared.reserve_owned(len).map(Held::Sample),
            }),
            Operation::Lane { place, len } => self.hold(*place, *len, |handle, len| match handle {
                AnyProducer::Exclusive(producer) => producer.lane(len).map(Held::Lane),
                AnyProducer::Shared(shared) => shared.lane_owned(len).map(Held::Lane),
            }),
            Operation::Finish { place, finish } => self.let_go(*place, |held| match held {
                Held::Sample(mut sample) => {
                    fill(&mut sample, n);
                    end!(sample, *finish)
                }
                Held::Lane(lane) => {
                    lane.close();
                    None
                }
            }),
            Operation::Close { place } => self.let_go(*place, |_| None),
            Operation::LaneSample { place, len, finish } => self.lane_sample(n, *place, *len, *finish),
            Operation::Wait { len, timeout_ms, drain_after_ms } => {
                let [timeout, after] = [Some(*timeout_ms), *drain_after_ms].map(|ms| ms.map(u64::from));
                let drain_at = after.map(Duration::from_millis);
                let mut waiter = DrainingWaiter { drain, now: Duration::ZERO, drain_at, events: vec![] };
                let event = self.wait(n, *len, &mut waiter, timeout.map_or(Duration::ZERO, Duration::from_millis));
                waiter.events.extend(event);
                waiter.events
            }
            Operation::Crash { .. } | Operation::Repair | Operation::Tamper(_) => vec![],
        }
    }

    fn attach(&mut self, shared: bool) -> Vec<Event> {
        self.handle = None;
        self.memory.hook().asks();
        let attached = Producer::attach(self.memory);
        self.memory.hook().attached(attached.as_ref().map(Producer::position).map_err(|why| *why));
        match attached {
            Ok(producer) if shared => self.handle = Some(AnyProducer::Shared(producer.into_shared())),
            Ok(producer) => self.handle = Some(AnyProducer::Exclusive(producer)),
            Err(why) => return vec![Event::NotAttached(why)],
        }
        vec![]
    }

    fn resume(&mut self) -> Vec<Event> {
        let Some(handle) = &mut self.handle else { return vec![] };
        self.memory.hook().asks();
        let resumed = with_any!(handle, producer => producer.resume());
        self.memory.hook().attached(resumed);
        vec![resumed.map_or_else(Event::NotAttached, Event::Resumed)]
    }

    /// Questions, which store nothing.
    fn ask(&mut self) -> Vec<Event> {
        let Some(handle) = &self.handle else { return vec![] };
        let (used, free) = with_any!(handle, producer => {
            producer.is_consumed(producer.position());
            (producer.used(), producer.free())
        });
        let size = self.memory.inner().size().bytes();
        for bytes in [used, free].into_iter().flatten() {
            assert!(bytes <= size, "{bytes} of a ring's {size} bytes");
        }
        vec![]
    }

    fn push(&mut self, n: u64, len: u32) -> Option<Event> {
        // Bytes that no ring takes need not exist: a reservation of that length fails in the same way.
        let bytes = pattern(n, len.min(self.memory.inner().size().bytes()));
        let whole = bytes.len() == len as usize;
        let handle = self.handle.as_mut()?;
        let pushed = ask(&self.memory, false, || match whole {
            true => with_any!(handle, producer => producer.push(&bytes)),
            false => with_any!(handle, producer => producer.reserve(len as usize).map(|sample| sample.submit())),
        });
        Some(pushed.map_or_else(Event::Refused, Event::Ended))
    }

    fn sample(&mut self, n: u64, len: u32, second: (u32, u32), finish: Finish) -> Vec<Event> {
        let Some(handle) = &mut self.handle else { return vec![] };
        let looks_only = matches!(handle, AnyProducer::Exclusive(_));
        let mut events = vec![];
        let event = with_any!(handle, producer => {
            match ask(&self.memory, looks_only, || producer.reserve(len as usize)) {
                Err(why) => Some(Event::Refused(why)),
                Ok(mut sample) => {
                    fill(&mut sample, n);
                    events.extend(write_again(&mut sample, n, second));
                    end!(sample, finish)
                }
            }
        });
        events.extend(event);
        events
    }

    /// Every other sample is pushed, the others are reserved and filled.
    fn batch(&mut self, n: u64, lens: &[u32], submit: bool) -> Vec<Event> {
        let Some(AnyProducer::Exclusive(producer)) = &mut self.handle else { return vec![] };
        let size = self.memory.inner().size().bytes();
        let mut events = vec![];
        let mut batch = producer.batch();
        for (i, len) in (0..).zip(lens) {
            let added = if i % 2 == 1 && *len <= size {
                ask(&self.memory, false, || batch.push(&pattern(n + i, *len)))
            } else {
                ask(&self.memory, true, || batch.reserve(*len as usize)).map(|mut sample| {
                    fill(&mut sample, n + i);
                    sample.submit();
                })
            };
            events.extend(added.err().map(Event::Refused));
        }
        if submit {
            events.push(batch.submit().map_or_else(Event::Refused, Event::Ended));
        } else {
            batch.discard();
        }
        events
    }

    fn place(&mut self, place: u8) -> &mut Option<Held<Watched<'m, M, W>>> {
        &mut self.places[usize::from(place % PLACES)]
    }

    fn let_go(&mut self, place: u8, end: impl FnOnce(Held<Watched<'m, M, W>>) -> Option<Event>) -> Vec<Event> {
        let event = self.place(place).take().and_then(end);
        self.memory.hook().holds(place % PLACES, None);
        event.into_iter().collect()
    }

    /// Drops what a place holds, and asks the producer for something else.
    fn hold(
        &mut self,
        place: u8,
        len: u32,
        reserve: impl FnOnce(&mut AnyProducer<Watched<'m, M, W>>, usize) -> Result<Held<Watched<'m, M, W>>, ReserveError>,
    ) -> Vec<Event> {
        if self.handle.is_none() {
            return vec![];
        }
        self.let_go(place, |_| None);
        let Some(handle) = &mut self.handle else { return vec![] };
        match ask(&self.memory, false, || reserve(handle, len as usize)) {
            Err(why) => vec![Event::Refused(why)],
            Ok(held) => {
                self.memory.hook().holds(place % PLACES, Some(record_extent(len)));
                *self.place(place) = Some(held);
                vec![]
            }
        }
    }

    /// Every other sample that is submitted whole is pushed.
    fn lane_sample(&mut self, n: u64, place: u8, len: u32, finish: Finish) -> Vec<Event> {
        let mut lane = match self.place(place).take() {
            None => return vec![],
            Some(Held::Sample(sample)) => sample.into_lane(),
            Some(Held::Lane(lane)) => lane,
        };
        let pushes = n % 2 == 1 && finish == Finish::Submit && len <= self.memory.inner().size().bytes();
        let event = if pushes {
            Some(lane.push(&pattern(n, len)).map_or_else(Event::Refused, Event::Ended))
        } else {
            match lane.reserve(len as usize) {
                Err(why) => Some(Event::Refused(why)),
                Ok(mut sample) => {
                    fill(&mut sample, n);
                    end!(sample, finish)
                }
            }
        };
        let events = event.into_iter().chain([Event::Left(lane.left())]).collect();
        *self.place(place) = Some(Held::Lane(lane));
        events
    }

    fn wait(&mut self, n: u64, len: u32, waiter: &mut DrainingWaiter<'_>, timeout: Duration) -> Option<Event> {
        let submitted = with_any!(self.handle.as_mut()?, producer => {
            producer.reserve_blocking(len as usize, waiter, Some(timeout)).map(|mut sample| {
                fill(&mut sample, n);
                sample.submit()
            })
        });
        Some(match submitted {
            Ok(end) => Event::Ended(end),
            Err(BlockingError::Reserve(why)) => Event::Refused(why),
            Err(BlockingError::TimedOut { timeout: told }) if told == timeout => Event::TimedOut,
            // Nothing that a program can ask for ends in another way.
            Err(why) => Event::WaitFailed(format!("{why:?}")),
        })
    }
}

/// Asks for room, and tells the witness what came of it.
fn ask<M, W: Witness, T>(
    memory: &Hooked<M, W>,
    looks_only: bool,
    ask: impl FnOnce() -> Result<T, ReserveError>,
) -> Result<T, ReserveError> {
    memory.hook().asks();
    let answer = ask();
    memory.hook().answered(answer.as_ref().err().copied(), looks_only);
    answer
}

fn len32<M: RingMemory>(payload: &Payload<M>) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

/// Writes the whole sample, in two parts.
fn fill<M: RingMemory>(payload: &mut Payload<M>, n: u64) {
    let bytes = pattern(n, len32(payload));
    let (front, back) = bytes.split_at(bytes.len() / 2);
    let written = payload.write(0, front).and_then(|()| payload.write(front.len(), back));
    debug_assert_eq!(written, Ok(()), "a sample takes as many bytes as it has");
}

/// Writes bytes on even turns, and fills a stretch with one byte on the others.
fn write_again<M: RingMemory>(payload: &mut Payload<M>, n: u64, (at, count): (u32, u32)) -> Option<Event> {
    let bytes = second_write(n, len32(payload), count);
    let written = match bytes.first() {
        Some(byte) if n % 2 == 1 => payload.fill_range(at as usize, bytes.len(), *byte),
        _ => payload.write(at as usize, &bytes),
    };
    written.err().map(Event::Beyond)
}
