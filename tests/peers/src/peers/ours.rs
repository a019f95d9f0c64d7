//! Ours: the exclusive producer over the real map.

use anyhow::{Context, Result};
use user_ringbuf_linux::{Mapping, Producer, ReserveError};

use crate::rounds::Contender;

/// A producer that begins anew each round, since the peers move the producer position meanwhile.
pub(crate) struct Ours<'m, F> {
    memory: &'m Mapping,
    /// From `begin` on.
    producer: Option<Producer<&'m Mapping>>,
    work: F,
}

impl<'m, F> Ours<'m, F>
where
    F: FnMut(&mut Producer<&'m Mapping>, u64, u64) -> Result<(), ReserveError>,
{
    /// `work` publishes samples: the first number, and how many.
    pub(crate) fn new(memory: &'m Mapping, work: F) -> Self {
        Self { memory, producer: None, work }
    }
}

impl<'m, F> Contender for Ours<'m, F>
where
    F: FnMut(&mut Producer<&'m Mapping>, u64, u64) -> Result<(), ReserveError>,
{
    fn name(&self) -> &'static str {
        "ours"
    }

    fn begin(&mut self) -> Result<()> {
        // A ring has one producer at a time.
        self.producer = None;
        self.producer = Some(Producer::attach(self.memory)?);
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        // A local variable, as in a program's main loop: it may stay in registers.
        let mut producer = self.producer.take().context("there is a producer after `begin`")?;
        Ok((self.work)(&mut producer, first, count)?)
    }
}
