//! Push whole samples of a size that the program knows, one by one and 32 at once.
//!
//! The size is a type's here, as it is for a program that sends one kind of sample; libbpf gets the same size and the
//! same copy.

use anyhow::Result;
use user_ringbuf_linux::{Mapping, MappingRef, Producer, ReserveError};

use super::rows::{SMALL_RING, add_rows};
use crate::options::Options;
use crate::peers::{floor::Floor, libbpf::Libbpf, libbpf_rs::LibbpfRs, ours::Ours};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::sources::{Sources, pick};

/// Samples shown at once.
const BATCH: usize = 32;

type Samples<const LEN: usize> = [[u8; LEN]; 16];

pub(crate) fn one_by_one(options: &Options, table: &mut Table) -> Result<()> {
    measure::<40>(options, table, "push", push, None)?;
    measure::<256>(options, table, "push", push, None)
}

pub(crate) fn in_batches(options: &Options, table: &mut Table) -> Result<()> {
    let goal = Some(Goal::Times(10.0));
    measure::<40>(options, table, "batch", push_batches, goal)?;
    measure::<256>(options, table, "batch", push_batches, goal)
}

// Inlined, so that the producer is a local variable of the loop's function.
#[inline(always)]
fn push<const LEN: usize>(
    producer: &mut Producer<MappingRef<'_>>,
    samples: &Samples<LEN>,
    first: u64,
    count: u64,
) -> Result<(), ReserveError> {
    for number in first..first + count {
        producer.push(pick(samples, number))?;
    }
    Ok(())
}

#[inline(always)]
fn push_batches<const LEN: usize>(
    producer: &mut Producer<MappingRef<'_>>,
    samples: &Samples<LEN>,
    first: u64,
    count: u64,
) -> Result<(), ReserveError> {
    let mut numbers = first..first + count;
    while !numbers.is_empty() {
        let mut batch = producer.batch();
        for number in numbers.by_ref().take(BATCH) {
            batch.push(pick(samples, number))?;
        }
        batch.submit()?;
    }
    Ok(())
}

fn measure<const LEN: usize>(
    options: &Options,
    table: &mut Table,
    name: &str,
    work: impl Fn(&mut Producer<MappingRef<'_>>, &Samples<LEN>, u64, u64) -> Result<(), ReserveError>,
    goal: Option<Goal>,
) -> Result<()> {
    let case = format!("{name}/{LEN}");
    if !options.wants(&case) {
        return Ok(());
    }
    let mut ring = TestRing::new(SMALL_RING)?;
    let size = u32::try_from(LEN)?;
    let memory = Mapping::new(ring.map())?;
    let mut contenders = contenders::<LEN>(&ring, &memory, size, work)?;
    let plan = Plan { rounds: options.rounds(), burst: ring.holds(size) };
    let sources = Sources::new(LEN);
    let check = |sample: &[u8], number| sources.check(sample, number);
    let times = compare(&mut ring, plan, &mut contenders, &check)?;
    add_rows(table, &case, &contenders, &times, |peer| goal.filter(|_| peer == "libbpf"));
    Ok(())
}

fn contenders<'m, const LEN: usize>(
    ring: &TestRing,
    memory: &'m Mapping,
    size: u32,
    work: impl Fn(&mut Producer<MappingRef<'_>>, &Samples<LEN>, u64, u64) -> Result<(), ReserveError> + 'm,
) -> Result<Vec<Box<dyn Contender + 'm>>> {
    let [ours, floor, libbpf, libbpf_rs] = [(); 4].map(|()| Sources::fixed::<LEN>());
    Ok(vec![
        Box::new(Ours::new(memory.by_value(), move |producer, first, count| work(producer, &ours, first, count))),
        Box::new(Floor::new(ring.map(), move |pages, first, count| {
            let mut number = first;
            // SAFETY: a burst is what the ring holds; contenders take turns; `LEN` bytes are the sample's size.
            unsafe {
                pages.publish(size, count, |sample| {
                    sample.cast::<[u8; LEN]>().write(*pick(&floor, number));
                    number += 1;
                });
            }
        })?),
        Box::new(Libbpf::new(ring.map(), move |ring, first, count| {
            for number in first..first + count {
                let sample = ring.reserve(size)?;
                // SAFETY: the sample has `LEN` bytes and is ours, and it is submitted once.
                unsafe {
                    sample.cast::<[u8; LEN]>().write(*pick(&libbpf, number));
                    ring.submit(sample);
                }
            }
            Ok(())
        })?),
        Box::new(LibbpfRs::new(ring.map(), move |ring, first, count| {
            for number in first..first + count {
                let mut sample = ring.reserve(LEN)?;
                sample.copy_from_slice(pick(&libbpf_rs, number));
                ring.submit(sample)?;
            }
            Ok(())
        })?),
    ])
}
