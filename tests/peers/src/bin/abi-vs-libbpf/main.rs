//! The C library against libbpf: random calls of the six functions on pairs of real rings, the one through libbpf and the
//! other through ours. What is returned, errno, positions, headers, bytes and what the kernel drains must be the same,
//! but for what differs on purpose, which is counted.

mod abi;
mod actor;
mod episode;
mod pages;
mod plant;
mod tally;

use std::os::fd::AsRawFd;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use rustix::event::{EventfdFlags, eventfd};

use crate::episode::{Difference, Episode};
use crate::plant::Plant;
use crate::tally::Tally;

/// Calls before the rings are made anew.
const PER_EPISODE: u64 = 5000;

#[derive(Parser)]
#[command(about = "Compare libuser_ringbuf with libbpf, call by call")]
struct Args {
    /// Calls on each ring
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Put a difference into our side, which must be found; "list" names them
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    let plant = match args.plant.as_deref() {
        None => None,
        Some("list") => {
            for plant in Plant::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
                println!("{:<18} {}", plant.get_name(), plant.get_help().map(ToString::to_string).unwrap_or_default());
            }
            return Ok(ExitCode::SUCCESS);
        }
        Some(name) => Some(Plant::from_str(name, false).map_err(anyhow::Error::msg).context("--plant")?),
    };
    // SAFETY: without a function libbpf prints nothing.
    unsafe { libbpf_sys::libbpf_set_print(None) };
    let other = eventfd(0, EventfdFlags::CLOEXEC)?;
    let other_ring = user_ringbuf_kit::objects::map(libbpf_sys::BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
    // None of the numbers beyond is open.
    let wrong_fds = [other.as_raw_fd(), other_ring.as_raw_fd(), 900, -1, i32::MIN, i32::MAX];

    let mut tally = Tally::default();
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut difference = None;
    while tally.calls < args.calls && difference.is_none() {
        let calls = PER_EPISODE.min(args.calls - tally.calls);
        let episode = Episode::begin(&mut random, &mut tally, plant, &wrong_fds)?;
        if let Err(why) = episode.run(calls) {
            difference = Some(why.downcast::<Difference>()?.0);
        }
    }
    let report = tally.to_json(args.seed, difference.as_deref());
    if args.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    if let Some(difference) = &difference {
        eprintln!("after {} calls from seed {}: {difference}", tally.calls, args.seed);
    }
    Ok(if difference.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
