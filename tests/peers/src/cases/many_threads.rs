//! More threads than processors on one ring that is always full: how evenly they are served, and how much gets through.
//!
//! The spread is how many times as many samples the thread that sent most has sent as the one that sent least, in a window of
//! time. Its floor is that of threads that only count, beside one more that is as busy as the consumer: what the
//! scheduler does without any ring.

use std::hint::{black_box, spin_loop};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Result, anyhow};
use user_ringbuf_linux::{AutoLane, DrainOptions, DrainProgram, EpollWaiter, Mapping, ReserveError, Shared};

use crate::affinity;
use crate::options::Options;
use crate::pair::STUCK;
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Floors, Goal, Row, Table, Unit};
use crate::ring::TestRing;
use crate::rounds::medians;
use crate::stats::nanoseconds_each;

const RING: u64 = 1 << 20;
const SIZE: u32 = 40;
const LANE: usize = 16 * 1024;
pub(crate) const THREADS: [usize; 3] = [4, 8, 16];
/// Fair within this factor.
const FAIR: Goal = Goal::AtMost(2.0);
const ROUNDS: usize = 5;
const WINDOW: Duration = Duration::from_millis(1000);
/// If nobody asked for this case in particular.
const SHORT_WINDOW: Duration = Duration::from_millis(100);

/// The ways of ours, as the rows name them.
const OURS: [(&str, Sending); 3] =
    [("shared", send_shared), ("auto_lanes", send_by_auto_lane), ("lanes", send_by_lanes)];
const LIBBPF: usize = OURS.len();
const COUNTING: usize = LIBBPF + 1;

/// What a thread does until the flag is set. Returns how many samples that were.
type Sending = fn(&Shared<&Mapping>, &mut EpollWaiter, &AtomicBool) -> Result<u64>;

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    for threads in THREADS {
        let case = format!("many_threads/{threads}");
        if !options.wants(&case) {
            continue;
        }
        let figures = measure(options, threads)?;
        let (theirs, floor) = (figures[LIBBPF], figures[COUNTING]);
        for ((name, _), ours) in OURS.into_iter().zip(&figures) {
            let row = |what: &str, of: usize| {
                Row::new(format!("{case}/{name}/{what}"), "libbpf, mutex", ours[of], theirs[of])
            };
            let floors = Floors { stores: Some(floor[0]), checked: None };
            table.add(Row { unit: Unit::Times, goal: Some(FAIR), floors, ..row("spread", 0) });
            table.add(row("sample", 1));
        }
    }
    Ok(())
}

/// The spread, and nanoseconds per sample of all threads, of each contender.
fn measure(options: &Options, threads: usize) -> Result<Vec<[f64; 2]>> {
    let mut ring = TestRing::new(RING)?;
    let memory = Mapping::new(ring.map())?;
    let mut drain = DrainProgram::load(ring.map(), 0)?;
    let window = if options.at_length() { WINDOW } else { SHORT_WINDOW };
    let figures = medians(options.rounds().min(ROUNDS), COUNTING + 1, |_, which| {
        let map = ring.map();
        let counts = match which {
            COUNTING => beside_busy(threads, window, &count, spin),
            LIBBPF => {
                let ring = Mutex::new(LibbpfRing::new(map)?);
                let send = |over: &AtomicBool| send_locked(&ring, over);
                beside_busy(threads, window, &send, |ended| drain_all(&mut drain, ended))
            }
            _ => {
                let shared = Shared::attach(&memory)?;
                let send = |over: &AtomicBool| OURS[which].1(&shared, &mut EpollWaiter::new(map)?, over);
                beside_busy(threads, window, &send, |ended| drain_all(&mut drain, ended))
            }
        }?;
        ring.empty(0)?;
        let (most, least) = (counts.iter().max().copied().unwrap_or(0), counts.iter().min().copied().unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let spread = most as f64 / least.max(1) as f64;
        Ok([spread, nanoseconds_each(window, counts.iter().sum())])
    })?;
    Ok(figures)
}

/// Lets threads work for so long, on all cores, beside another one that is busy until they have ended.
fn beside_busy(
    threads: usize,
    window: Duration,
    work: &(dyn Fn(&AtomicBool) -> Result<u64> + Sync),
    busy: impl FnOnce(&AtomicBool) -> Result<()> + Send,
) -> Result<Vec<u64>> {
    // Flags that guard nothing, but for the drain's last look: that sees what a thread submitted before it was joined.
    let (over, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    scope(|scope| {
        let busy = scope.spawn(|| affinity::unpin().and_then(|()| busy(&ended)));
        let working: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| affinity::unpin().and_then(|()| work(&over)))).collect();
        sleep(window);
        over.store(true, Ordering::Relaxed);
        let join = |panic| anyhow!("a measured thread panicked: {panic:?}");
        let counts: Vec<_> = working.into_iter().map(|thread| thread.join().map_err(join)?).collect();
        ended.store(true, Ordering::Release);
        busy.join().map_err(join)??;
        counts.into_iter().collect()
    })
}

