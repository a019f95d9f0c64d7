//! What waiting costs: CPU while there is no room, and how soon a drain is noticed. `tests/peers` has the comparison.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use clap::Parser;
use fastrand::Rng;
use serde::Serialize;
use user_ringbuf_kit::usage::CpuShare;
use user_ringbuf_linux::{BlockingError, EpollWaiter, Mapping, Producer, Recheck, WakeupFlags};
use user_ringbuf_tests::kernel::{Drainer, ring};
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::percentiles::Percentiles;

/// A ring's size wherever pages are no larger.
const RING: u64 = 64 * 1024;
/// Half of the ring stays free, so that the map polls as writable throughout.
const FILLED: usize = 32 * 1024 - 8;
/// More than is free.
const WANTED: usize = 48_000;
/// The largest share of the wait that may be spent on the CPU.
const MOST: f64 = 0.005;

#[derive(Parser)]
#[command(about = "Measure the CPU time that waiting for room takes, and the time from a drain to the wake-up")]
struct Args {
    /// How long to wait for room that does not come, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    wait_ms: u64,
    /// How many wake-ups to time
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    wakes: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// CPU time per time waited, with the default re-check.
    cpu_share: f64,
    /// The same without a re-check.
    no_recheck_cpu_share: f64,
    /// The same while a consumer drains every millisecond with `BPF_RB_NO_WAKEUP` and makes no room.
    no_wakeup_cpu_share: f64,
    wake_us: WakeTimes,
}

#[derive(Serialize)]
struct WakeTimes {
    waking: Percentiles,
    no_wakeup: Percentiles,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let timeout = Duration::from_millis(args.wait_ms);
    let report = Report {
        cpu_share: waiting_in_vain(timeout, Recheck::default())?,
        no_recheck_cpu_share: waiting_in_vain(timeout, Recheck::Never)?,
        no_wakeup_cpu_share: waiting_beside_a_silent_consumer(timeout)?,
        wake_us: WakeTimes {
            waking: time_wakes(args.wakes, WakeupFlags::IF_CONSUMED)?,
            no_wakeup: time_wakes(args.wakes, WakeupFlags::NEVER)?,
        },
    };
    print(&report, args.json)?;
    Ok(report.cpu_share <= MOST && report.no_wakeup_cpu_share <= MOST)
}

/// The share of its time on a CPU that a wait takes, for room that does not come.
fn wait_in_vain(producer: &mut Producer<&Mapping>, waiter: &mut EpollWaiter, timeout: Duration) -> anyhow::Result<f64> {
    let cpu = CpuShare::begin();
    let reserved = producer.reserve_blocking(WANTED, waiter, Some(timeout));
    let share = cpu.so_far();
    ensure!(matches!(reserved, Err(BlockingError::TimedOut { .. })), "there should be no room: {reserved:?}");
    Ok(share)
}

/// On a ring that is half full.
fn waiting_in_vain(timeout: Duration, recheck: Recheck) -> anyhow::Result<f64> {
    let map = ring(RING)?;
    let mapping = Mapping::new(&map)?;
    let mut producer = Producer::attach(&mapping)?;
    producer.push(&[0; FILLED])?;
    wait_in_vain(&mut producer, &mut EpollWaiter::with_recheck(&map, recheck)?, timeout)
}

fn waiting_beside_a_silent_consumer(timeout: Duration) -> anyhow::Result<f64> {
    let map = ring(RING)?;
    let mapping = Mapping::new(&map)?;
    let mut producer = Producer::attach(&mapping)?;
    // Never submitted: drains stop in front of it.
    let head = producer.reserve_detached(FILLED)?;
    let mut drainer = Drainer::new(&map, FILLED)?.wakeup(WakeupFlags::NEVER);
    let mut waiter = EpollWaiter::new(&map)?;
    let began = Instant::now();
    let share = scope(|scope| {
        let draining = scope.spawn(move || {
            while began.elapsed() < timeout {
                drainer.drain(|_| ())?;
                sleep(Duration::from_millis(1));
            }
            anyhow::Ok(())
        });
        let share = wait_in_vain(&mut producer, &mut waiter, timeout)?;
        draining.join().map_err(|_| anyhow!("the consumer panicked"))??;
        anyhow::Ok(share)
    })?;
    head.discard();
    Ok(share)
}

/// A thread waits for room, again and again; another drains after a pause that differs from one time to the next.
fn time_wakes(wakes: u32, flags: WakeupFlags) -> anyhow::Result<Percentiles> {
    let map = ring(RING)?;
    let mut producer = Producer::attach(Mapping::new(&map)?)?;
    let mut drainer = Drainer::new(&map, WANTED)?.wakeup(flags);
    let mut waiter = EpollWaiter::new(&map)?;
    let (tell_waiting, waiting) = channel();
    let (tell_drain, drained) = channel();
    let took = scope(|scope| {
        let draining =
            scope.spawn(move || drain_now_and_then(&mut drainer, &waiting, |at| tell_drain.send(at).is_ok()));
        let mut took = Vec::new();
        for _ in 0..wakes {
            producer.push(&[0; WANTED])?;
            tell_waiting.send(())?;
            producer.reserve_blocking(WANTED, &mut waiter, Some(Duration::from_secs(10)))?.discard();
            let woken = Instant::now();
            took.push(woken.saturating_duration_since(drained.recv()?));
        }
        drop(tell_waiting);
        draining.join().map_err(|_| anyhow!("the consumer panicked"))??;
        anyhow::Ok(took)
    })?;
    Ok(Percentiles::of(&took, Duration::from_micros(1)))
}

fn drain_now_and_then(
    drainer: &mut Drainer,
    waiting: &Receiver<()>,
    mut tell: impl FnMut(Instant) -> bool,
) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(1);
    while waiting.recv().is_ok() {
        // From 1 to 20 ms, so that a drain falls anywhere between two looks.
        sleep(Duration::from_micros(rng.u64(1000..20_000)));
        let at = Instant::now();
        ensure!(drainer.drain(|_| ())? == 1, "one sample should have been drained");
        if !tell(at) {
            break;
        }
    }
    Ok(())
}
