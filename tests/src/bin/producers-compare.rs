//! What two threads pay to share a ring: one shared producer, lanes of it, or one exclusive producer behind a mutex.
//!
//! Rounds alternate within one run, so that whatever else the machine does meets all three alike. No consumer runs
//! while the clock does: the ring takes a round's samples, and is emptied before the next.

use std::process::ExitCode;
use std::sync::{Barrier, Mutex};
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use clap::Parser;
use serde::Serialize;
use user_ringbuf_linux::{DrainProgram, Mapping, Producer, Shared};
use user_ringbuf_tests::kernel::{drain_program, ring};
use user_ringbuf_tests::outcome::{exit_code, print};

const LEN: usize = 32;
/// Bytes of a record of [`LEN`].
const RECORD: usize = LEN + 8;

#[derive(Parser)]
#[command(about = "Nanoseconds a sample of 32 bytes when threads share a ring: shared, in lanes, and behind a mutex")]
struct Args {
    /// Threads that send
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Samples of one thread in one round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Rounds of each kind
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Bytes of a lane
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(40..=1_048_576))]
    lane: u32,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    threads: u32,
    sample_bytes: usize,
    rounds: u32,
    /// Of a round's time by all its samples: the medians of the rounds.
    ns_a_sample: Figures<f64>,
    fastest_ns_a_sample: Figures<f64>,
}

#[derive(Default, Serialize)]
struct Figures<T> {
    shared: T,
    lanes: T,
    mutex: T,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let samples = usize::try_from(args.samples)?;
    let threads = usize::try_from(args.threads)?;
    // Each thread's last lane may stay almost unused.
    let bytes = threads * (samples * RECORD + 2 * usize::try_from(args.lane)?);
    let map = ring(u64::try_from(bytes)?)?;
    let mapping = Mapping::new(&map)?;
    let mut round = Round { threads, samples, program: drain_program(&map, 0)? };
    let lane = usize::try_from(args.lane)?;

    let mut took = Figures::<Vec<f64>>::default();
    // The first round of each warms up.
    for number in 0..=args.rounds {
        let shared = Shared::attach(&mapping)?;
        let by_shared = round.time(|| {
            for _ in 0..samples {
                shared.push(&sample())?;
            }
            Ok(())
        })?;
        let by_lanes = round.time(|| {
            let mut left = samples;
            while left > 0 {
                let mut lane = shared.lane(lane)?;
                while left > 0 && lane.push(&sample()).is_ok() {
                    left -= 1;
                }
            }
            Ok(())
        })?;
        let producer = Mutex::new(Producer::attach(&mapping)?);
        let by_mutex = round.time(|| {
            for _ in 0..samples {
                producer.lock().map_err(|_| anyhow!("a thread panicked"))?.push(&sample())?;
            }
            Ok(())
        })?;
        if number > 0 {
            took.shared.push(by_shared);
            took.lanes.push(by_lanes);
            took.mutex.push(by_mutex);
        }
    }
    let each = |pick: fn(&mut [f64]) -> f64, took: &mut Figures<Vec<f64>>| Figures {
        shared: pick(&mut took.shared),
        lanes: pick(&mut took.lanes),
        mutex: pick(&mut took.mutex),
    };
    let report = Report {
        threads: args.threads,
        sample_bytes: LEN,
        rounds: args.rounds,
        ns_a_sample: each(median, &mut took),
        fastest_ns_a_sample: each(|times| times.iter().copied().fold(f64::INFINITY, f64::min), &mut took),
    };
    print(&report, args.json)?;
    Ok(true)
}

/// The bytes to send, hidden from the optimizer.
fn sample() -> [u8; LEN] {
    std::hint::black_box([7; LEN])
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Round {
    threads: usize,
    samples: usize,
    program: DrainProgram,
}

impl Round {
    /// Lets all threads send at once, and says how many nanoseconds a sample took. The ring is empty again after that,
    /// and all samples have arrived.
    fn time(&mut self, send: impl Fn() -> anyhow::Result<()> + Sync) -> anyhow::Result<f64> {
        let start = Barrier::new(self.threads);
        let (start, send) = (&start, &send);
        let spans: Vec<(Instant, Instant)> = scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|_| {
                    scope.spawn(move || {
                        start.wait();
                        let began = Instant::now();
                        send()?;
                        anyhow::Ok((began, Instant::now()))
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
                .collect::<Result<_, _>>()
        })?;
        let began = spans.iter().map(|span| span.0).min();
        let ended = spans.iter().map(|span| span.1).max();
        let took = began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended - began);
        let sent = self.threads * self.samples;
        ensure!(self.empty()? == sent, "not all of {sent} samples have arrived");
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(took.as_secs_f64() * 1e9 / sent as f64)
    }

    fn empty(&mut self) -> anyhow::Result<usize> {
        let options = user_ringbuf_linux::DrainOptions::new().wakeup(user_ringbuf_linux::WakeupFlags::NEVER);
        let mut drained = 0;
        loop {
            match self.program.run(&options)?.returned()? {
                0 => return Ok(drained),
                count => drained += usize::try_from(count)?,
            }
        }
    }
}
