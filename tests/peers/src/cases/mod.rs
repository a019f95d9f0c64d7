//! What is compared.

mod batch;
mod beside_drain;
mod capi;
mod detached;
pub(crate) mod many_threads;
pub(crate) mod publish;
pub(crate) mod rings;
mod rows;
mod slices;
mod threads;
pub(crate) mod waiting;
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
    Case { name: "publish", about: "one sample of 40 bytes: rings, handles, styles", run: publish::run },
    Case { name: "slices", about: "push slices of a length known only at run time", run: slices::run },
    Case { name: "batch", about: "push samples of 40 bytes, 32 shown at once", run: batch::run },
    Case { name: "detached", about: "16 samples outstanding, submitted in reverse", run: detached::run },
    Case { name: "capi", about: "the C library: two calls a sample, push, batches of 32", run: capi::run },
    Case { name: "one_thread", about: "a shared producer that no other thread uses", run: threads::alone },
    Case { name: "two_threads", about: "two threads on one ring", run: threads::run },
    Case {
        name: "many_threads",
        about: "4, 8 and 16 threads on a full ring: how evenly they are served",
        run: many_threads::run,
    },
    Case { name: "beside_drain", about: "producer and kernel at once, on two cores", run: beside_drain::run },
    Case { name: "whole_way", about: "from push to the BPF callback: how many, and how soon", run: whole_way::run },
    Case { name: "waiting", about: "waiting for room: how late it is found, and CPU time", run: waiting::run },
    Case {
        name: "rings",
        about: "many rings in one process: attach, publish, wait, memory, descriptors",
        run: rings::run,
    },
];
