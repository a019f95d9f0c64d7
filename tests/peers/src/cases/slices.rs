//! Push slices whose length only the caller's data knows: how much publishing adds to the copy that must be made anyway.

use std::hint::black_box;
use std::ptr;

use anyhow::Result;
use user_ringbuf_linux::Mapping;

use super::rows::{EXCLUSIVE, SMALL_RING, add_rows};
use crate::options::Options;
use crate::peers::{floor::Floor, libbpf::Libbpf, ours::Ours};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::sources::Sources;

/// Sample sizes in bytes.
const SIZES: [u32; 6] = [8, 40, 64, 256, 1024, 4096];

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for size in SIZES {
        let case = format!("slices/{size}");
        if !options.wants(&case) {
            continue;
        }
        let mut ring = TestRing::new(SMALL_RING.max(u64::from(size) * 256))?;
        let sources = Sources::new(size as usize);
        let memory = Mapping::new(ring.map())?;
        let mut contenders = contenders(&ring, &memory, &sources)?;
        let plan = Plan::filling(options.rounds(), ring.holds(size));
        let check = |sample: &[u8], number| sources.check(sample, number);
        let times = compare(&mut ring, plan, &mut contenders, &check)?;
        add_rows(table, &case, &contenders, &times, Goal::OfFloor(EXCLUSIVE));
    }
    Ok(())
}

fn contenders<'m>(ring: &TestRing, memory: &'m Mapping, sources: &Sources) -> Result<Vec<Box<dyn Contender + 'm>>> {
    let size = u32::try_from(sources.of(0).len())?;
    let [ours, floor, libbpf] = [(); 3].map(|()| sources.clone());
    Ok(vec![
        Box::new(Ours::new(memory, move |producer, first, count| {
            for number in first..first + count {
                producer.push(black_box(ours.of(number)))?;
            }
            Ok(())
        })),
        Box::new(Floor::new(ring.map(), move |pages, first, count| {
            for number in first..first + count {
                let source = black_box(floor.of(number));
                // SAFETY: a burst is what the ring holds; contenders take turns; the sample is as long as its source, whose
                // length is a `u32`'s.
                unsafe {
                    let len = u32::try_from(source.len()).unwrap_unchecked();
                    pages.publish::<1>(len, 1, |sample| copy_to(source, sample));
                }
            }
        })?),
        Box::new(Libbpf::new(ring.map(), move |ring, first, count| {
            for number in first..first + count {
                let source = black_box(libbpf.of(number));
                let sample = ring.reserve(size)?;
                // SAFETY: the sample has `size` bytes and is ours, and it is submitted once.
                unsafe {
                    copy_to(source, sample.as_ptr());
                    ring.submit(sample);
                }
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
