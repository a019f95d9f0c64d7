//! Ours: a producer over the real map.

use std::ops::Range;

use anyhow::{Context, Error, Result};

use crate::rounds::Contender;

/// A producer that is attached anew before each burst, since the peers move the producer position meanwhile. `work`
/// publishes the samples of these numbers.
pub(crate) fn ours<'c, M: Clone + 'c, P: 'c, E: Into<Error> + 'c>(
    name: &'static str,
    memory: M,
    attach: fn(M) -> Result<P, E>,
    mut work: impl FnMut(&mut P, Range<u64>) -> Result<()> + 'c,
) -> Contender<'c> {
    let begin = move |producer: &mut Option<P>| {
        // A ring has one producer at a time.
        *producer = None;
        *producer = Some(attach(memory.clone()).map_err(Into::into)?);
        Ok(())
    };
    Contender::beginning(name, None, begin, move |producer, numbers| {
        // A local variable, as in a program's main loop: it may stay in registers. Dropped at the end, so that the next
        // contender finds the ring without a producer.
        let mut producer = producer.take().context("there is a producer after `begin`")?;
        work(&mut producer, numbers)
    })
}
