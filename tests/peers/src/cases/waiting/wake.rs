//! From the drain to the wake-up, beside libbpf's `user_ring_buffer__reserve_blocking`.
//!
//! The consumer drains at no steady pace: 1 to 5 milliseconds after it was told that the ring has no room. On a *full* ring
//! a level-triggered wait sleeps, and nothing but its timeout ends it if the drain wakes nobody; on a *partly* full ring it
//! spins.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use user_ringbuf_linux::{DrainProgram, EpollWaiter, Mapping, Producer, WakeupFlags};

use super::waits::{Goals, IN_THE_WAY, MODES, RING, WANTED, Waits, add_rows, drain_when_asked};
use crate::affinity;
use crate::options::Options;
use crate::peers::libbpf::LibbpfRing;
use crate::report::Table;
use crate::ring::TestRing;

/// Far longer than any pause of the consumer, and how long libbpf sleeps on a full ring that is drained without a wakeup.
const TIMEOUT: Duration = Duration::from_millis(100);
const PAUSES: std::ops::Range<u64> = 1000..5000;
/// Waits per round and contender.
const WAITS: usize = 5;
/// Rounds if nobody asked for this case in particular, and where each wait of libbpf takes the whole timeout.
const FEW_ROUNDS: usize = 31;
const MOST_ROUNDS: usize = 101;
/// Fills the ring to the last byte.
const FULL: usize = 64 * 1024 - 8;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (state, filler) in [("full", FULL), ("partly", IN_THE_WAY)] {
        for (mode, flags) in MODES {
            let case = format!("waiting/wake/{state}/{mode}");
            if options.wants(&case) {
                let slow = state == "full" && flags == WakeupFlags::NEVER;
                let rounds = options.rounds().min(if options.at_length() { MOST_ROUNDS } else { FEW_ROUNDS });
                let (rounds, waits) = if slow { (rounds.min(FEW_ROUNDS), 1) } else { (rounds, WAITS) };
                let [ours, theirs] = measure(options, filler, flags, rounds, waits)?;
                add_rows(table, &case, "libbpf", &ours, &theirs, Goals::default());
            }
        }
    }
    Ok(())
}

/// The two ends of the channels to a consumer, and the pauses that it is sent.
struct Asking<'a> {
    pauses: fastrand::Rng,
    ask: Sender<Duration>,
    drained: &'a Receiver<Instant>,
}

impl Asking<'_> {
    fn ask(&mut self) -> Result<()> {
        Ok(self.ask.send(Duration::from_micros(self.pauses.u64(PAUSES)))?)
    }
}

fn measure(options: &Options, filler: usize, flags: WakeupFlags, rounds: usize, waits: usize) -> Result<[Waits; 2]> {
    let mut ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    let mut waiter = EpollWaiter::new(ring.map())?;
    let mut theirs = LibbpfRing::new(ring.map())?;
    let drain = DrainProgram::load(ring.map(), 0)?;
    let ((ask, asked), (tell, drained)) = (channel(), channel());
    let [_, core] = options.two_cores()?;
    scope(|scope| {
        let consumer = scope.spawn(move || {
            affinity::pin(core)?;
            drain_when_asked(drain, flags, &asked, &tell)
        });
        let mut asking = Asking { pauses: fastrand::Rng::with_seed(7), ask, drained: &drained };
        let mut measured = [Waits::default(), Waits::default()];
        for round in 0..rounds {
            for turn in 0..measured.len() {
                let which = (turn + round) % measured.len();
                if which == 0 {
                    // Events of libbpf's turn.
                    waiter.acknowledge()?;
                    ours(&memory, &mut waiter, filler, waits, &mut asking, &mut measured[0])?;
                } else {
                    libbpf(&mut theirs, &mut ring, filler, waits, &mut asking, &mut measured[1])?;
                }
            }
        }
        drop(asking);
        consumer.join().map_err(|panic| anyhow!("the consumer panicked: {panic:?}"))??;
        Ok(measured)
    })
}

fn ours(
    memory: &Mapping,
    waiter: &mut EpollWaiter,
    filler: usize,
    waits: usize,
    asking: &mut Asking<'_>,
    measured: &mut Waits,
) -> Result<()> {
    let mut producer = Producer::attach(memory)?;
    for _ in 0..waits {
        producer.reserve(filler)?.submit();
        asking.ask()?;
        // Nothing of it is published.
        let wait = || {
            drop(producer.reserve_blocking(WANTED as usize, waiter, Some(TIMEOUT))?);
            Ok(())
        };
        measured.wait(wait, asking.drained)?;
    }
    Ok(())
}

fn libbpf(
    theirs: &mut LibbpfRing,
    ring: &mut TestRing,
    filler: usize,
    waits: usize,
    asking: &mut Asking<'_>,
    measured: &mut Waits,
) -> Result<()> {
    for _ in 0..waits {
        let sample = theirs.reserve(u32::try_from(filler)?)?;
        // SAFETY: it was just reserved, and is submitted once.
        unsafe { theirs.submit(sample) };
        asking.ask()?;
        let mut reserved = None;
        let wait = || {
            reserved = Some(theirs.reserve_blocking(WANTED, i32::try_from(TIMEOUT.as_millis())?)?);
            Ok(())
        };
        measured.wait(wait, asking.drained)?;
        if let Some(sample) = reserved {
            // SAFETY: it was just reserved, and is submitted once.
            unsafe { theirs.submit(sample) };
            ring.empty(1)?;
        }
    }
    Ok(())
}
