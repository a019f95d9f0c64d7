//! Samples through the ring: one thread publishes, another drains all the while by `BPF_PROG_TEST_RUN`.
//!
//! The time counts from the first push until the callback had the last sample. Whoever finds the ring full tries again until
//! there is room, ours and libbpf alike. libbpf has no batches: it publishes each sample by itself, and is measured
//! once for each ring, in the same rounds as all batches. Rows that end in `drain` have the kernel's share: the time within
//! those system calls that brought samples.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use user_ringbuf_linux::{DrainProgram, Mapping, Producer, RingId, Wait, Wake, WakeupFlags};

use crate::options::Options;
use crate::pair::{Patience, STUCK, drain_until, together};
use crate::peers::libbpf::LibbpfRing;
use crate::report::{Row, Table};
use crate::ring::TestRing;
use crate::rounds::medians;
use crate::stats::nanoseconds_each;

pub(crate) const RINGS: [(&str, u64); 4] =
    [("4KiB", 4 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20), ("16MiB", 16 << 20)];
/// Samples per batch; 0 is libbpf.
pub(crate) const BATCHES: [u64; 4] = [1, 32, 1024, 0];
const PEER: &str = "libbpf, one by one";
const SIZE: usize = 40;
/// Samples per round and contender, at least, and as many times as the ring holds.
const SAMPLES: u64 = 100_000;
const RING_FULLS: u64 = 2;
/// Rounds if nobody asked for this case in particular.
const FEW_ROUNDS: usize = 7;
const MOST_ROUNDS: usize = 31;

pub(super) fn run(options: &Options, table: &mut Table, mode: &str, flags: WakeupFlags) -> Result<()> {
    for (name, bytes) in RINGS {
        let ring = format!("whole_way/{mode}/{name}");
        if BATCHES.iter().any(|batch| options.wants(&format!("{ring}/{batch}"))) {
            // libbpf is the last.
            let times = measure(options, bytes, flags)?;
            let Some(((_, theirs), ours)) = times.split_last() else { continue };
            for (batch, ours) in ours {
                table.add(Row::new(format!("{ring}/{batch}"), PEER, ours[0], theirs[0]));
                table.add(Row::new(format!("{ring}/{batch}/drain"), PEER, ours[1], theirs[1]));
            }
        }
    }
    Ok(())
}

/// By batch, nanoseconds per sample: all of it, and in the drain.
fn measure(options: &Options, bytes: u64, flags: WakeupFlags) -> Result<Vec<(u64, [f64; 2])>> {
    let mut ring = TestRing::new(bytes)?;
    let memory = Mapping::new(ring.map())?;
    let mut libbpf = LibbpfRing::new(ring.map())?;
    let mut drain = DrainProgram::load(ring.map(), 0)?;
    let holds = ring.holds(u32::try_from(SIZE)?);
    let batches: Vec<u64> = BATCHES.into_iter().filter(|batch| *batch <= holds).collect();
    let samples = SAMPLES.max(RING_FULLS * holds).next_multiple_of(1024);
    let rounds = options.rounds().min(if options.at_length() { MOST_ROUNDS } else { FEW_ROUNDS });
    let times = medians(rounds, batches.len(), |_, which| {
        let drain_all = || drain_until(&mut drain, flags, samples);
        let cores = options.two_cores()?;
        let (whole, (), draining) = match batches[which] {
            0 => together(cores, || libbpf_all(&mut libbpf, samples), drain_all)?,
            batch => {
                let mut producer = Producer::attach(&memory)?;
                together(cores, move || ours_all(&mut producer, samples, batch), drain_all)?
            }
        };
        ring.empty(0)?;
        Ok([whole, draining].map(|time| nanoseconds_each(time, samples)))
    })?;
    Ok(batches.into_iter().zip(times).collect())
}

fn ours_all(producer: &mut Producer<&Mapping>, samples: u64, batch: u64) -> Result<()> {
    let (mut sample, mut number) = ([7; SIZE], 0_u64);
    let mut retry = Retry { patience: Patience::default(), began: Instant::now() };
    let room = usize::try_from(batch)? * (SIZE + 8);
    while number < samples {
        // A batch of one is a plain push.
        if batch == 1 {
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            producer.push_blocking(&sample, &mut retry, Some(STUCK))?;
            number += 1;
            continue;
        }
        producer.wait_room(room, &mut retry, Some(STUCK))?;
        let mut open = producer.batch();
        for _ in 0..batch.min(samples - number) {
            sample[..8].copy_from_slice(&number.to_ne_bytes());
            open.push(&sample)?;
            number += 1;
        }
        open.submit()?;
    }
    Ok(())
}

/// Waits for room as libbpf's thread does here.
struct Retry {
    patience: Patience,
    began: Instant,
}

impl Wait for Retry {
    type Error = Infallible;

    fn ring(&self) -> Option<RingId> {
        None
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn wait(&mut self, _round: u32, _until: Option<Duration>) -> Result<Wake, Infallible> {
        self.patience.wait();
        Ok(Wake::Look)
    }
}

fn libbpf_all(ring: &mut LibbpfRing, samples: u64) -> Result<()> {
    let mut bytes = [7; SIZE];
    let began = Instant::now();
    for number in 0..samples {
        let mut patience = Patience::default();
        bytes[..8].copy_from_slice(&number.to_ne_bytes());
        let sample = loop {
            match ring.reserve(u32::try_from(SIZE)?) {
                Ok(sample) => break sample,
                Err(why) if why.raw_os_error() != Some(libc::ENOSPC) => return Err(why.into()),
                Err(_) if began.elapsed() > STUCK => bail!("the ring is full after {STUCK:?}"),
                Err(_) => patience.wait(),
            }
        };
        // SAFETY: the sample is as long and ours, and it is submitted once.
        unsafe {
            sample.cast::<[u8; SIZE]>().write(bytes);
            ring.submit(sample);
        }
    }
    Ok(())
}
