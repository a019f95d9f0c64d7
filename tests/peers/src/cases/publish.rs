//! One sample of 40 bytes, published as README.md does it: copied in, or filled in place.
//!
//! In rings of four sizes, since a ring that does not fit into the caches costs more than publishing does; through each
//! handle; and both in a loop that the compiler sees whole and by one function call per sample, after which nothing is
//! left in registers. libbpf is two calls per sample either way.

use std::sync::Arc;

use anyhow::Result;
use libbpf_rs::{MapHandle, UserRingBuffer};
use user_ringbuf_linux::{ContiguousMemory, Map, Mapping, Producer, ReserveError};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::rows::EXCLUSIVE;
use crate::options::Options;
use crate::peers::floor::{self, FloorPages};
use crate::peers::{libbpf, ours::ours};
use crate::report::{Floors, Row, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, compare};
use crate::sources::{Sources, pick};

/// The sizes of rings, by the names that rows have.
pub(crate) const RINGS: [(&str, u64); 4] =
    [("4KiB", 4 * 1024), ("64KiB", 64 * 1024), ("256KiB", 256 * 1024), ("16MiB", 16 * 1024 * 1024)];

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
    let mapping = Arc::new(Mapping::new(ring.map())?);
    let (by_ref, by_value, arc) = (&*mapping, mapping.by_value(), &mapping);
    let mut contenders = peers(ring.map())?;
    let theirs = contenders.len();
    // What is done, through which handle, in which style: the rest of a row's name.
    contenders.extend([
        one_by_one("push/ref/loop", by_ref, push),
        one_by_one("push/ref/call", by_ref, push_called),
        one_by_one("push/by_value/loop", by_value, push),
        one_by_one("push/by_value/call", by_value, push_called),
        one_by_one("push/arc/loop", arc.clone(), push),
        one_by_one("push/arc/call", arc.clone(), push_called),
        one_by_one("in_place/ref/loop", by_ref, in_place),
        one_by_one("in_place/ref/call", by_ref, in_place_called),
        one_by_one("in_place/by_value/loop", by_value, in_place),
        one_by_one("in_place/by_value/call", by_value, in_place_called),
        one_by_one("in_place/arc/loop", arc.clone(), in_place),
        one_by_one("in_place/arc/call", arc.clone(), in_place_called),
    ]);

    let sources = Sources::new(LEN);
    let check = |sample: &[u8], number| sources.check(sample, number);
    let times = compare(&mut ring, options.rounds(), u32::try_from(LEN)?, &mut contenders, &check)?;
    let floors = |stores: usize, checked: usize| Floors { stores: Some(times[stores]), checked: Some(times[checked]) };
    let (libbpf, libbpf_rs) = (times[7], times[8]);
    let mut add = |row: Row| {
        if options.wants(&row.case) {
            table.add(row);
        }
    };
    for (way, ours) in contenders.iter().map(|contender| contender.name).zip(&times).skip(theirs) {
        let floors = match way {
            _ if way.ends_with("/by_value/call") => floors(2, 3),
            // The producer has a pointer to the mapping, which has the addresses.
            _ if way.ends_with("/call") => floors(2, 4),
            _ if way.ends_with("/by_value/loop") => floors(0, 1),
            // The compiler may keep the pointer in a register, but load the addresses again after a store to the ring.
            _ if way.ends_with("/ref/loop") => floors(0, 5),
            _ => floors(0, 6),
        };
        add(Row { goal: Some(EXCLUSIVE), floors, ..Row::new(format!("{case}/{way}"), "libbpf", *ours, libbpf) });
    }
    add(Row::new(format!("{case}/push/ref/loop"), "libbpf-rs", times[theirs], libbpf_rs));
    Ok(())
}

/// The floors, in a loop and by calls, and the others.
fn peers(map: &Map) -> Result<Vec<Contender<'static>>> {
    let samples: Samples = Sources::fixed();
    let libbpf_rs = UserRingBuffer::new(&MapHandle::from_map_id(map.id())?)?;
    Ok(vec![
        floor::whole::<LEN, 1, false>(map)?,
        floor::whole::<LEN, 1, true>(map)?,
        floor::called::<FloorPages, LEN, false>(map)?,
        floor::called::<FloorPages, LEN, true>(map)?,
        floor::called::<Box<FloorPages>, LEN, true>(map)?,
        floor::loaded::<FloorPages, LEN>(map)?,
        floor::loaded::<Box<FloorPages>, LEN>(map)?,
        libbpf::whole::<LEN>(map)?,
        Contender::new("libbpf-rs", libbpf_rs, move |ring, numbers| {
            for number in numbers {
                let mut sample = ring.reserve(LEN)?;
                sample.copy_from_slice(pick(&samples, number));
                ring.submit(sample)?;
            }
            Ok(())
        }),
    ])
}

fn one_by_one<'m, M: ContiguousMemory + Clone + 'm>(
    name: &'static str,
    memory: M,
    publish: impl Fn(&mut Producer<M>, &[u8; LEN]) -> Result<(), ReserveError> + 'm,
) -> Contender<'m> {
    let samples: Samples = Sources::fixed();
    ours(name, memory, Producer::attach, move |producer, numbers| {
        for number in numbers {
            publish(producer, pick(&samples, number))?;
        }
        Ok(())
    })
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
