//! Samples of 40 bytes in batches: 32 are shown at once.

use anyhow::Result;
use user_ringbuf_linux::Mapping;

use super::rows::{EXCLUSIVE, SMALL_RING, add_rows};
use crate::options::Options;
use crate::peers::ours::Ours;
use crate::peers::{floor, libbpf};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::sources::{Sources, pick};

/// Samples shown at once.
const BATCH: usize = 32;
const LEN: usize = 40;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let case = format!("batch/{LEN}");
    if !options.wants(&case) {
        return Ok(());
    }
    let mut ring = TestRing::new(SMALL_RING)?;
    let size = u32::try_from(LEN)?;
    let memory = Mapping::new(ring.map())?;
    let mut contenders = contenders(&ring, &memory)?;
    let plan = Plan::filling(options.rounds(), ring.holds(size));
    let sources = Sources::new(LEN);
    let check = |sample: &[u8], number| sources.check(sample, number);
    let times = compare(&mut ring, plan, &mut contenders, &check)?;
    add_rows(table, &case, &contenders, &times, Goal::OfFloor(EXCLUSIVE));
    Ok(())
}

fn contenders<'m>(ring: &TestRing, memory: &'m Mapping) -> Result<Vec<Box<dyn Contender + 'm>>> {
    let samples = Sources::fixed::<LEN>();
    Ok(vec![
        Box::new(Ours::new(memory, move |producer, first, count| {
            let mut numbers = first..first + count;
            while !numbers.is_empty() {
                let mut batch = producer.batch();
                for number in numbers.by_ref().take(BATCH) {
                    batch.push(pick(&samples, number))?;
                }
                batch.submit()?;
            }
            Ok(())
        })),
        floor::whole::<LEN, { BATCH as u64 }>(ring.map())?,
        libbpf::whole::<LEN>(ring.map())?,
    ])
}
