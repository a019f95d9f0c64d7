//! Many producers at full speed on one ring of the real kernel, every sample checked as the kernel hands it over.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use user_ringbuf_kit::stamp::Stamp;
use user_ringbuf_linux::Mapping;
use user_ringbuf_tests::kernel::{Drainer, ring};
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::send::{Api, LONGEST, Order, send_checked, shares};
use user_ringbuf_tests::tally::Counts;

#[derive(Parser)]
#[command(about = "Drive a user ring buffer from many threads while the kernel drains it, and check every sample")]
struct Args {
    /// Sending threads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    producers: u32,
    /// Samples in all
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// How the threads share the ring [default: every mode in turn]
    #[arg(long)]
    mode: Option<Api>,
    /// The ring's size in bytes [default: 4096, then 1048576]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 31))]
    ring: Option<u64>,
    /// Print one JSON object per run
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    mode: Api,
    producers: u32,
    #[serde(flatten)]
    counts: Counts,
    ring: u32,
    seconds: f64,
    ns_a_sample: f64,
    /// When the first of the threads was done, as a share of the time that the last one took. All send as much, unless they
    /// send one after another.
    first_done: Option<f64>,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let mut clean = true;
    for mode in args.mode.map_or_else(|| Api::value_variants().to_vec(), |mode| vec![mode]) {
        for bytes in args.ring.map_or_else(|| vec![4096, 1 << 20], |bytes| vec![bytes]) {
            clean &= stress(args, mode, bytes)?;
        }
    }
    Ok(clean)
}

fn stress(args: &Args, mode: Api, bytes: u64) -> anyhow::Result<bool> {
    let map = ring(bytes)?;
    let mut drainer = Drainer::new(&map, LONGEST)?;
    let sent = shares(args.samples, args.producers.into());
    let mapping = Mapping::new(&map)?;
    let done = OnceLock::new();
    let began = Instant::now();
    let note_first = |stamp: Stamp, _| {
        if stamp.sequence + 1 == sent[stamp.producer as usize] {
            done.get_or_init(|| began.elapsed());
        }
    };
    let order = Order { map: &map, mapping: &mapping, counts: &sent, submitted: &note_first };
    let counts = send_checked(mode, order, &mut drainer, || ())?;
    let seconds = began.elapsed().as_secs_f64();
    let first_done = done.get().filter(|_| mode.is_concurrent()).map(|done| done.as_secs_f64() / seconds);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let ns_a_sample = seconds * 1e9 / args.samples as f64;
    let report = Report { mode, producers: args.producers, counts, ring: map.size(), seconds, ns_a_sample, first_done };
    print(&report, args.json)?;
    Ok(counts.is_clean())
}
