//! Whether a wake is lost: waits for consumption on a ring that is full again at once.
//!
//! The ring is full, a waiter sleeps until its oldest sample is consumed, one drain that wakes takes that sample, and a
//! push fills the ring again before the waiter has run. epoll then drops the wake. Each kind of waiter must still notice,
//! with each kind of re-check.

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use clap::Parser;
use fastrand::Rng;
use serde::Serialize;
use user_ringbuf_linux::{
    AsyncIoShared, DrainOptions, DrainProgram, EpollWaiter, Map, Mapping, Position, Recheck, Shared, TokioShared,
    record_extent,
};
use user_ringbuf_tests::kernel::{drain_program, ring};
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::percentiles::Percentiles;

const RING: u64 = 4096;
/// 64 of these fill the ring to the last byte.
const SAMPLE_LEN: u32 = 56;
const SAMPLE: [u8; SAMPLE_LEN as usize] = [0; SAMPLE_LEN as usize];
/// A waiter that is later than this has lost its wake.
const LOST: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(about = "Look for lost wakes: wait for consumption on a ring that is full again at once")]
struct Args {
    /// How often each kind of waiter waits, with each kind of re-check
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tries: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    tries: u32,
    lost: usize,
    late_ms: Percentiles,
    cases: Vec<Case>,
}

/// One kind of waiter with one re-check, tried so many times.
#[derive(Serialize)]
struct Case {
    waiter: &'static str,
    recheck: &'static str,
    lost: usize,
    late_ms: Percentiles,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let hour = Duration::from_secs(3600);
    let rechecks = [
        ("default", Recheck::default()),
        ("never", Recheck::Never),
        ("hourly", Recheck::Backoff { first: hour, longest: hour }),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    let (mut late, mut cases) = (Vec::new(), Vec::new());
    for (name, recheck) in rechecks {
        for (waiter, took) in [
            ("thread", in_a_thread(args.tries, recheck)?),
            ("tokio", over_tokio(args.tries, recheck, &runtime)?),
            ("async-io", over_async_io(args.tries, recheck)?),
        ] {
            cases.push(Case { waiter, recheck: name, lost: lost(&took), late_ms: millis(&took) });
            late.extend(took);
        }
    }
    let report = Report { tries: args.tries, lost: lost(&late), late_ms: millis(&late), cases };
    print(&report, args.json)?;
    Ok(report.lost == 0)
}

fn lost(late: &[Duration]) -> usize {
    late.iter().filter(|late| **late >= LOST).count()
}

fn millis(late: &[Duration]) -> Percentiles {
    Percentiles::of(late, Duration::from_millis(1))
}

fn in_a_thread(tries: u32, recheck: Recheck) -> anyhow::Result<Vec<Duration>> {
    let (map, shared) = shared()?;
    let mut waiter = EpollWaiter::with_recheck(&map, recheck)?;
    lateness(tries, &map, &shared, |position| Ok(shared.wait_consumed(position, &mut waiter, None)?))
}

fn over_tokio(tries: u32, recheck: Recheck, runtime: &tokio::runtime::Runtime) -> anyhow::Result<Vec<Duration>> {
    let (map, shared) = shared()?;
    let ring = runtime.block_on(async { TokioShared::with_recheck(shared, &map, recheck) })?;
    lateness(tries, &map, ring.shared(), |position| Ok(runtime.block_on(ring.wait_consumed(position))?))
}

fn over_async_io(tries: u32, recheck: Recheck) -> anyhow::Result<Vec<Duration>> {
    let (map, shared) = shared()?;
    let ring = AsyncIoShared::with_recheck(shared, &map, recheck)?;
    lateness(tries, &map, ring.shared(), |position| Ok(async_io::block_on(ring.wait_consumed(position))?))
}

fn shared() -> anyhow::Result<(Map, Shared<Mapping>)> {
    let map = ring(RING)?;
    let shared = Shared::attach(Mapping::new(&map)?)?;
    Ok((map, shared))
}

/// How long after each drain `wait` came back, in a thread of its own.
fn lateness(
    tries: u32,
    map: &Map,
    shared: &Shared<Mapping>,
    mut wait: impl FnMut(Position) -> anyhow::Result<()> + Send,
) -> anyhow::Result<Vec<Duration>> {
    let mut program = drain_program(map, 0)?;
    let mut next = fill(shared)?;
    let (ask, asked) = channel::<Position>();
    let (tell, told) = channel();
    scope(|scope| {
        let waiting = scope.spawn(move || {
            while let Ok(position) = asked.recv() {
                wait(position)?;
                tell.send(Instant::now())?;
            }
            anyhow::Ok(())
        });
        let mut late = Vec::new();
        let mut rng = Rng::with_seed(1);
        for _ in 0..tries {
            ask.send(next)?;
            // From 1 to 4 ms, so that the drain falls anywhere between two looks.
            sleep(Duration::from_micros(rng.u64(1000..4000)));
            ensure!(
                drain(&mut program, &DrainOptions::new().stop_after(1))? == 1,
                "one sample should have been drained"
            );
            let drained = Instant::now();
            shared.push(&SAMPLE).context("there is room for one sample")?;
            match told.recv_timeout(LOST) {
                Ok(came_back) => {
                    late.push(came_back.saturating_duration_since(drained));
                    next = next.advance(record_extent(SAMPLE_LEN).into());
                }
                Err(RecvTimeoutError::Timeout) => {
                    late.push(LOST);
                    // A drain that leaves the ring empty wakes it, and the next try begins.
                    drain(&mut program, &DrainOptions::new())?;
                    told.recv_timeout(LOST).context("no drain wakes the waiter any more")?;
                    next = fill(shared)?;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        drop(ask);
        waiting.join().map_err(|_| anyhow!("the waiter panicked"))??;
        ensure!(late.len() == usize::try_from(tries)?, "the waiter gave up");
        Ok(late)
    })
}

/// Fills an empty ring to the last byte; returns where its first sample ends.
fn fill(shared: &Shared<Mapping>) -> anyhow::Result<Position> {
    let first = shared.push(&SAMPLE)?;
    while shared.push(&SAMPLE).is_ok() {}
    Ok(first)
}

fn drain(program: &mut DrainProgram, options: &DrainOptions) -> anyhow::Result<u32> {
    Ok(program.run(options).context("running the drain program")?.returned()?)
}
