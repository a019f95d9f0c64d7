//! Waiting within a program: for the one drain that it asks for, on a clock that costs no time.

use std::time::Duration;

use user_ringbuf_core::{RingId, Wait, Wake};

use crate::proof::model::{DrainResult, Event};

/// Drains once with these flags, and stops after so many samples.
pub type DrainWith<'d> = &'d mut dyn FnMut(u64, Option<u32>) -> DrainResult;

/// Waits on a clock that moves to the one drain that is due, or to the deadline.
pub(super) struct DrainingWaiter<'d> {
    pub(super) drain: DrainWith<'d>,
    pub(super) now: Duration,
    pub(super) drain_at: Option<Duration>,
    pub(super) events: Vec<Event>,
}

impl Wait for DrainingWaiter<'_> {
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
                self.events.push(Event::Drained((self.drain)(0, None)));
            }
            None => self.now = until,
        }
        Ok(Wake::Look)
    }
}
