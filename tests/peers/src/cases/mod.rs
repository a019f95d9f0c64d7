//! What is compared.

mod attach;
mod beside_drain;
mod capi;
mod detached;
mod fill;
mod plain_memory;
mod push;
mod reserve_submit;
mod rows;
mod threads;
mod waiting;
pub(crate) mod whole_way;

use anyhow::Result;

use crate::options::Options;
use crate::report::Table;

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
    Case { name: "whole_way", about: "from push to the BPF callback: how many, and how soon", run: whole_way::run },
    Case { name: "waiting", about: "waiting for room: how late it is found, and CPU time", run: waiting::run },
    Case { name: "attach", about: "from the map to the first sample; memory of a handle", run: attach::run },
    Case { name: "plain_memory", about: "the core between two threads, without a kernel", run: plain_memory::run },
];
