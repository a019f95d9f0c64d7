//! Samples of 40 bytes in batches: 32 are shown at once.

use anyhow::Result;
use user_ringbuf_linux::Producer;

use super::rows::{EXCLUSIVE, beside_libbpf};
use crate::options::Options;
use crate::peers::{floor, libbpf, ours::ours};
use crate::report::Table;
use crate::sources::{Sources, pick};

/// Samples shown at once.
const BATCH: usize = 32;
const LEN: usize = 40;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let sources = Sources::new(LEN);
    let check = |sample: &[u8], number| sources.check(sample, number);
    beside_libbpf(options, table, "batch/40", u32::try_from(LEN)?, EXCLUSIVE, &check, |map, memory| {
        let samples = Sources::fixed::<LEN>();
        Ok(vec![
            ours("ours", memory.by_value(), Producer::attach, move |producer, mut numbers| {
                while !numbers.is_empty() {
                    let mut batch = producer.batch();
                    for number in numbers.by_ref().take(BATCH) {
                        batch.push(pick(&samples, number))?;
                    }
                    batch.submit()?;
                }
                Ok(())
            }),
            floor::whole::<LEN, { BATCH as u64 }, false>(map)?,
            floor::whole::<LEN, { BATCH as u64 }, true>(map)?,
            libbpf::whole::<LEN>(map)?,
        ])
    })
}
