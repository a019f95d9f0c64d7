//! Many producers at full speed on one ring of the real kernel, every sample checked as the kernel hands it over.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle, scope};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use user_ringbuf_linux::{DetachedSample, EpollWaiter, Map, Mapping, Payload, Producer, RingMemory, Shared};
use user_ringbuf_tests::kernel::{Drainer, ring};
use user_ringbuf_tests::outcome::{exit_code, print};
use user_ringbuf_tests::stamp::Stamp;
use user_ringbuf_tests::tally::{Tally, Verdict};

/// Longest sample, in bytes. Lengths vary from 24 bytes to this.
const LONGEST: usize = 120;
/// No drain takes so long: whoever waits longer has found a bug.
const PATIENCE: Duration = Duration::from_secs(20);
/// Samples that a thread holds in `detached` before it submits them, the last first.
const HELD: usize = 8;

#[derive(Parser)]
#[command(about = "Drive a user ring buffer from many threads while the kernel drains it, and check every sample")]
struct Args {
    /// Threads that send
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    producers: u32,
    /// Samples in all
    #[arg(long, default_value_t = 4_000_000)]
    samples: u64,
    /// How they share the ring [default: one after the other, all three]
    #[arg(long)]
    mode: Option<Mode>,
    /// The ring's size in bytes [default: 4096, then 1048576]
    #[arg(long, value_name = "BYTES")]
    ring: Option<u64>,
    /// One JSON object a run
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// All threads reserve and submit on one shared producer
    Shared,
    /// Each thread sends from lanes that it takes from one shared producer
    Lanes,
    /// One thread reserves on an exclusive producer; the others fill and submit, in any order
    Detached,
}

#[derive(Serialize)]
struct Report {
    mode: Mode,
    producers: u32,
    #[serde(flatten)]
    verdict: Verdict,
    ring: u32,
    seconds: f64,
    ns_a_sample: f64,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let mut clean = true;
    for mode in args.mode.map_or_else(|| Mode::value_variants().to_vec(), |mode| vec![mode]) {
        for bytes in args.ring.map_or_else(|| vec![4096, 1 << 20], |bytes| vec![bytes]) {
            clean &= stress(args, mode, bytes)?;
        }
    }
    Ok(clean)
}

