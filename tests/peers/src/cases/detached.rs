//! Detached samples: sixteen outstanding, submitted in reverse.

use std::hint::black_box;

use anyhow::Result;
use user_ringbuf_linux::{Map, Producer};

use super::rows::{OTHERWISE, beside_libbpf, check_number};
use crate::options::Options;
use crate::peers::{floor, libbpf, ours::ours};
use crate::report::Table;
use crate::rounds::Contender;

/// Samples that are reserved before the first is submitted.
const OUTSTANDING: usize = 16;
const SIZE: u32 = 40;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    beside_libbpf(options, table, "detached/40", SIZE, OTHERWISE, &check_number, |map, memory| {
        Ok(vec![
            ours("ours", memory, Producer::attach, |producer, mut numbers| {
                let len = black_box(SIZE as usize);
                let mut outstanding = [const { None }; OUTSTANDING];
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
            }),
            reversed::<false>(map)?,
            reversed::<true>(map)?,
            libbpf::contender(map, |ring, mut numbers| {
                let size = black_box(SIZE);
                let mut outstanding = [const { None }; OUTSTANDING];
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
            })?,
        ])
    })
}

fn reversed<const CHECKED: bool>(map: &Map) -> Result<Contender<'static>> {
    floor::contender::<CHECKED>(map, |producer, numbers| {
        // SAFETY: a burst is what the ring holds; contenders take turns; samples have `SIZE` bytes.
        unsafe { producer.publish_in_reverse::<OUTSTANDING, CHECKED>(black_box(SIZE), numbers) }
    })
}

/// Fills a place that is empty, without looking whether it is.
#[inline(always)]
fn put<T>(place: &mut Option<T>, sample: T) {
    std::mem::forget(place.replace(sample));
}
