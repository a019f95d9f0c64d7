//! Waiting for room on a ring that is partly full: CPU time for each second of waiting.
//!
//! The ring has room, but not for the sample. A level-triggered wait, libbpf's or any other, finds the map writable at
//! once and again, and so spins.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use user_ringbuf_kit::usage::CpuShare;
use user_ringbuf_linux::{BlockingError, EpollWaiter, Map, Mapping, Producer};

use super::waits::{CPU_GOAL, IN_THE_WAY, RING, WANTED};
use crate::options::Options;
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Row, Table};
use crate::ring::TestRing;
use crate::rounds::medians;

const WAIT: Duration = Duration::from_millis(200);
/// Waits are long and need no hundred rounds.
const MOST_ROUNDS: usize = 31;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let case = "waiting/cpu_per_second";
    if !options.wants(case) {
        return Ok(());
    }
    let ring = TestRing::new(RING)?;
    let mut theirs = LibbpfRing::new(ring.map())?;
    let mut producer = Producer::attach(Mapping::new(ring.map())?)?;
    let mut waiter = EpollWaiter::new(ring.map())?;
    producer.reserve(IN_THE_WAY)?.submit();
    let epoll = level_triggered(ring.map())?;
    let times = medians(options.rounds().min(MOST_ROUNDS), 3, |_, which| {
        let share = match which {
            0 => cpu_per_second(|| match producer.reserve_blocking(WANTED as usize, &mut waiter, Some(WAIT)) {
                Err(BlockingError::TimedOut { .. }) => Ok(()),
                other => bail!("ours did not wait: {other:?}"),
            }),
            1 => cpu_per_second(|| {
                let answer = theirs.reserve_blocking(WANTED, i32::try_from(WAIT.as_millis())?);
                ensure!(answer.is_err(), "libbpf found room where there is none");
                Ok(())
            }),
            _ => cpu_per_second(|| {
                let deadline = Instant::now() + WAIT;
                while producer.reserve(WANTED as usize).is_err() {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(());
                    }
                    let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: TOKEN }];
                    epoll::wait(&epoll, &mut events[..], Some(&Timespec::try_from(left)?))?;
                }
                bail!("the level-triggered wait found room where there is none")
            }),
        };
        Ok([share?])
    })?;
    let times = times.concat();
    table.add(Row { goal: Some(CPU_GOAL), ..Row::new(case, "libbpf", times[0], times[1]) });
    table.add(Row::new(case, "level-triggered epoll", times[0], times[2]));
    Ok(())
}

const TOKEN: epoll::EventData = epoll::EventData::new_u64(0);

/// The map registered without `EPOLLET`.
fn level_triggered(map: &Map) -> Result<OwnedFd> {
    let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&fd, map, TOKEN, epoll::EventFlags::OUT)?;
    Ok(fd)
}

/// This thread's CPU time during `wait`, in nanoseconds for each second.
fn cpu_per_second(wait: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (share, began) = (CpuShare::begin(), Instant::now());
    wait()?;
    let share = share.so_far();
    ensure!(began.elapsed() >= WAIT / 2, "the wait was over after {:?}", began.elapsed());
    Ok(share * 1e9)
}