/// Sends until it is over, and counts. `send` is told the number.
fn counted(over: &AtomicBool, mut send: impl FnMut(u64) -> Result<()>) -> Result<u64> {
    let mut sent = 0_u64;
    while !over.load(Ordering::Relaxed) {
        send(sent)?;
        sent += 1;
    }
    Ok(sent)
}

fn send_shared(shared: &Shared<&Mapping>, waiter: &mut EpollWaiter, over: &AtomicBool) -> Result<u64> {
    counted(over, |number| {
        let mut sample = shared.reserve_blocking(SIZE as usize, waiter, Some(STUCK))?;
        sample[..8].copy_from_slice(&number.to_ne_bytes());
        sample.submit();
        Ok(())
    })
}

fn send_by_auto_lane(shared: &Shared<&Mapping>, waiter: &mut EpollWaiter, over: &AtomicBool) -> Result<u64> {
    let mut handle = AutoLane::new(shared);
    counted(over, |number| {
        let mut sample = handle.reserve_blocking(SIZE as usize, waiter, Some(STUCK))?;
        sample[..8].copy_from_slice(&number.to_ne_bytes());
        sample.submit();
        Ok(())
    })
}

fn send_by_lanes(shared: &Shared<&Mapping>, waiter: &mut EpollWaiter, over: &AtomicBool) -> Result<u64> {
    let mut sent = 0_u64;
    while !over.load(Ordering::Relaxed) {
        let mut lane = shared.reserve_blocking(LANE, waiter, Some(STUCK))?.into_lane();
        loop {
            match lane.reserve(SIZE as usize) {
                Ok(mut sample) => {
                    sample[..8].copy_from_slice(&sent.to_ne_bytes());
                    sample.submit();
                    sent += 1;
                }
                Err(ReserveError::LaneUsedUp { .. }) => break,
                Err(why) => return Err(why.into()),
            }
        }
    }
    Ok(sent)
}

/// libbpf's threads wait for room while they hold the lock: reserving needs it.
fn send_locked(ring: &Mutex<LibbpfRing>, over: &AtomicBool) -> Result<u64> {
    let timeout = i32::try_from(STUCK.as_millis())?;
    counted(over, |number| {
        let mut locked = ring.lock().map_err(|_| anyhow!("another thread panicked"))?;
        let sample = locked.reserve_blocking(SIZE, timeout)?;
        let submitter = locked.submitter();
        drop(locked);
        // SAFETY: the sample has 8 bytes or more and is this thread's, it is submitted once, and the ring lives.
        unsafe {
            sample.cast::<u64>().write(number);
            submitter.submit(sample);
        }
        Ok(())
    })
}

/// Drains until all have ended and nothing is left.
fn drain_all(drain: &mut DrainProgram, ended: &AtomicBool) -> Result<()> {
    loop {
        // Acquire: what was submitted before it was set is drained below.
        let last = ended.load(Ordering::Acquire);
        let drained = drain.run(&DrainOptions::new())?.returned().map_err(io::Error::from)?;
        if last && drained == 0 {
            return Ok(());
        }
    }
}

fn count(over: &AtomicBool) -> Result<u64> {
    counted(over, |number| {
        black_box(number);
        Ok(())
    })
}

fn spin(ended: &AtomicBool) -> Result<()> {
    while !ended.load(Ordering::Relaxed) {
        spin_loop();
    }
    Ok(())
}
