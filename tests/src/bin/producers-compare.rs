//! What two threads pay to share a ring: one shared producer, lanes of it, or one exclusive producer behind a mutex.
//!
//! Rounds alternate within one run, so that whatever else the machine does meets all three alike. No consumer runs
//! while the clock does: the ring takes a round's samples, and is emptied before the next.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Mapping, Producer, Shared, WakeupFlags};
use user_ringbuf_tests::kernel::{drain_program, ring};
use user_ringbuf_tests::outcome::{exit_code, print};

const LEN: usize = 32;
/// Threads that get less of the CPUs' time than this have not run at the same time, and shown nothing.
const RUNNING: f64 = 0.75;
/// How many rounds are tried for one that counts.
const TRIES: u32 = 20;
/// Bytes of a record of [`LEN`].
const RECORD: usize = LEN + 8;

#[derive(Parser)]
#[command(about = "Nanoseconds a sample of 32 bytes when threads share a ring: shared, in lanes, and behind a mutex")]
struct Args {
    /// Threads that send
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Samples of one thread in one round
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Rounds of each kind in which all threads have to run at the same time
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
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
    /// Rounds that count: those in which all threads ran at the same time, or all if there were none such.
    rounds: Figures<usize>,
    /// Of a round's time by all its samples: the medians of the rounds.
    ns_a_sample: Figures<f64>,
    fastest_ns_a_sample: Figures<f64>,
    /// How many of the threads ran at the same time: CPU time by the clock's, the medians of the rounds.
    running: Figures<f64>,
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

    let mut took = Figures::<Vec<Timed>>::default();
    let wanted = usize::try_from(args.rounds)?;
    // The first round of each warms up.
    for number in 0..=args.rounds.saturating_mul(TRIES) {
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
        // One producer at a time.
        drop(shared);
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
        let enough = took.each(|rounds| rounds.iter().filter(|round| round.is_parallel(threads)).count() >= wanted);
        if enough.shared && enough.lanes && enough.mutex {
            break;
        }
    }
    let took = took.each(|rounds| telling(rounds, threads));
    let report = Report {
        threads: args.threads,
        sample_bytes: LEN,
        rounds: took.each(Vec::len),
        ns_a_sample: took.each(|rounds| median(rounds, |timed| timed.ns_a_sample)),
        fastest_ns_a_sample: took
            .each(|rounds| rounds.iter().map(|timed| timed.ns_a_sample).fold(f64::INFINITY, f64::min)),
        running: took.each(|rounds| median(rounds, |timed| timed.running)),
    };
    print(&report, args.json)?;
    Ok(true)
}

/// The bytes to send, hidden from the optimizer.
fn sample() -> [u8; LEN] {
    std::hint::black_box([7; LEN])
}

impl<T> Figures<T> {
    fn each<U>(&self, figure: impl Fn(&T) -> U) -> Figures<U> {
        Figures { shared: figure(&self.shared), lanes: figure(&self.lanes), mutex: figure(&self.mutex) }
    }
}

fn median(rounds: &[Timed], figure: impl Fn(&Timed) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One round.
#[derive(Clone, Copy)]
struct Timed {
    ns_a_sample: f64,
    running: f64,
}

impl Timed {
    fn is_parallel(&self, threads: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a handful of threads")]
        let threads = threads as f64;
        self.running >= RUNNING * threads
    }
}

fn telling(rounds: &[Timed], threads: usize) -> Vec<Timed> {
    let parallel: Vec<Timed> = rounds.iter().copied().filter(|round| round.is_parallel(threads)).collect();
    if parallel.is_empty() { rounds.to_vec() } else { parallel }
}

/// One thread's part of a round.
struct Span {
    began: Instant,
    ended: Instant,
    cpu: Duration,
}

/// Lets threads go at the same moment, which one that sleeps until it is woken would miss.
struct Start {
    missing: AtomicUsize,
}

impl Start {
    fn wait(&self) {
        // Relaxed: it hands nothing over.
        self.missing.fetch_sub(1, Ordering::Relaxed);
        while self.missing.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

struct Round {
    threads: usize,
    samples: usize,
    program: DrainProgram,
}

impl Round {
    /// Lets all threads send at once. The ring is empty again after that, and all samples have arrived.
    fn time(&mut self, send: impl Fn() -> anyhow::Result<()> + Sync) -> anyhow::Result<Timed> {
        let start = Start { missing: AtomicUsize::new(self.threads) };
        let (start, send) = (&start, &send);
        let part = || {
            start.wait();
            let (began, cpu) = (Instant::now(), cpu_time());
            send()?;
            anyhow::Ok(Span { began, ended: Instant::now(), cpu: cpu_time() - cpu })
        };
        let spans: Vec<Span> = scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(part)).collect();
            let join = |thread: ScopedJoinHandle<'_, anyhow::Result<Span>>| {
                thread.join().map_err(|_| anyhow!("a thread panicked"))?
            };
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        let sent = self.threads * self.samples;
        ensure!(self.empty()? == sent, "not all of {sent} samples have arrived");
        let began = spans.iter().map(|span| span.began).min();
        let ended = spans.iter().map(|span| span.ended).max();
        let took = began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended - began).as_secs_f64();
        let cpu: Duration = spans.iter().map(|span| span.cpu).sum();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        Ok(Timed { ns_a_sample: took * 1e9 / sent as f64, running: cpu.as_secs_f64() / took })
    }

    fn empty(&mut self) -> anyhow::Result<usize> {
        let options = DrainOptions::new().wakeup(WakeupFlags::NEVER);
        let mut drained = 0;
        loop {
            match self.program.run(&options)?.returned()? {
                0 => return Ok(drained),
                count => drained += usize::try_from(count)?,
            }
        }
    }
}
