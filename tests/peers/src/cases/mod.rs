//! What is compared.

mod attach;
mod beside_drain;
mod capi;
mod detached;
mod fill;
mod plain_memory;
mod push;
mod reserve_submit;
mod threads;
mod waiting;

use anyhow::{Result, ensure};

use crate::options::Options;
use crate::report::{Goal, Row, Table, Unit};
use crate::rounds::Contender;

/// A kind of work, and what is known to do it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Options, &mut Table) -> Result<()>,
}

/// All of them, in the order of the table.
pub(crate) const ALL: &[Case] = &[
    Case { name: "reserve_submit", about: "reserve, write 8 bytes, submit", run: reserve_submit::run },
    Case { name: "reserve_fill", about: "reserve, copy the whole sample, submit", run: fill::run },
    Case { name: "push", about: "push whole samples, one by one", run: push::one_by_one },
    Case { name: "batch", about: "push whole samples, 32 shown at once", run: push::in_batches },
    Case { name: "detached", about: "16 samples outstanding, submitted in reverse", run: detached::run },
    Case { name: "capi", about: "the C library: two calls a sample, push, batches of 32", run: capi::run },
    Case { name: "two_threads", about: "two threads on one ring", run: threads::run },
    Case { name: "beside_drain", about: "producer and kernel at once, on two cores", run: beside_drain::run },
    Case { name: "waiting", about: "CPU time of a second's wait on a partly full ring", run: waiting::run },
    Case { name: "attach", about: "from the map to the first sample; memory of a handle", run: attach::run },
    Case { name: "plain_memory", about: "the core between two threads, without a kernel", run: plain_memory::run },
];

/// The smallest ring for which a burst is long enough for the clock.
const SMALL_RING: u64 = 256 * 1024;

/// Rows of the first contender, ours, against each other one.
fn add_rows(
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
fn check_number(sample: &[u8], number: u64) -> Result<()> {
    let expected = number.to_ne_bytes();
    ensure!(sample.first_chunk() == Some(&expected), "sample {number} begins with other bytes");
    Ok(())
}
