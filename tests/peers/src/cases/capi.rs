//! The C library beside libbpf: the same two calls through the shared library and linked, and what is faster.

use std::hint::black_box;

use anyhow::Result;
use user_ringbuf_linux::Map;

use super::rows::{OTHERWISE, beside_libbpf, check_number};
use crate::options::Options;
use crate::peers::capi::{self, Functions};
use crate::peers::floor::{self, FloorPages};
use crate::peers::{floor_of_calls, libbpf};
use crate::report::Table;
use crate::rounds::Contender;
use crate::sources::{NO_VECTOR, Sources, gather, pick};

/// Sample size in bytes.
const LEN: usize = 40;
/// Samples shown at once.
const BATCH: usize = 32;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let loaded = Functions::loaded()?;
    if loaded.is_none() {
        eprintln!(
            "skipped: capi/so: there is no libuser_ringbuf.so: run backend-linux/capi/make-install, or say where it is in USER_RINGBUF_SO"
        );
    }
    for (case, functions) in [("capi/so", loaded), ("capi/a", Some(Functions::linked()))] {
        if let Some(functions) = functions {
            two_calls(options, table, case, functions)?;
        }
    }
    let functions = loaded.unwrap_or_else(Functions::linked);
    let (size, sources) = (u32::try_from(LEN)?, Sources::new(LEN));
    let check = |sample: &[u8], number| sources.check(sample, number);
    beside_libbpf(options, table, "capi/push", size, OTHERWISE, &check, |map, _| push(functions, map))?;
    beside_libbpf(options, table, "capi/batch", size, OTHERWISE, &check, |map, _| push_batch(functions, map))
}

/// Reserve, write 8 bytes, submit.
fn two_calls(options: &Options, table: &mut Table, case: &str, functions: Functions) -> Result<()> {
    let size = u32::try_from(LEN)?;
    beside_libbpf(options, table, case, size, OTHERWISE, &check_number, |map, _| {
        Ok(vec![
            capi::contender(functions, map, move |handle, numbers| {
                let size = black_box(size);
                for number in numbers {
                    let sample = handle.reserve(size)?;
                    // SAFETY: the sample has 40 bytes and is ours, and it is submitted once.
                    unsafe {
                        sample.cast::<u64>().write(number);
                        handle.submit(sample);
                    }
                }
                Ok(())
            })?,
            floor_of_calls::two_calls::<false>(map, size)?,
            floor_of_calls::two_calls::<true>(map, size)?,
            libbpf::contender(map, move |ring, numbers| {
                let size = black_box(size);
                for number in numbers {
                    let sample = ring.reserve(size)?;
                    // SAFETY: as above.
                    unsafe {
                        sample.cast::<u64>().write(number);
                        ring.submit(sample);
                    }
                }
                Ok(())
            })?,
        ])
    })
}

/// Copy whole samples in, one per call.
fn push(functions: Functions, map: &Map) -> Result<Vec<Contender<'static>>> {
    let samples = Sources::fixed::<LEN>();
    Ok(vec![
        capi::contender(functions, map, move |handle, numbers| {
            for number in numbers {
                handle.push(pick(&samples, number))?;
            }
            Ok(())
        })?,
        floor::called::<FloorPages, LEN, false>(map)?,
        floor_of_calls::pushed::<LEN>(map, 1)?,
        libbpf::whole::<LEN>(map)?,
    ])
}

/// Copy whole samples in, many per call.
fn push_batch(functions: Functions, map: &Map) -> Result<Vec<Contender<'static>>> {
    let samples = Sources::fixed::<LEN>();
    Ok(vec![
        capi::contender(functions, map, move |handle, mut numbers| {
            let mut vectors = [NO_VECTOR; BATCH];
            while !numbers.is_empty() {
                handle.push_batch(gather(&mut vectors, &samples, &mut numbers))?;
            }
            Ok(())
        })?,
        floor::whole::<LEN, { BATCH as u64 }, false>(map)?,
        floor_of_calls::pushed::<LEN>(map, BATCH)?,
        libbpf::whole::<LEN>(map)?,
    ])
}
