//! Ours: the exclusive producer over the real map.

use anyhow::{Context, Result};
use user_ringbuf_linux::{Producer, ReserveError, RingMemory};

use crate::rounds::Contender;

/// A producer that begins anew each round, since the peers move the producer position meanwhile.
pub(crate) struct Ours<M, F> {
    /// There but for a moment of `begin`.
    producer: Option<Producer<M>>,
    work: F,
}

impl<M: RingMemory, F: FnMut(&mut Producer<M>, u64, u64) -> Result<(), ReserveError>> Ours<M, F> {
    /// `work` publishes samples: the first number, and how many.
    pub(crate) fn new(memory: M, work: F) -> Result<Self> {
        Ok(Self { producer: Some(Producer::attach(memory)?), work })
    }
}

impl<M: RingMemory, F: FnMut(&mut Producer<M>, u64, u64) -> Result<(), ReserveError>> Contender for Ours<M, F> {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn begin(&mut self) -> Result<()> {
        let memory = self.producer.take().context("ours gave up")?.into_memory();
        self.producer = Some(Producer::attach(memory)?);
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        let producer = self.producer.as_mut().context("ours gave up")?;
        Ok((self.work)(producer, first, count)?)
    }
}
