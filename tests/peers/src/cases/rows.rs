//! What several cases share: the small ring, the goals, the rows of a table, and a check of what was written.

use anyhow::{Result, ensure};

use crate::report::{Goal, Row, Table, Unit};
use crate::rounds::Contender;

/// The ring of cases that are measured in one size of ring only.
pub(super) const SMALL_RING: u64 = 256 * 1024;

/// How many times the floor an exclusive producer may take.
pub(super) const EXCLUSIVE: f64 = 1.1;
/// How many times the floor anything else may take.
pub(super) const OTHERWISE: f64 = 1.25;

/// A row of times.
pub(super) fn add_row(
    table: &mut Table,
    case: &str,
    ours: f64,
    (peer, theirs): (&'static str, f64),
    floor: Option<f64>,
    goal: Option<Goal>,
) {
    table.add(Row { case: case.into(), peer, unit: Unit::Nanoseconds, ours, theirs, goal, floor });
}

/// A row of the first contender, ours, against libbpf, which is the last; the floor is in between, if there is one.
pub(super) fn add_rows(
    table: &mut Table,
    case: &str,
    contenders: &[Box<dyn Contender + '_>],
    times: &[f64],
    goal: Goal,
) {
    let floor = contenders.iter().zip(times).find(|(contender, _)| contender.name() == "store floor");
    let floor = floor.map(|(_, time)| *time);
    if let ([ours, .., theirs], Some(peer)) = (times, contenders.last()) {
        add_row(table, case, *ours, (peer.name(), *theirs), floor, Some(goal));
    }
}

/// The number that stands in the first bytes of a sample.
pub(super) fn check_number(sample: &[u8], number: u64) -> Result<()> {
    let expected = number.to_ne_bytes();
    ensure!(sample.first_chunk() == Some(&expected), "sample {number} begins with other bytes");
    Ok(())
}
