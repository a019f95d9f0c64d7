//! The whole way of a sample, from `push` to the BPF callback.
//!
//! - [`through`]: how many get through beside a thread that drains, by size of the ring and of the batches.
//! - [`callback`]: how long one takes that is drained at once.

mod callback;
mod clocked;
mod through;

pub(crate) use through::{BATCHES, RINGS};

use anyhow::Result;

use super::rows::MODES;
use crate::options::Options;
use crate::report::Table;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (mode, flags) in MODES {
        through::run(options, table, mode, flags)?;
        callback::run(options, table, mode, flags)?;
    }
    Ok(())
}
