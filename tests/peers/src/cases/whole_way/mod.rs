//! The whole way of a sample, from `push` to the BPF callback.
//!
//! - [`through`]: how many get through beside a thread that drains, by size of the ring and of the batches.
//! - [`callback`]: how long one takes that is drained at once.
//! - [`picture`]: the first as a picture.

mod callback;
mod clocked;
pub(crate) mod picture;
mod through;

pub(crate) use through::RINGS;

use anyhow::Result;
use user_ringbuf_linux::WakeupFlags;

use crate::options::Options;
use crate::report::Table;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (mode, flags) in [("waking", WakeupFlags::IF_CONSUMED), ("no_wakeup", WakeupFlags::NEVER)] {
        through::run(options, table, mode, flags)?;
        callback::run(options, table, mode, flags)?;
    }
    Ok(())
}
