//! Reserve, copy the whole sample, submit: how much publishing adds to the copy that must be made anyway.

use std::hint::black_box;
use std::ptr;

use anyhow::Result;
use user_ringbuf_linux::Mapping;

use super::rows::{SMALL_RING, add_rows};
use crate::options::Options;
use crate::peers::{floor::Floor, libbpf::Libbpf, libbpf_rs::LibbpfRs, ours::Ours};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::sources::Sources;

/// Sample sizes in bytes.
const SIZES: [u32; 6] = [8, 40, 64, 256, 1024, 4096];
const LARGE: u32 = 4096;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for size in SIZES {
        let case = format!("reserve_fill/{size}");
        if !options.wants(&case) {
            continue;
        }
        let mut ring = TestRing::new(SMALL_RING.max(u64::from(size) * 256))?;
        let sources = Sources::new(size as usize);
        let memory = Mapping::new(ring.map())?;
        let mut contenders = contenders(&ring, &memory, size, &sources)?;
        let plan = Plan { rounds: options.rounds(), burst: ring.holds(size) };
        let check = |sample: &[u8], number| sources.check(sample, number);
        let times = compare(&mut ring, plan, &mut contenders, &check)?;
        add_rows(table, &case, &contenders, &times, |peer| {
            (peer == "memcpy" && size == LARGE).then_some(Goal::Within(1.05))
        });
    }
    Ok(())
}

fn contenders<'m>(
    ring: &TestRing,
    memory: &'m Mapping,
    size: u32,
    sources: &Sources,
) -> Result<Vec<Box<dyn Contender + 'm>>> {
    let len = size as usize;
    let [ours, copy, floor, libbpf, libbpf_rs] = [(); 5].map(|()| sources.clone());
    Ok(vec![
        Box::new(Ours::new(memory.by_value(), move |producer, first, count| {
            let len = black_box(len);
            for number in first..first + count {
                let mut sample = producer.reserve(len)?;
                sample.copy_from_slice(ours.of(number));
                sample.submit();
            }
            Ok(())
        })),
        Box::new(Floor::memcpy(ring.map(), move |pages, first, count| {
            let mut number = first;
            // SAFETY: a burst is what the ring holds; contenders take turns; sources have `size` bytes.
            unsafe {
                pages.only_fill(black_box(size), count, |sample| {
                    copy_to(copy.of(number), sample);
                    number += 1;
                });
            }
        })?),
        Box::new(Floor::new(ring.map(), move |pages, first, count| {
            let mut number = first;
            // SAFETY: as above.
            unsafe {
                pages.publish(black_box(size), count, |sample| {
                    copy_to(floor.of(number), sample);
                    number += 1;
                });
            }
        })?),
        Box::new(Libbpf::new(ring.map(), move |ring, first, count| {
            let size = black_box(size);
            for number in first..first + count {
                let sample = ring.reserve(size)?;
                // SAFETY: the sample has `size` bytes and is ours, and it is submitted once.
                unsafe {
                    copy_to(libbpf.of(number), sample.as_ptr());
                    ring.submit(sample);
                }
            }
            Ok(())
        })?),
        Box::new(LibbpfRs::new(ring.map(), move |ring, first, count| {
            let len = black_box(len);
            for number in first..first + count {
                let mut sample = ring.reserve(len)?;
                sample.copy_from_slice(libbpf_rs.of(number));
                ring.submit(sample)?;
            }
            Ok(())
        })?),
    ])
}

/// # Safety
/// `to` is writable for as many bytes as `source` has, and apart from it.
#[inline(always)]
unsafe fn copy_to(source: &[u8], to: *mut u8) {
    // SAFETY: the caller's promise is passed on.
    unsafe { ptr::copy_nonoverlapping(source.as_ptr(), to, source.len()) };
}
