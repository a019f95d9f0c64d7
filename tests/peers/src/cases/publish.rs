//! One sample of 40 bytes, published as README.md does it: copied in, or filled in place.
//!
//! In rings of four sizes, since a ring that does not fit into the caches costs more than publishing does; through each
//! handle; and both in a loop that the compiler sees whole and by one function call per sample, after which nothing is
//! left in registers. libbpf is two calls per sample either way.

use std::sync::Arc;

use anyhow::Result;
use user_ringbuf_linux::{ContiguousMemory, Mapping, Producer, ReserveError};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::rows::{EXCLUSIVE, add_row};
use crate::options::Options;
use crate::peers::libbpf_rs::LibbpfRs;
use crate::peers::ours::Ours;
use crate::peers::{floor, libbpf};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::sources::{Sources, pick};

/// The sizes of rings, by the names that rows have.
pub(crate) const RINGS: [(&str, u64); 4] =
    [("4KiB", 4 * 1024), ("64KiB", 64 * 1024), ("256KiB", 256 * 1024), ("16MiB", 16 * 1024 * 1024)];
/// What is done, through which handle, in which style: the rest of a row's name.
pub(crate) const WAYS: [&str; 12] = [
    "push/ref/loop",
    "push/ref/call",
    "push/by_value/loop",
    "push/by_value/call",
    "push/arc/loop",
    "push/arc/call",
    "in_place/ref/loop",
    "in_place/ref/call",
    "in_place/by_value/loop",
    "in_place/by_value/call",
    "in_place/arc/loop",
    "in_place/arc/call",
];

const LEN: usize = size_of::<Dispatch>();

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Dispatch {
    pid: u64,
    deadline: u64,
    slice: u64,
    weight: u64,
    cpu: u32,
    flags: u32,
}

type Samples = Box<[[u8; LEN]; 16]>;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (name, bytes) in RINGS {
        let case = format!("publish/{name}");
        if options.wants(&case) {
            measure(options, table, &case, bytes)?;
        }
    }
    Ok(())
}

fn measure(options: &Options, table: &mut Table, case: &str, bytes: u64) -> Result<()> {
    let mut ring = TestRing::new(bytes)?;
    let size = u32::try_from(LEN)?;
    let mapping = Arc::new(Mapping::new(ring.map())?);
    let mut contenders: Vec<Box<dyn Contender + '_>> = peers(&ring)?;
    let theirs = contenders.len();
    contenders.extend(through(&*mapping));
    contenders.extend(through(mapping.by_value()));
    contenders.extend(through(Arc::clone(&mapping)));
    // `through` has each handle's pushes and fillings together.
    let order = |way: usize| theirs + (way % 6 / 2) * 4 + way / 6 * 2 + way % 2;

    let plan = Plan::filling(options.rounds(), ring.holds(size));
    let sources = Sources::new(LEN);
    let check = |sample: &[u8], number| sources.check(sample, number);
    let times = compare(&mut ring, plan, &mut contenders, &check)?;
    let [floor_loop, floor_call, libbpf, libbpf_rs] = [times[0], times[1], times[2], times[3]];
    for (way, name) in WAYS.iter().enumerate() {
        let floor = if name.ends_with("/call") { floor_call } else { floor_loop };
        let (row, ours) = (format!("{case}/{name}"), times[order(way)]);
        if options.wants(&row) {
            add_row(table, &row, ours, ("libbpf", libbpf), Some(floor), Some(Goal::OfFloor(EXCLUSIVE)));
        }
    }
    let row = format!("{case}/push/ref/loop");
    if options.wants(&row) {
        add_row(table, &row, times[order(0)], ("libbpf-rs", libbpf_rs), None, None);
    }
    Ok(())
}

/// The floors, in a loop and by calls, and the others.
fn peers(ring: &TestRing) -> Result<Vec<Box<dyn Contender>>> {
    let samples: Samples = Sources::fixed();
    let libbpf_rs = LibbpfRs::new(ring.map(), move |ring, first, count| {
        for number in first..first + count {
            let mut sample = ring.reserve(LEN)?;
            sample.copy_from_slice(pick(&samples, number));
            ring.submit(sample)?;
        }
        Ok(())
    })?;
    let map = ring.map();
    Ok(vec![floor::whole::<LEN, 1>(map)?, floor::called::<LEN>(map)?, libbpf::whole::<LEN>(map)?, Box::new(libbpf_rs)])
}

/// Ours through one handle: pushed and filled in place, each in a loop and by calls.
fn through<'m, M: ContiguousMemory + Clone + 'm>(memory: M) -> [Box<dyn Contender + 'm>; 4] {
    [
        contender(memory.clone(), push),
        contender(memory.clone(), push_called),
        contender(memory.clone(), in_place),
        contender(memory, in_place_called),
    ]
}

fn contender<'m, M: ContiguousMemory + Clone + 'm>(
    memory: M,
    publish: impl Fn(&mut Producer<M>, &[u8; LEN]) -> Result<(), ReserveError> + 'm,
) -> Box<dyn Contender + 'm> {
    let samples: Samples = Sources::fixed();
    Box::new(Ours::new(memory, move |producer: &mut Producer<M>, first, count| {
        for number in first..first + count {
            publish(producer, pick(&samples, number))?;
        }
        Ok(())
    }))
}

#[inline(always)]
fn push<M: ContiguousMemory>(producer: &mut Producer<M>, sample: &[u8; LEN]) -> Result<(), ReserveError> {
    producer.push(sample)?;
    Ok(())
}

#[inline(never)]
fn push_called<M: ContiguousMemory>(producer: &mut Producer<M>, sample: &[u8; LEN]) -> Result<(), ReserveError> {
    push(producer, sample)
}

#[inline(always)]
fn in_place<M: ContiguousMemory>(producer: &mut Producer<M>, from: &[u8; LEN]) -> Result<(), ReserveError> {
    let mut sample = producer.reserve(LEN)?;
    // A sample of another length would be seen when the kernel's copy is compared.
    if let Ok(dispatch) = Dispatch::mut_from_bytes(&mut sample) {
        *dispatch = zerocopy::transmute!(*from);
    }
    sample.submit();
    Ok(())
}

#[inline(never)]
fn in_place_called<M: ContiguousMemory>(producer: &mut Producer<M>, from: &[u8; LEN]) -> Result<(), ReserveError> {
    in_place(producer, from)
}
