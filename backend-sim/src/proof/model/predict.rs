//! What each operation must result in, by the model.

use user_ringbuf_core::{AttachError, BeyondSample, Position, ReserveError};

use super::{DrainResult, Id, Queue, extent, narrow};
use crate::proof::program::{Finish, Operation, PLACES};

/// One result of an operation, which has as many as it has parts that give one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sample was submitted, and its record ends there.
    Ended(Position),
    /// A reservation failed.
    Refused(ReserveError),
    /// A write or a length was beyond the sample.
    Beyond(BeyondSample),
    /// A producer could not be attached.
    NotAttached(AttachError),
    /// A producer goes on from there.
    Resumed(Position),
    /// A lane has so many bytes left.
    Left(u32),
    /// A drain ended.
    Drained(DrainResult),
    /// A wait ended without room.
    TimedOut,
    /// A wait ended as none should.
    WaitFailed(String),
}

/// The bytes of sample number `n`.
pub(crate) fn pattern(n: u64, len: u32) -> Vec<u8> {
    let first = n.wrapping_mul(31);
    (0..u64::from(len)).map(|i| first.wrapping_add(i.wrapping_mul(7)).to_le_bytes()[0]).collect()
}

/// What the second write into a sample of `len` bytes writes, no more than is needed to be beyond it: different bytes on
/// even turns, equal ones on the others.
pub(crate) fn second_write(n: u64, len: u32, count: u32) -> Vec<u8> {
    let count = count.min(len.saturating_add(16));
    if n % 2 == 0 { pattern(n + 101, count) } else { vec![pattern(n + 101, 1)[0]; count as usize] }
}

/// The model, and who works on it.
#[derive(Clone, Debug)]
pub struct Predictor {
    pub(crate) queue: Queue,
    producer: Option<Attached>,
    places: [Promised; PLACES as usize],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    Exclusive,
    Shared,
}

/// What a place holds.
#[derive(Clone, Copy, Debug)]
enum Promised {
    Nothing,
    Sample { id: Id, len: u32 },
    Lane { id: Id },
}

impl Predictor {
    /// The ring has no producer yet.
    pub fn new(queue: Queue) -> Self {
        Self { queue, producer: None, places: [Promised::Nothing; PLACES as usize] }
    }

    /// The samples that a drain without end would give, busy records skipped.
    pub fn submitted(&self) -> Vec<Vec<u8>> {
        self.queue.submitted().into_iter().map(<[u8]>::to_vec).collect()
    }

    /// What operation number `n` results in.
    pub fn step(&mut self, n: u64, operation: &Operation) -> Vec<Event> {
        match operation {
            Operation::Attach { shared } => self.attach(*shared),
            Operation::Drain { flags, stop_after } => vec![Event::Drained(self.queue.drain(*flags, *stop_after))],
            Operation::Finish { place, finish } => self.finish_held(n, *place, *finish),
            Operation::LaneSample { place, len, finish } => self.lane_sample(n, *place, *len, *finish),
            Operation::Close { place } => {
                self.drop_held(*place);
                vec![]
            }
            // Without a producer, nothing more can happen.
            _ if self.producer.is_none() => vec![],
            Operation::Resume => vec![match self.queue.first_busy() {
                Some(record) => Event::NotAttached(AttachError::Busy { record }),
                None => Event::Resumed(Position::new(self.queue.producer())),
            }],
            Operation::Push { len } => self.sample(n, *len, None, Finish::Submit),
            Operation::Sample { len, at, count, finish } => self.sample(n, *len, Some((*at, *count)), *finish),
            Operation::Batch { lens, submit } => self.batch(n, lens, *submit),
            Operation::Detach { place, len } => {
                self.drop_held(*place);
                self.hold(*place, *len, |id, len| Promised::Sample { id, len })
            }
            Operation::Lane { place, len } => {
                self.drop_held(*place);
                if *len == 0 {
                    return vec![Event::Refused(ReserveError::EmptyLane)];
                }
                self.hold(*place, *len, |id, _| Promised::Lane { id })
            }
            Operation::Wait { len, timeout_ms, drain_after_ms } => self.wait(n, *len, *timeout_ms, *drain_after_ms),
            Operation::Ask | Operation::Crash { .. } | Operation::Repair | Operation::Tamper(_) => vec![],
        }
    }

    fn attach(&mut self, shared: bool) -> Vec<Event> {
        self.producer = None;
        match self.queue.first_busy() {
            Some(record) => vec![Event::NotAttached(AttachError::Busy { record })],
            None => {
                self.producer = Some(if shared { Attached::Shared } else { Attached::Exclusive });
                vec![]
            }
        }
    }

    /// A whole sample, at once.
    fn sample(&mut self, n: u64, len: u32, second: Option<(u32, u32)>, finish: Finish) -> Vec<Event> {
        if let Err(why) = self.queue.room(len, 0) {
            return vec![Event::Refused(why)];
        }
        let mut events = vec![];
        let mut bytes = pattern(n, len);
        if let Some((at, count)) = second {
            let write = second_write(n, len, count);
            let at = at as usize;
            match bytes.get_mut(at..at.saturating_add(write.len())) {
                Some(stretch) => stretch.copy_from_slice(&write),
                None => events.push(Event::Beyond(BeyondSample { at, len: write.len(), reserved: len })),
            }
        }
        if self.producer == Some(Attached::Shared) {
            // Published at once: even what is discarded takes its room until it is drained.
            let id = self.queue.reserve(len);
            events.extend(self.end(id, bytes, finish));
            return events;
        }
        match shortened(&mut bytes, finish) {
            Ok(true) => events.push(Event::Ended(self.queue.push(bytes))),
            Ok(false) => {}
            Err(why) => events.push(Event::Beyond(why)),
        }
        events
    }

