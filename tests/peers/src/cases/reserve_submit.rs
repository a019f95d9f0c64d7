//! Reserve, write 8 bytes, submit: what publishing itself costs, whatever the sample's size.

use std::hint::black_box;

use anyhow::Result;
use user_ringbuf_linux::Mapping;

use super::rows::{SMALL_RING, add_rows, check_number};
use crate::options::Options;
use crate::peers::{floor::Floor, libbpf::Libbpf, libbpf_rs::LibbpfRs, ours::Ours};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};

/// Sample sizes in bytes.
const SIZES: [u32; 6] = [8, 40, 64, 256, 1024, 4096];

/// Sizes for which there are goals: beyond, the pages and lines that each sample newly touches count for more.
const SMALL: u32 = 256;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for size in SIZES {
        let case = format!("reserve_submit/{size}");
        if !options.wants(&case) {
            continue;
        }
        let mut ring = TestRing::new(SMALL_RING.max(u64::from(size) * 256))?;
        let memory = Mapping::new(ring.map())?;
        let mut contenders = contenders(&ring, &memory, size)?;
        let plan = Plan { rounds: options.rounds(), burst: ring.holds(size) };
        let times = compare(&mut ring, plan, &mut contenders, &check_number)?;
        add_rows(table, &case, &contenders, &times, |peer| match peer {
            "libbpf" if size <= SMALL => Some(Goal::Times(8.0)),
            "store floor" if size <= SMALL => Some(Goal::Within(1.25)),
            _ => None,
        });
    }
    Ok(())
}

fn contenders<'m>(ring: &TestRing, memory: &'m Mapping, size: u32) -> Result<Vec<Box<dyn Contender + 'm>>> {
    let len = size as usize;
    Ok(vec![
        Box::new(Ours::new(memory.by_value(), move |producer, first, count| {
            let len = black_box(len);
            for number in first..first + count {
                let mut sample = producer.reserve(len)?;
                sample[..8].copy_from_slice(&number.to_ne_bytes());
                sample.submit();
            }
            Ok(())
        })),
        Box::new(Floor::new(ring.map(), move |pages, first, count| {
            let mut number = first;
            // SAFETY: a burst is what the ring holds; contenders take turns; 8 bytes are within any size above.
            unsafe {
                pages.publish(black_box(size), count, |sample| {
                    sample.cast::<u64>().write(number);
                    number += 1;
                });
            }
        })?),
        Box::new(Libbpf::new(ring.map(), move |ring, first, count| {
            let size = black_box(size);
            for number in first..first + count {
                let sample = ring.reserve(size)?;
                // SAFETY: the sample has 8 bytes or more and is ours, and it is submitted once.
                unsafe {
                    sample.cast::<u64>().write(number);
                    ring.submit(sample);
                }
            }
            Ok(())
        })?),
        Box::new(LibbpfRs::new(ring.map(), move |ring, first, count| {
            let len = black_box(len);
            for number in first..first + count {
                let mut sample = ring.reserve(len)?;
                sample[..8].copy_from_slice(&number.to_ne_bytes());
                ring.submit(sample)?;
            }
            Ok(())
        })?),
    ])
}
