//! Sends through every interface into rings of all sizes, for as long as asked, and checks that nothing is lost and
//! nothing leaks.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;
use user_ringbuf_kit::usage::{open_descriptors, resident_kib};
use user_ringbuf_linux::{Mapping, MappingView, RingPositions, Role};
use user_ringbuf_tests::kernel::{Drainer, ring};
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::send::{Api, LONGEST, Order, send_checked, shares};
use user_ringbuf_tests::tally::Counts;

/// Sizes that rings take turns in.
const RINGS: [u64; 4] = [4 << 10, 64 << 10, 1 << 20, 16 << 20];
/// Threads that send take turns in these numbers.
const PRODUCERS: [u64; 3] = [1, 2, 4];
/// Samples of a round: one interface on one ring.
const ROUND: u64 = 1_000_000;
/// Samples of a round that only warms up: threads, buffers and code are there afterwards.
const WARM_UP: u64 = 20_000;
/// After so many samples the consumer pauses, and the ring fills up.
const DAWDLE_EVERY: u64 = 1 << 16;
const DAWDLE: Duration = Duration::from_millis(2);
/// Rings up to this size are full before the consumer has dawdled; in larger ones the samples of that time have room.
const FILLED: u64 = 64 << 10;
/// Of so many times that such a ring should be full, it must have been once.
const FULL_ONCE_IN: u64 = 16;
/// By how much resident memory may differ between two rounds, in KiB: what the allocator keeps, not what leaks.
const SLACK_KIB: u64 = 4096;

#[derive(Parser)]
#[command(about = "Send samples through every interface for a long time, and check them, memory and descriptors")]
struct Args {
    /// Samples in all
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Only rings of this size in bytes [default: 4096, 65536, 1048576 and 16777216 in turn]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 31))]
    ring: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A count of what the process holds, looked at between rings.
#[derive(Clone, Copy, Serialize)]
struct Level {
    first: u64,
    last: u64,
    max: u64,
}

impl Level {
    fn new(first: u64) -> Self {
        Self { first, last: first, max: first }
    }

    fn note(&mut self, now: u64) {
        self.last = now;
        self.max = self.max.max(now);
    }

    fn is_flat(&self, slack: u64) -> bool {
        self.max <= self.first + slack
    }
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    sum: Sum,
    minutes: f64,
    samples_per_second: f64,
    rings: u64,
    rss_kib: Level,
    fds: Level,
}

impl Report {
    fn is_clean(&self) -> bool {
        let was_full = self.sum.full > 0 || self.sum.full_due < FULL_ONCE_IN;
        was_full && self.sum.counts.is_clean() && self.fds.is_flat(0) && self.rss_kib.is_flat(SLACK_KIB)
    }
}

/// The sums over all rounds.
#[derive(Default, Serialize)]
struct Sum {
    #[serde(flatten)]
    counts: Counts,
    /// How often the ring was full, out of the times that the consumer paused.
    full: u64,
    dawdled: u64,
    /// How often a ring that has no room for what is sent meanwhile.
    full_due: u64,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let rings = args.ring.map_or_else(|| RINGS.to_vec(), |bytes| vec![bytes]);
    let mut warm_up = Sum::default();
    for (bytes, producers) in rings.iter().flat_map(|bytes| PRODUCERS.map(|producers| (*bytes, producers))) {
        every_api(bytes, producers, WARM_UP, u64::MAX, &mut warm_up)?;
    }
    anyhow::ensure!(warm_up.counts.is_clean(), "the warm-up went wrong: {:?}", warm_up.counts);

    let (mut rss_kib, mut fds) = (Level::new(resident_kib()), Level::new(descriptors()));
    let (mut sum, mut made) = (Sum::default(), 0);
    // Hidden where standard error is not a terminal.
    let bar = ProgressBar::new(args.samples);
    let began = Instant::now();
    let mut turns = rings.iter().cycle().zip(PRODUCERS.iter().cycle());
    while let (left @ 1.., Some((bytes, producers))) = (args.samples - sum.counts.samples, turns.next()) {
        every_api(*bytes, *producers, ROUND, left, &mut sum)?;
        made += 1;
        rss_kib.note(resident_kib());
        fds.note(descriptors());
        bar.set_position(sum.counts.samples);
    }
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let samples_per_second = sum.counts.samples as f64 / seconds;
    let report = Report { sum, minutes: seconds / 60.0, samples_per_second, rings: made, rss_kib, fds };
    print(&report, args.json)?;
    Ok(report.is_clean())
}

fn descriptors() -> u64 {
    u64::try_from(open_descriptors()).unwrap_or(u64::MAX)
}

/// One ring, on which all interfaces take turns, until `most` samples were sent.
fn every_api(bytes: u64, producers: u64, round: u64, most: u64, sum: &mut Sum) -> anyhow::Result<()> {
    let map = ring(bytes)?;
    let (mut drainer, view) = (Drainer::new(&map, LONGEST)?, MappingView::new(&map)?);
    let mut left = most;
    for api in Api::value_variants() {
        let samples = round.min(left);
        left -= samples;
        let sent = shares(samples, producers);
        let mapping = Mapping::new(&map)?;
        let order = Order { map: &map, mapping: &mapping, counts: &sent, submitted: &|_, _| () };
        let (mut seen, mut full, mut dawdled) = (0, 0, 0);
        sum.counts += send_checked(*api, order, &mut drainer, || {
            seen += 1;
            if seen % DAWDLE_EVERY == 0 {
                std::thread::sleep(DAWDLE);
                dawdled += 1;
                full += u64::from(is_full(&view));
            }
        })?;
        sum.full += full;
        sum.dawdled += dawdled;
        sum.full_due += if u64::from(map.size()) <= FILLED { dawdled } else { 0 };
    }
    Ok(())
}

/// Whether less is free than a lane takes: whoever sends from lanes waits then.
fn is_full(view: &MappingView) -> bool {
    let used = view.load_producer(Role::ObserveProducer).occupied(view.load_consumer(), view.size());
    used.is_ok_and(|used| view.size().bytes() - used <= (view.size().bytes() / 8).min(16 * 1024) + 8)
}
