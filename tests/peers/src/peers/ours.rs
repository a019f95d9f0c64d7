//! Ours: the exclusive producer over the real map.

use anyhow::{Context, Result};
use user_ringbuf_linux::{Producer, ReserveError, RingMemory};

use crate::rounds::Contender;

/// A producer that begins anew each round, since the peers move the producer position meanwhile.
pub(crate) struct Ours<M: RingMemory, F> {
    memory: M,
    /// From `begin` on.
    producer: Option<Producer<M>>,
    work: F,
}

impl<M: RingMemory + Clone, F: FnMut(&mut Producer<M>, u64, u64) -> Result<(), ReserveError>> Ours<M, F> {
    /// `work` publishes samples: the first number, and how many.
    pub(crate) fn new(memory: M, work: F) -> Self {
        Self { memory, producer: None, work }
    }
}

impl<M, F> Contender for Ours<M, F>
where
    M: RingMemory + Clone,
    F: FnMut(&mut Producer<M>, u64, u64) -> Result<(), ReserveError>,
{
    fn name(&self) -> &'static str {
        "ours"
    }

    fn begin(&mut self) -> Result<()> {
        // A ring has one producer at a time.
        self.producer = None;
        self.producer = Some(Producer::attach(self.memory.clone())?);
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        // A local variable, as in a program's main loop: it may stay in registers.
        let mut producer = self.producer.take().context("there is a producer after `begin`")?;
        Ok((self.work)(&mut producer, first, count)?)
    }
}
