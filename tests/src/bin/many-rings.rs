//! Many rings in one process: the time to attach to them, the memory and descriptors they take, and a sample through each.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use user_ringbuf_kit::usage::{open_descriptors, resident_kib};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, Producer};
use user_ringbuf_tests::kernel::{drain_program, ring};
use user_ringbuf_tests::outcome::{exit_code, print};

/// How many are timed at the beginning and at the end.
const TIMED: usize = 1000;
/// Descriptors that the process has and needs besides its rings.
const OTHERS: u64 = 64;

#[derive(Parser)]
#[command(about = "Attach to many rings of one page in one process, and send a sample through each")]
struct Args {
    /// How many rings
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=30_000))]
    rings: u32,
    /// Leave out every other map id, so that the kernel can't join the claims to one lock
    #[arg(long)]
    scattered: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    rings: usize,
    scattered: bool,
    /// Rings whose sample did not arrive.
    lost: usize,
    /// Microseconds per `Mapping::new` and `Producer::attach`.
    attach_us_first_1000: f64,
    attach_us_last_1000: f64,
    /// Microseconds per drop of a producer and its mapping, over all rings.
    drop_us: f64,
    /// Resident memory of the process: the ring's pages, each copy of the data counted, and all that belongs to it.
    bytes_per_ring: f64,
    /// Memory that the kernel accounts for the map.
    kernel_bytes_per_ring: f64,
    descriptors: usize,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let rings = usize::try_from(args.rings)?;
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::from(args.rings) + OTHERS;
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .with_context(|| format!("raising the limit of open descriptors to {wanted}"))?;

    let resident = resident_kib();
    let maps = (0..rings).map(|_| one(args.scattered)).collect::<anyhow::Result<Vec<Map>>>()?;
    let mut times = Vec::with_capacity(rings);
    let mut producers = Vec::with_capacity(rings);
    for (number, map) in maps.iter().enumerate() {
        let began = Instant::now();
        let mapping = Mapping::new(map).with_context(|| format!("ring {number}"))?;
        let producer = Producer::attach(mapping).with_context(|| format!("ring {number}"))?;
        times.push(began.elapsed());
        producers.push(producer);
    }
    let held = resident_kib().saturating_sub(resident) * 1024;
    let descriptors = open_descriptors();

    for (number, producer) in producers.iter_mut().enumerate() {
        producer.push(&sample(number)).with_context(|| format!("ring {number}"))?;
    }
    let mut lost = 0;
    for (number, map) in maps.iter().enumerate() {
        let mut program = drain_program(map, DrainProgram::log_bytes(4, sample(0).len()))?;
        let drained = program.run(&DrainOptions::new()).context("draining")?;
        lost += usize::from(!drained.samples().eq([sample(number)]));
    }
    let began = Instant::now();
    drop(producers);
    let drop_us = mean_us(&[began.elapsed()]) / figure(rings);

    let timed = TIMED.min(rings);
    let report = Report {
        rings,
        scattered: args.scattered,
        lost,
        attach_us_first_1000: mean_us(&times[..timed]),
        attach_us_last_1000: mean_us(&times[rings - timed..]),
        drop_us,
        bytes_per_ring: figure(usize::try_from(held)?) / figure(rings),
        kernel_bytes_per_ring: figure(maps.iter().map(accounted).sum::<anyhow::Result<usize>>()?) / figure(rings),
        descriptors,
    };
    print(&report, args.json)?;
    Ok(lost == 0)
}

/// A new ring of a page; its map's id is not next to that of the one before if `scattered`.
fn one(scattered: bool) -> anyhow::Result<Map> {
    let map = ring(1)?;
    if scattered {
        // Ids go up, whether or not the map lives.
        ring(1)?;
    }
    Ok(map)
}

fn sample(number: usize) -> [u8; size_of::<usize>()] {
    number.to_le_bytes()
}

/// What the kernel accounts for a map, in bytes: the line `memlock` of its fdinfo.
fn accounted(map: &Map) -> anyhow::Result<usize> {
    let fd = std::os::fd::AsRawFd::as_raw_fd(map);
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).context("reading fdinfo")?;
    let value = text.lines().find_map(|line| line.strip_prefix("memlock:")).context("no line memlock in fdinfo")?;
    Ok(value.trim().parse()?)
}

fn mean_us(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() * 1e6 / figure(times.len())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn figure(count: usize) -> f64 {
    count as f64
}
