//! The C library beside libbpf: the same two calls through the shared library and linked, and what is faster.

use std::hint::black_box;

use anyhow::Result;

use super::rows::{OTHERWISE, SMALL_RING, add_rows, check_number};
use crate::options::Options;
use crate::peers::capi::{Capi, Functions, TwoCallFloor};
use crate::peers::libbpf::Libbpf;
use crate::peers::{floor, libbpf};
use crate::report::{Goal, Table};
use crate::ring::TestRing;
use crate::rounds::{Contender, Plan, compare};
use crate::sources::{Sources, pick};

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
        if let Some(functions) = functions.filter(|_| options.wants(case)) {
            two_calls(options, table, case, functions)?;
        }
    }
    let functions = loaded.unwrap_or_else(Functions::linked);
    for (case, batched) in [("capi/push", false), ("capi/batch", true)] {
        if options.wants(case) {
            pushed(options, table, case, functions, batched)?;
        }
    }
    Ok(())
}

/// Reserve, write 8 bytes, submit.
fn two_calls(options: &Options, table: &mut Table, case: &str, functions: Functions) -> Result<()> {
    let mut ring = TestRing::new(SMALL_RING)?;
    let size = u32::try_from(LEN)?;
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(Capi::new(functions, ring.map(), move |handle, first, count| {
            let size = black_box(size);
            for number in first..first + count {
                let sample = handle.reserve(size)?;
                // SAFETY: the sample has 40 bytes and is ours, and it is submitted once.
                unsafe {
                    sample.cast::<u64>().write(number);
                    handle.submit(sample);
                }
            }
            Ok(())
        })?),
        Box::new(TwoCallFloor::new(ring.map(), size)?),
        Box::new(Libbpf::new(ring.map(), move |ring, first, count| {
            let size = black_box(size);
            for number in first..first + count {
                let sample = ring.reserve(size)?;
                // SAFETY: as above.
                unsafe {
                    sample.cast::<u64>().write(number);
                    ring.submit(sample);
                }
            }
            Ok(())
        })?),
    ];
    let plan = Plan::filling(options.rounds(), ring.holds(size));
    let times = compare(&mut ring, plan, &mut contenders, &check_number)?;
    add_rows(table, case, &contenders, &times, Goal::OfFloor(OTHERWISE));
    Ok(())
}

/// Copy whole samples in.
fn pushed(options: &Options, table: &mut Table, case: &str, functions: Functions, batched: bool) -> Result<()> {
    let mut ring = TestRing::new(SMALL_RING)?;
    let size = u32::try_from(LEN)?;
    let ours = Sources::fixed::<LEN>();
    let floor =
        if batched { floor::whole::<LEN, { BATCH as u64 }>(ring.map())? } else { floor::called::<LEN>(ring.map())? };
    let push: Box<dyn Contender> = if batched {
        Box::new(Capi::new(functions, ring.map(), move |handle, first, count| {
            let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            let mut samples = [none; BATCH];
            let mut numbers = first..first + count;
            while !numbers.is_empty() {
                let mut filled = 0;
                for (sample, number) in samples.iter_mut().zip(numbers.by_ref().take(BATCH)) {
                    let bytes: &[u8; LEN] = pick(&ours, number);
                    *sample = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: LEN };
                    filled += 1;
                }
                handle.push_batch(&samples[..filled])?;
            }
            Ok(())
        })?)
    } else {
        Box::new(Capi::new(functions, ring.map(), move |handle, first, count| {
            for number in first..first + count {
                handle.push(pick(&ours, number))?;
            }
            Ok(())
        })?)
    };
    let mut contenders: Vec<Box<dyn Contender>> = vec![push, floor, libbpf::whole::<LEN>(ring.map())?];
    let plan = Plan::filling(options.rounds(), ring.holds(size));
    let sources = Sources::new(LEN);
    let times = compare(&mut ring, plan, &mut contenders, &|sample, number| sources.check(sample, number))?;
    add_rows(table, case, &contenders, &times, Goal::OfFloor(OTHERWISE));
    Ok(())
}
