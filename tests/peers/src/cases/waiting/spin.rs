//! What [`EpollWaiter::spin_before_sleeping`] brings and costs, with a consumer that drains 10 to 400 microseconds after the
//! ring has filled.

use std::time::Duration;

use anyhow::Result;
use user_ringbuf_linux::{DrainProgram, EpollWaiter, Mapping, Producer, WakeupFlags};

use super::waits::{IN_THE_WAY, RING, WANTED, Waits, add_rows, beside_asked};
use crate::cases::rows::MODES;
use crate::options::Options;
use crate::report::Table;
use crate::ring::TestRing;
use crate::rounds::turns;

/// In microseconds; the first does not spin.
pub(crate) const SPINS: [u64; 4] = [0, 20, 100, 500];
const PAUSES: std::ops::Range<u64> = 10..400;
/// Waits per round and contender.
const WAITS: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for (mode, flags) in MODES {
        if !SPINS.iter().any(|spin| options.wants(&case(*spin, mode))) {
            continue;
        }
        let measured = measure(options, flags)?;
        let [asleep, spun @ ..] = &measured;
        for (spin, ours) in SPINS.iter().skip(1).zip(spun) {
            add_rows(table, &case(*spin, mode), "without spinning", [ours, asleep], [None, None]);
        }
    }
    Ok(())
}

fn case(spin: u64, mode: &str) -> String {
    format!("waiting/spin/{spin}us/{mode}")
}

fn measure(options: &Options, flags: WakeupFlags) -> Result<[Waits; SPINS.len()]> {
    let ring = TestRing::new(RING)?;
    let mut producer = Producer::attach(Mapping::new(ring.map())?)?;
    let mut waiters = Vec::new();
    for spin in SPINS {
        waiters.push(EpollWaiter::new(ring.map())?.spin_before_sleeping(Duration::from_micros(spin)));
    }
    let drain = DrainProgram::load(ring.map(), 0)?;
    let [_, core] = options.two_cores()?;
    beside_asked(core, drain, flags, PAUSES, |asking| {
        let mut measured = SPINS.map(|_| Waits::default());
        for (_, which) in turns(options.rounds(), SPINS.len()) {
            let waiter = &mut waiters[which];
            waiter.acknowledge()?;
            for _ in 0..WAITS {
                producer.reserve(IN_THE_WAY)?.submit();
                asking.wait(&mut measured[which], || {
                    drop(producer.reserve_blocking(WANTED as usize, waiter, Some(TIMEOUT))?);
                    Ok(())
                })?;
            }
        }
        Ok(measured)
    })
}
