//! What several cases share: the small ring, the rows of a table, and a check of what was written.

use anyhow::{Result, ensure};

use crate::report::{Goal, Row, Table, Unit};
use crate::rounds::Contender;

/// The smallest ring for which a burst is long enough for the clock.
pub(super) const SMALL_RING: u64 = 256 * 1024;

/// Rows of the first contender, ours, against each other one.
pub(super) fn add_rows(
    table: &mut Table,
    case: &str,
    contenders: &[Box<dyn Contender + '_>],
    times: &[f64],
    goal: impl Fn(&str) -> Option<Goal>,
) {
    let Some((ours, theirs)) = times.split_first() else { return };
    let peers = || contenders.iter().skip(1).map(|contender| contender.name()).zip(theirs);
    let floor = peers().find(|(peer, _)| *peer == "store floor").map(|(_, time)| *time);
    for (peer, time) in peers() {
        // The floor is a limit to what can be reached against others, not against itself.
        let floor = floor.filter(|_| peer.starts_with("libbpf"));
        let (case, ours, theirs) = (case.to_owned(), *ours, *time);
        table.add(Row { case, peer, unit: Unit::Nanoseconds, ours, theirs, goal: goal(peer), floor });
    }
}

/// The number that stands in the first bytes of a sample.
pub(super) fn check_number(sample: &[u8], number: u64) -> Result<()> {
    let expected = number.to_ne_bytes();
    ensure!(sample.first_chunk() == Some(&expected), "sample {number} begins with other bytes");
    Ok(())
}