fn stress(args: &Args, mode: Mode, bytes: u64) -> anyhow::Result<bool> {
    let map = ring(bytes)?;
    let mut drainer = Drainer::new(&map, LONGEST)?;
    let sent: Vec<u64> = (0..args.producers).map(|producer| quota(args, producer)).collect();
    let mut tally = Tally::new(sent.len());
    let mapping = Mapping::new(&map)?;
    let over = AtomicBool::new(false);
    let began = Instant::now();
    scope(|scope| {
        let draining = scope.spawn(|| drainer.drain_until(&over, Duration::ZERO, |sample| tally.note(sample)));
        let ring = Ring { map: &map, mapping: &mapping };
        let produced = match mode {
            Mode::Shared => ring.shared(&sent),
            Mode::Lanes => ring.lanes(&sent),
            Mode::Detached => ring.detached(&sent),
        };
        // Release: pairs with the drainer's acquire load, whose next drain then sees all that was submitted.
        over.store(true, Ordering::Release);
        join(draining).and(produced)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let verdict = tally.verdict(&sent);
    if let Some(wrong) = tally.first_wrong() {
        eprintln!("first of all: {wrong}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let ns_a_sample = seconds * 1e9 / args.samples.max(1) as f64;
    let report = Report { mode, producers: args.producers, verdict, ring: map.size(), seconds, ns_a_sample };
    print(&report, args.json)?;
    Ok(verdict.is_clean())
}

/// How many of the samples one producer sends: they share evenly.
fn quota(args: &Args, producer: u32) -> u64 {
    let producers = u64::from(args.producers);
    args.samples / producers + u64::from(u64::from(producer) < args.samples % producers)
}

fn join<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

fn join_all(threads: Vec<ScopedJoinHandle<'_, anyhow::Result<()>>>) -> anyhow::Result<()> {
    // All are joined before the first failure is told.
    threads.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
}

fn stamp_into<M: RingMemory>(sample: &mut Payload<M>, stamp: Stamp) -> anyhow::Result<()> {
    let mut bytes = [0; LONGEST];
    let bytes = &mut bytes[..sample.len()];
    stamp.write(bytes);
    Ok(sample.write(0, bytes)?)
}

/// The stamps of one producer.
fn stamps(producer: usize, count: u64) -> anyhow::Result<impl Iterator<Item = Stamp>> {
    let producer = u32::try_from(producer)?;
    Ok((0..count).map(move |sequence| Stamp { producer, sequence }))
}

#[derive(Clone, Copy)]
struct Ring<'a> {
    map: &'a Map,
    mapping: &'a Mapping,
}

impl<'a> Ring<'a> {
    fn shared(self, sent: &[u64]) -> anyhow::Result<()> {
        self.on_each_thread(sent, |shared, waiter, stamps| {
            for stamp in stamps {
                let mut sample = shared.reserve_blocking(stamp.len(LONGEST), waiter, Some(PATIENCE))?;
                stamp_into(&mut sample, stamp)?;
                sample.submit();
            }
            Ok(())
        })
    }

    fn lanes(self, sent: &[u64]) -> anyhow::Result<()> {
        // Several lanes fit, so that threads work beside each other in the smallest ring too.
        let stretch = usize::try_from(self.map.size() / 8)?.min(16 * 1024);
        self.on_each_thread(sent, |shared, waiter, stamps| {
            let mut stamps = stamps.peekable();
            while stamps.peek().is_some() {
                let mut lane = shared.reserve_blocking(stretch, waiter, Some(PATIENCE))?.into_lane();
                while let Some(stamp) = stamps.peek().copied() {
                    match lane.reserve(stamp.len(LONGEST)) {
                        Ok(mut sample) => {
                            stamp_into(&mut sample, stamp)?;
                            sample.submit();
                            stamps.next();
                        }
                        Err(error) if error.is_full() => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(())
        })
    }

    fn on_each_thread(
        self,
        sent: &[u64],
        send: impl Fn(&Shared<&'a Mapping>, &mut EpollWaiter, &mut dyn Iterator<Item = Stamp>) -> anyhow::Result<()> + Sync,
    ) -> anyhow::Result<()> {
        let shared = Shared::attach(self.mapping)?;
        let (shared, send) = (&shared, &send);
        scope(|scope| {
            let threads = sent.iter().enumerate().map(|(producer, count)| {
                scope.spawn(move || {
                    let mut waiter = EpollWaiter::new(self.map)?;
                    send(shared, &mut waiter, &mut stamps(producer, *count)?)
                })
            });
            join_all(threads.collect())
        })
    }

    fn detached(self, sent: &[u64]) -> anyhow::Result<()> {
        scope(|scope| {
            let (senders, threads): (Vec<_>, Vec<_>) = sent.iter().map(|_| spawn_submitter(scope)).unzip();
            let reserved = self.reserve_all(sent, &senders);
            drop(senders);
            join_all(threads).and(reserved)
        })
    }

    fn reserve_all(self, sent: &[u64], to: &[SyncSender<Reserved<'a>>]) -> anyhow::Result<()> {
        let mut producer = Producer::attach(self.mapping)?;
        let mut waiter = EpollWaiter::new(self.map)?;
        let most = sent.iter().copied().max().unwrap_or(0);
        for sequence in 0..most {
            for ((number, _), to) in (0_u32..).zip(sent).zip(to).filter(|((_, count), _)| sequence < **count) {
                let stamp = Stamp { producer: number, sequence };
                let len = stamp.len(LONGEST);
                // A reservation of the exclusive producer leaves no trace: it only tells that there is room.
                producer.reserve_blocking(len, &mut waiter, Some(PATIENCE))?.discard();
                let reserved = Reserved { sample: producer.reserve_detached(len)?, stamp };
                to.send(reserved).ok().context("a submitting thread has ended early")?;
            }
        }
        Ok(())
    }
}

struct Reserved<'a> {
    sample: DetachedSample<&'a Mapping>,
    stamp: Stamp,
}

/// A thread that fills what it is sent, and submits a handful in reverse.
fn spawn_submitter<'scope, 'a: 'scope>(
    scope: &'scope Scope<'scope, '_>,
) -> (SyncSender<Reserved<'a>>, ScopedJoinHandle<'scope, anyhow::Result<()>>) {
    let (sender, receiver): (_, Receiver<Reserved<'a>>) = sync_channel(1024);
    let submit = move || {
        let mut held = Vec::with_capacity(HELD);
        while let Ok(first) = receiver.recv() {
            held.push(first);
            // No waiting for more while we hold some: the ring may be full of them.
            held.extend(receiver.try_iter().take(HELD - 1));
            for Reserved { sample, stamp } in &mut held {
                stamp_into(sample, *stamp)?;
            }
            for Reserved { sample, .. } in held.drain(..).rev() {
                sample.submit();
            }
        }
        Ok(())
    };
    (sender, scope.spawn(submit))
}
