//! From the drain to the wake-up, beside libbpf's `user_ring_buffer__reserve_blocking`.
//!
//! The consumer drains at no steady pace: 1 to 5 milliseconds after it was told that the ring has no room. On a *full* ring
//! a level-triggered wait sleeps, and nothing but its timeout ends it if the drain wakes nobody; on a *partly* full ring it
//! spins.

use std::time::Duration;

use anyhow::Result;
use user_ringbuf_linux::{DrainProgram, EpollWaiter, Mapping, Producer, WakeupFlags};

use super::waits::{IN_THE_WAY, RING, WANTED, Waits, add_rows, beside_asked};
use crate::cases::rows::MODES;
use crate::options::Options;
use crate::peers::libbpf::LibbpfRing;
use crate::report::Table;
use crate::ring::TestRing;
use crate::rounds::turns;

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
                add_rows(table, &case, "libbpf", [&ours, &theirs], [None, None]);
            }
        }
    }
    Ok(())
}

fn measure(options: &Options, filler: usize, flags: WakeupFlags, rounds: usize, waits: usize) -> Result<[Waits; 2]> {
    let mut ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    let mut waiter = EpollWaiter::new(ring.map())?;
    let mut libbpf = LibbpfRing::new(ring.map())?;
    let drain = DrainProgram::load(ring.map(), 0)?;
    let [_, core] = options.two_cores()?;
    beside_asked(core, drain, flags, PAUSES, |asking| {
        let [mut ours, mut theirs] = [Waits::default(), Waits::default()];
        for (_, which) in turns(rounds, 2) {
            if which == 0 {
                // Events of libbpf's turn.
                waiter.acknowledge()?;
                let mut producer = Producer::attach(&memory)?;
                for _ in 0..waits {
                    producer.reserve(filler)?.submit();
                    asking.wait(&mut ours, || {
                        // Nothing of it is published.
                        drop(producer.reserve_blocking(WANTED as usize, &mut waiter, Some(TIMEOUT))?);
                        Ok(())
                    })?;
                }
            } else {
                for _ in 0..waits {
                    let sample = libbpf.reserve(u32::try_from(filler)?)?;
                    // SAFETY: it was just reserved, and is submitted once.
                    unsafe { libbpf.submit(sample) };
                    let mut reserved = None;
                    asking.wait(&mut theirs, || {
                        reserved = Some(libbpf.reserve_blocking(WANTED, i32::try_from(TIMEOUT.as_millis())?)?);
                        Ok(())
                    })?;
                    if let Some(sample) = reserved {
                        // SAFETY: it was just reserved, and is submitted once.
                        unsafe { libbpf.submit(sample) };
                        ring.empty(1)?;
                    }
                }
            }
        }
        Ok([ours, theirs])
    })
}
