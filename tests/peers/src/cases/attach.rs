//! From a map's descriptor to the first submitted sample, and the memory that a handle takes.

use std::time::Instant;

use anyhow::Result;
use user_ringbuf_linux::{Map, Mapping, Producer};

use crate::options::Options;
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Goal, Row, Table, Unit};
use crate::ring::TestRing;
use crate::stats::median;

const RING: u64 = 64 * 1024;
const SAMPLE: [u8; 40] = [7; 40];

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let mut ring = TestRing::new(RING)?;
    if options.wants("attach/first_sample") {
        let mut times = [const { Vec::new() }; 2];
        for _ in 0..options.rounds() {
            times[0].push(first_sample_of_ours(&ring)?);
            ring.empty(1)?;
            times[1].push(first_sample_of_libbpf(&ring)?);
            ring.empty(1)?;
        }
        let [ours, theirs] = times.map(|times| median(&times));
        add(table, "attach/first_sample", Unit::Nanoseconds, ours, theirs);
    }
    if options.wants("attach/memory") {
        let before = allocated();
        let producer = Producer::attach(Mapping::new(ring.map())?)?;
        let ours = allocated() - before + size_of_val(&producer);
        let before = allocated();
        let libbpf = LibbpfRing::new(ring.map())?;
        let theirs = allocated() - before + size_of_val(&libbpf);
        #[expect(clippy::cast_precision_loss, reason = "some hundred bytes")]
        add(table, "attach/memory", Unit::Bytes, ours as f64, theirs as f64);
    }
    Ok(())
}

fn add(table: &mut Table, case: &str, unit: Unit, ours: f64, theirs: f64) {
    let goal = Some(Goal::Times(1.0));
    table.add(Row { case: case.into(), peer: "libbpf", unit, ours, theirs, goal, floor: None });
}

/// Asking what the map is, as libbpf does, is part of it; unmapping is not.
fn first_sample_of_ours(ring: &TestRing) -> Result<f64> {
    let start = Instant::now();
    let map = Map::from_borrowed(ring.map())?;
    let mut producer = Producer::attach(Mapping::new(&map)?)?;
    producer.push(&SAMPLE)?;
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

fn first_sample_of_libbpf(ring: &TestRing) -> Result<f64> {
    let start = Instant::now();
    let mut producer = LibbpfRing::new(ring.map())?;
    let sample = producer.reserve(u32::try_from(SAMPLE.len())?)?;
    // SAFETY: the sample is as long and ours, and it is submitted once.
    unsafe {
        sample.cast::<[u8; 40]>().write(SAMPLE);
        producer.submit(sample);
    }
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

/// Bytes that are allocated on the heap now.
fn allocated() -> usize {
    // SAFETY: only looks at the allocator's own counts.
    unsafe { libc::mallinfo2() }.uordblks
}
