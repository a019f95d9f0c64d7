//! What each operation must answer, by the model.

use user_ringbuf_core::{AttachError, BeyondSample, Position, ReserveError};

use super::{Answer, Id, Model, extent, narrow};
use crate::operations::{Finish, Operation, PLACES};

/// One thing that an operation answered. An operation gives as many as it has parts that answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A sample was submitted, and its record ends there.
    Ended(Position),
    /// A reservation failed.
    Refused(ReserveError),
    /// A write or a length was beyond the sample.
    Beyond(BeyondSample),
    /// A producer could not be attached.
    NotAttached(AttachError),
    /// A drain ended.
    Drained(Answer),
    /// A wait ended without room.
    TimedOut,
    /// A wait ended in a way in which none should.
    WaitFailed(String),
}

/// The bytes of sample number `n`.
pub(crate) fn pattern(n: u64, len: u32) -> Vec<u8> {
    let first = n.wrapping_mul(31);
    (0..u64::from(len)).map(|i| first.wrapping_add(i.wrapping_mul(7)).to_le_bytes()[0]).collect()
}

/// What the second write into a sample of `len` bytes writes: no more than is needed to be beyond it.
pub(crate) fn second_write(n: u64, len: u32, count: u32) -> Vec<u8> {
    pattern(n + 101, count.min(len.saturating_add(16)))
}

/// The model, and who works on it.
#[derive(Clone, Debug)]
pub(crate) struct Predictor {
    pub(crate) model: Model,
    producer: Option<Kind>,
    places: [Held; PLACES as usize],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exclusive,
    Shared,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    Nothing,
    Sample { id: Id, len: u32 },
    Lane { id: Id },
}

impl Predictor {
    /// Nobody works on the ring yet.
    pub(crate) fn new(model: Model) -> Self {
        Self { model, producer: None, places: [Held::Nothing; PLACES as usize] }
    }

    /// What operation number `n` answers.
    pub(crate) fn step(&mut self, n: u64, operation: &Operation) -> Vec<Event> {
        match operation {
            Operation::Attach { shared } => self.attach(*shared),
            Operation::Drain { flags, stop_after } => vec![Event::Drained(self.model.drain(*flags, *stop_after))],
            Operation::Finish { place, finish } => self.finish_held(n, *place, *finish),
            Operation::LaneSample { place, len, finish } => self.lane_sample(n, *place, *len, *finish),
            Operation::Close { place } => {
                self.drop_held(*place);
                vec![]
            }
            // Without a producer, nothing more can happen.
            _ if self.producer.is_none() => vec![],
            Operation::Push { len } => self.sample(n, *len, None, Finish::Submit),
            Operation::Sample { len, at, count, finish } => self.sample(n, *len, Some((*at, *count)), *finish),
            Operation::Batch { lens, submit } => self.batch(n, lens, *submit),
            Operation::Detach { place, len } => {
                self.drop_held(*place);
                self.hold(*place, *len, |id, len| Held::Sample { id, len })
            }
            Operation::Lane { place, len } => {
                self.drop_held(*place);
                if *len == 0 {
                    return vec![Event::Refused(ReserveError::EmptyLane)];
                }
                self.hold(*place, *len, |id, _| Held::Lane { id })
            }
            Operation::Wait { len, timeout_ms, drain_after_ms } => self.wait(n, *len, *timeout_ms, *drain_after_ms),
            Operation::Crash { .. } | Operation::Repair | Operation::Tamper(_) => vec![],
        }
    }

    fn attach(&mut self, shared: bool) -> Vec<Event> {
        self.producer = None;
        match self.model.first_busy() {
            Some(record) => vec![Event::NotAttached(AttachError::Busy { record })],
            None => {
                self.producer = Some(if shared { Kind::Shared } else { Kind::Exclusive });
                vec![]
            }
        }
    }

