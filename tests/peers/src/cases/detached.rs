//! Detached samples: sixteen outstanding, submitted in reverse.

use std::hint::black_box;

use anyhow::Result;
use user_ringbuf_linux::Mapping;

use super::rows::{OTHERWISE, SMALL_RING, add_rows, check_number};
use crate::options::Options;
use crate::peers::{floor::Floor, libbpf::Libbpf, ours::Ours};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};

/// Samples that are reserved before the first is submitted.
const OUTSTANDING: usize = 16;
const SIZE: u32 = 40;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let case = format!("detached/{SIZE}");
    if !options.wants(&case) {
        return Ok(());
    }
    let mut ring = TestRing::new(SMALL_RING)?;
    let memory = Mapping::new(ring.map())?;
    let mut contenders = contenders(&ring, &memory)?;
    let plan = Plan::filling(options.rounds(), ring.holds(SIZE));
    let times = compare(&mut ring, plan, &mut contenders, &check_number)?;
    add_rows(table, &case, &contenders, &times, Goal::OfFloor(OTHERWISE));
    Ok(())
}

fn contenders<'m>(ring: &TestRing, memory: &'m Mapping) -> Result<Vec<Box<dyn Contender + 'm>>> {
    Ok(vec![
        Box::new(Ours::new(memory, |producer, first, count| {
            let len = black_box(SIZE as usize);
            let mut outstanding = [const { None }; OUTSTANDING];
            let mut numbers = first..first + count;
            while !numbers.is_empty() {
                for (place, number) in outstanding.iter_mut().zip(numbers.by_ref()) {
                    let mut sample = producer.reserve_detached(len)?;
                    sample[..8].copy_from_slice(&number.to_ne_bytes());
                    put(place, sample);
                }
                for sample in outstanding.iter_mut().rev().filter_map(Option::take) {
                    sample.submit();
                }
            }
            Ok(())
        })),
        Box::new(Floor::new(ring.map(), |pages, first, count| {
            // SAFETY: a burst is what the ring holds; contenders take turns; samples have `SIZE` bytes.
            unsafe { pages.publish_in_reverse::<OUTSTANDING>(black_box(SIZE), first..first + count) };
        })?),
        Box::new(Libbpf::new(ring.map(), |ring, first, count| {
            let size = black_box(SIZE);
            let mut outstanding = [const { None }; OUTSTANDING];
            let mut numbers = first..first + count;
            while !numbers.is_empty() {
                for (place, number) in outstanding.iter_mut().zip(numbers.by_ref()) {
                    let sample = ring.reserve(size)?;
                    // SAFETY: the sample has `SIZE` bytes and is ours.
                    unsafe { sample.cast::<u64>().write(number) };
                    put(place, sample);
                }
                for sample in outstanding.iter_mut().rev().filter_map(Option::take) {
                    // SAFETY: reserved above, and taken out of the list once.
                    unsafe { ring.submit(sample) };
                }
            }
            Ok(())
        })?),
    ])
}

/// Fills a place that is empty, without looking whether it is.
#[inline(always)]
fn put<T>(place: &mut Option<T>, sample: T) {
    std::mem::forget(place.replace(sample));
}
