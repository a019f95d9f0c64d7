//! Push slices whose length only the caller's data knows: how much publishing adds to the copy that must be made anyway.

use std::hint::black_box;
use std::ptr;

use anyhow::Result;
use user_ringbuf_linux::{Map, Producer};

use super::rows::{EXCLUSIVE, beside_libbpf};
use crate::options::Options;
use crate::peers::{floor, libbpf, ours::ours};
use crate::report::Table;
use crate::rounds::Contender;
use crate::sources::Sources;

/// Sample sizes in bytes.
const SIZES: [u32; 6] = [8, 40, 64, 256, 1024, 4096];

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for size in SIZES {
        let sources = Sources::new(size as usize);
        let check = |sample: &[u8], number| sources.check(sample, number);
        beside_libbpf(options, table, &format!("slices/{size}"), size, EXCLUSIVE, &check, |map, memory| {
            let (for_ours, for_libbpf) = (sources.clone(), sources.clone());
            Ok(vec![
                ours("ours", memory, Producer::attach, move |producer, numbers| {
                    for number in numbers {
                        producer.push(black_box(for_ours.of(number)))?;
                    }
                    Ok(())
                }),
                copied::<false>(map, &sources)?,
                copied::<true>(map, &sources)?,
                libbpf::contender(map, move |ring, numbers| {
                    for number in numbers {
                        let source = black_box(for_libbpf.of(number));
                        let sample = ring.reserve(size)?;
                        // SAFETY: the sample has `size` bytes and is ours, and it is submitted once.
                        unsafe {
                            copy_to(source, sample.as_ptr());
                            ring.submit(sample);
                        }
                    }
                    Ok(())
                })?,
            ])
        })?;
    }
    Ok(())
}

fn copied<const CHECKED: bool>(map: &Map, sources: &Sources) -> Result<Contender<'static>> {
    let sources = sources.clone();
    floor::contender::<CHECKED>(map, move |producer, numbers| {
        for number in numbers {
            let source = black_box(sources.of(number));
            // SAFETY: a burst is what the ring holds; contenders take turns; the sample is as long as its source, whose
            // length is a `u32`'s.
            unsafe {
                let len = u32::try_from(source.len()).unwrap_unchecked();
                producer.publish::<1, CHECKED>(len, 1, |sample| copy_to(source, sample))?;
            }
        }
        Ok(())
    })
}

/// # Safety
/// `to` is writable for as many bytes as `source` has, and apart from it.
#[inline(always)]
unsafe fn copy_to(source: &[u8], to: *mut u8) {
    // SAFETY: the caller's promise is passed on.
    unsafe { ptr::copy_nonoverlapping(source.as_ptr(), to, source.len()) };
}