    /// Lets go of a busy record whose sample holds `bytes`.
    fn end(&mut self, id: Id, mut bytes: Vec<u8>, finish: Finish) -> Option<Event> {
        let event = match shortened(&mut bytes, finish) {
            Ok(true) => self.queue.submit_front(id, bytes).map(Event::Ended),
            Ok(false) => None,
            Err(why) => Some(Event::Beyond(why)),
        };
        self.queue.discard(id);
        event
    }

    fn batch(&mut self, n: u64, lens: &[u32], submit: bool) -> Vec<Event> {
        if self.producer != Some(Attached::Exclusive) {
            return vec![];
        }
        let (mut events, mut samples, mut pending) = (vec![], vec![], 0);
        for (i, len) in (0..).zip(lens) {
            match self.queue.room(*len, pending) {
                Ok(extent) => {
                    pending += extent;
                    samples.push(pattern(n + i, *len));
                }
                Err(why) => events.push(Event::Refused(why)),
            }
        }
        if submit {
            for sample in samples {
                self.queue.push(sample);
            }
            events.push(Event::Ended(Position::new(self.queue.producer())));
        }
        events
    }

    fn hold(&mut self, place: u8, len: u32, held: fn(Id, u32) -> Promised) -> Vec<Event> {
        match self.queue.room(len, 0) {
            Ok(_) => {
                let id = self.queue.reserve(len);
                self.places[usize::from(place % PLACES)] = held(id, len);
                vec![]
            }
            Err(why) => vec![Event::Refused(why)],
        }
    }

    fn take(&mut self, place: u8) -> Promised {
        std::mem::replace(&mut self.places[usize::from(place % PLACES)], Promised::Nothing)
    }

    fn drop_held(&mut self, place: u8) {
        if let Promised::Sample { id, .. } | Promised::Lane { id } = self.take(place) {
            self.queue.discard(id);
        }
    }

    fn finish_held(&mut self, n: u64, place: u8, finish: Finish) -> Vec<Event> {
        match self.take(place) {
            Promised::Nothing => vec![],
            Promised::Sample { id, len } => self.end(id, pattern(n, len), finish).into_iter().collect(),
            Promised::Lane { id } => {
                self.queue.discard(id);
                vec![]
            }
        }
    }

    fn lane_sample(&mut self, n: u64, place: u8, len: u32, finish: Finish) -> Vec<Event> {
        let id = match self.take(place) {
            Promised::Nothing => return vec![],
            Promised::Sample { id, .. } | Promised::Lane { id } => id,
        };
        self.places[usize::from(place % PLACES)] = Promised::Lane { id };
        let (needed, left) = (extent(len.into()), self.queue.left(id));
        let mut bytes = pattern(n, len.min(self.queue.size().bytes()));
        let event = if len > self.queue.max() {
            Some(Event::Refused(ReserveError::TooLarge { len: len as usize, max: self.queue.max() }))
        } else if needed > left {
            Some(Event::Refused(ReserveError::LaneUsedUp { needed: narrow(needed), left: narrow(left) }))
        } else {
            match shortened(&mut bytes, finish) {
                Ok(true) => self.queue.submit_front(id, bytes).map(Event::Ended),
                Ok(false) => None,
                Err(why) => Some(Event::Beyond(why)),
            }
        };
        event.into_iter().chain([Event::Left(narrow(self.queue.left(id)))]).collect()
    }

    fn wait(&mut self, n: u64, len: u32, timeout_ms: u8, drain_after_ms: Option<u8>) -> Vec<Event> {
        let mut events = vec![];
        match self.queue.room(len, 0) {
            Err(why) if !why.is_full() => return vec![Event::Refused(why)],
            // The last attempt comes when the time is up, so a drain at that very moment counts.
            Err(_) if timeout_ms > 0 && drain_after_ms.is_some_and(|after| after <= timeout_ms) => {
                events.push(Event::Drained(self.queue.drain(0, None)));
            }
            _ => {}
        }
        if self.queue.room(len, 0).is_err() {
            events.push(Event::TimedOut);
        } else {
            events.extend(self.sample(n, len, None, Finish::Submit));
        }
        events
    }
}

/// Cuts `bytes` to what is submitted. Returns whether anything is.
fn shortened(bytes: &mut Vec<u8>, finish: Finish) -> Result<bool, BeyondSample> {
    match finish {
        Finish::Submit => Ok(true),
        Finish::Discard => Ok(false),
        Finish::SubmitLen(len) if len as usize <= bytes.len() => {
            bytes.truncate(len as usize);
            Ok(true)
        }
        Finish::SubmitLen(len) => Err(BeyondSample { at: 0, len: len as usize, reserved: narrow(bytes.len() as u64) }),
    }
}