    /// A whole sample, at once.
    fn sample(&mut self, n: u64, len: u32, second: Option<(u32, u32)>, finish: Finish) -> Vec<Event> {
        if let Err(why) = self.model.room(len, 0) {
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
        if self.producer == Some(Kind::Shared) {
            // Published at once: even what is discarded takes its room until it is drained.
            let id = self.model.reserve(len);
            events.extend(self.end(id, bytes, finish));
            return events;
        }
        match shortened(&mut bytes, finish) {
            Ok(true) => events.push(Event::Ended(self.model.push(bytes))),
            Ok(false) => {}
            Err(why) => events.push(Event::Beyond(why)),
        }
        events
    }

    /// Lets go of a busy record whose sample holds `bytes`.
    fn end(&mut self, id: Id, mut bytes: Vec<u8>, finish: Finish) -> Option<Event> {
        let event = match shortened(&mut bytes, finish) {
            Ok(true) => self.model.submit_front(id, bytes).map(Event::Ended),
            Ok(false) => None,
            Err(why) => Some(Event::Beyond(why)),
        };
        self.model.discard(id);
        event
    }

    fn batch(&mut self, n: u64, lens: &[u32], submit: bool) -> Vec<Event> {
        if self.producer != Some(Kind::Exclusive) {
            return vec![];
        }
        let (mut events, mut samples, mut pending) = (vec![], vec![], 0);
        for (i, len) in (0..).zip(lens) {
            match self.model.room(*len, pending) {
                Ok(extent) => {
                    pending += extent;
                    samples.push(pattern(n + i, *len));
                }
                Err(why) => events.push(Event::Refused(why)),
            }
        }
        if submit {
            for sample in samples {
                self.model.push(sample);
            }
            events.push(Event::Ended(Position::new(self.model.producer())));
        }
        events
    }

    fn hold(&mut self, place: u8, len: u32, held: fn(Id, u32) -> Held) -> Vec<Event> {
        match self.model.room(len, 0) {
            Ok(_) => {
                let id = self.model.reserve(len);
                self.places[usize::from(place % PLACES)] = held(id, len);
                vec![]
            }
            Err(why) => vec![Event::Refused(why)],
        }
    }

    fn take(&mut self, place: u8) -> Held {
        std::mem::replace(&mut self.places[usize::from(place % PLACES)], Held::Nothing)
    }

    fn drop_held(&mut self, place: u8) {
        if let Held::Sample { id, .. } | Held::Lane { id } = self.take(place) {
            self.model.discard(id);
        }
    }

    fn finish_held(&mut self, n: u64, place: u8, finish: Finish) -> Vec<Event> {
        match self.take(place) {
            Held::Nothing => vec![],
            Held::Sample { id, len } => self.end(id, pattern(n, len), finish).into_iter().collect(),
            Held::Lane { id } => {
                self.model.discard(id);
                vec![]
            }
        }
    }

    fn lane_sample(&mut self, n: u64, place: u8, len: u32, finish: Finish) -> Vec<Event> {
        let id = match self.take(place) {
            Held::Nothing => return vec![],
            Held::Sample { id, .. } | Held::Lane { id } => id,
        };
        self.places[usize::from(place % PLACES)] = Held::Lane { id };
        if len > self.model.max() {
            return vec![Event::Refused(ReserveError::TooLarge { len: len as usize, max: self.model.max() })];
        }
        let (needed, left) = (extent(len.into()), self.model.left(id));
        if needed > left {
            let used_up = ReserveError::LaneUsedUp { needed: narrow(needed), left: narrow(left) };
            return vec![Event::Refused(used_up)];
        }
        let mut bytes = pattern(n, len);
        match shortened(&mut bytes, finish) {
            Ok(true) => self.model.submit_front(id, bytes).map(Event::Ended).into_iter().collect(),
            Ok(false) => vec![],
            Err(why) => vec![Event::Beyond(why)],
        }
    }

    fn wait(&mut self, n: u64, len: u32, timeout_ms: u8, drain_after_ms: Option<u8>) -> Vec<Event> {
        let mut events = vec![];
        match self.model.room(len, 0) {
            Err(why) if !why.is_full() => return vec![Event::Refused(why)],
            // The last attempt comes when the time is up, so a drain at that very moment counts.
            Err(_) if timeout_ms > 0 && drain_after_ms.is_some_and(|after| after <= timeout_ms) => {
                events.push(Event::Drained(self.model.drain(0, None)));
            }
            _ => {}
        }
        if self.model.room(len, 0).is_err() {
            events.push(Event::TimedOut);
        } else {
            events.extend(self.sample(n, len, None, Finish::Submit));
        }
        events
    }
}

/// Cuts `bytes` to what is submitted: whether anything is.
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
