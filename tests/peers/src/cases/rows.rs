//! What several cases share: the goals, a comparison with libbpf, and a check of what was written.

use anyhow::{Result, ensure};
use user_ringbuf_linux::{Map, Mapping, WakeupFlags};

use crate::options::Options;
use crate::peers::floor::{CHECKED, FLOOR};
use crate::report::{Floors, Goal, Row, Table};
use crate::ring::TestRing;
use crate::rounds::{Check, Contender, compare};

/// Bytes of the ring, unless the samples are large.
const SMALL_RING: u64 = 256 * 1024;

/// How many times the floor an exclusive producer may take.
pub(super) const EXCLUSIVE: Goal = Goal::OfFloor(1.1);
/// How many times the floor anything else may take.
pub(super) const OTHERWISE: Goal = Goal::OfFloor(1.25);

/// How rows name a consumer's two ways to drain.
pub(super) const MODES: [(&str, WakeupFlags); 2] =
    [("waking", WakeupFlags::IF_CONSUMED), ("no_wakeup", WakeupFlags::NEVER)];

/// Measures a case, if it was asked for: ours is the first of its contenders and libbpf the last, the floors are in between.
pub(super) fn beside_libbpf(
    options: &Options,
    table: &mut Table,
    case: &str,
    len: u32,
    goal: Goal,
    check: Check<'_>,
    contenders: impl for<'m> FnOnce(&Map, &'m Mapping) -> Result<Vec<Contender<'m>>>,
) -> Result<()> {
    if !options.wants(case) {
        return Ok(());
    }
    let mut ring = TestRing::new(SMALL_RING.max(u64::from(len) * 256))?;
    let memory = Mapping::new(ring.map())?;
    let mut contenders = contenders(ring.map(), &memory)?;
    let times = compare(&mut ring, options.rounds(), len, &mut contenders, check)?;
    let time_of =
        |name| contenders.iter().zip(&times).find(|(contender, _)| contender.name == name).map(|(_, time)| *time);
    let floors = Floors { stores: time_of(FLOOR), checked: time_of(CHECKED) };
    if let ([ours, .., theirs], Some(peer)) = (&times[..], contenders.last()) {
        table.add(Row { goal: Some(goal), floors, ..Row::new(case, peer.name, *ours, *theirs) });
    }
    Ok(())
}

/// The number that stands in the first bytes of a sample.
pub(super) fn check_number(sample: &[u8], number: u64) -> Result<()> {
    let expected = number.to_ne_bytes();
    ensure!(sample.first_chunk() == Some(&expected), "sample {number} begins with other bytes");
    Ok(())
}
