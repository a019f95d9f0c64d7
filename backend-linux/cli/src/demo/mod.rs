//! `demo`: samples through a ring, each compared with what the kernel saw.

mod backend;
mod check;
mod plan;
mod stamp;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;
use user_ringbuf_linux::{ContiguousMemory, Producer, ReserveError, probe};
use user_ringbuf_sim::SimMemory;

use crate::bytes;
use crate::report::{Output, Report, Verdict, per_second};
use backend::{Drain, Linux, Sim};
use check::{Check, Counts};
use plan::Plan;

/// Publish samples through a ring made for the purpose, drain them in the kernel, and compare what the kernel saw.
///
/// Each sample carries a sequence number, a checksum and a pattern, as much of these as fits. The ring is filled and
/// drained in turn, with one system call per drain. The exit status is 1 if any sample was lost, out of order or corrupt.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// How many samples to publish.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    samples: u64,
    /// Size of each sample: bytes, or a number with K or M (KiB, MiB).
    #[arg(long, value_name = "BYTES", default_value = "40", value_parser = bytes::parse)]
    size: u64,
    /// Size of the ring: bytes, or a number with K, M or G (KiB, MiB, GiB). Rounded up to a power-of-two multiple of the
    /// page size, at most 2G.
    #[arg(long, value_name = "BYTES", default_value = "256K", value_parser = bytes::parse_ring)]
    ring: u64,
    /// Who drains the ring.
    #[arg(long, value_enum, default_value = "auto")]
    backend: Backend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// The kernel if this process has the rights, else the simulation; standard error says which and why.
    Auto,
    /// The real kernel. Needs CAP_BPF.
    Linux,
    /// The simulated kernel, in this process. Needs no rights.
    Sim,
}

/// The result of all rounds.
struct Outcome {
    counts: Counts,
    total: Duration,
    producing: Duration,
    draining: Duration,
}

#[derive(Serialize)]
struct Shown {
    backend: &'static str,
    kernel: String,
    samples: u64,
    size: usize,
    ring: u32,
    drained: u64,
    lost: u64,
    out_of_order: u64,
    corrupt: u64,
    seconds: f64,
    samples_per_second: f64,
    /// Share of the time spent in the producer, from 0 to 1. The time left over goes into comparing.
    producer_share: f64,
    /// Share of the time spent draining.
    kernel_share: f64,
}

impl Demo {
    /// Why these sizes don't go together, if they don't.
    pub(crate) fn wrong_sizes(&self) -> Option<String> {
        Plan::new(self.samples, self.size, self.ring).err().map(|error| format!("{:#}", anyhow::Error::new(error)))
    }

    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let plan = Plan::new(self.samples, self.size, self.ring)?;
        let (backend, kernel, outcome) = match self.linux(&plan, output)? {
            Some((mapping, mut drain)) => {
                ("linux", probe().kernel.to_string(), run_rounds(&plan, mapping, &mut drain, output)?)
            }
            None => {
                let memory = SimMemory::new(u64::from(plan.ring)).context("cannot simulate a ring")?;
                ("sim", "simulated".to_owned(), run_rounds(&plan, &memory, &mut Sim::new(&memory), output)?)
            }
        };
        let Outcome { counts, total, producing, draining } = outcome;
        output.report(&Shown {
            backend,
            kernel,
            samples: plan.samples,
            size: plan.size,
            ring: plan.ring,
            drained: counts.drained,
            lost: counts.lost,
            out_of_order: counts.out_of_order,
            corrupt: counts.corrupt,
            seconds: total.as_secs_f64(),
            samples_per_second: per_second(plan.samples, total),
            producer_share: share(producing, total),
            kernel_share: share(draining, total),
        })?;
        Ok(counts.verdict())
    }

    /// The real kernel, or `None` if the simulation is used in its place.
    fn linux(&self, plan: &Plan, output: &Output) -> anyhow::Result<Option<(user_ringbuf_linux::Mapping, Linux)>> {
        if self.backend == Backend::Sim {
            return Ok(None);
        }
        match (Linux::new(plan)?, self.backend) {
            (Ok(kernel), Backend::Auto) => {
                output.note("backend linux: this process may create rings and load programs");
                Ok(Some(kernel))
            }
            (Ok(kernel), _) => Ok(Some(kernel)),
            (Err(why), Backend::Auto) => {
                output.note(format_args!("backend sim, not linux: {}", why.0));
                Ok(None)
            }
            (Err(why), _) => bail!("can't run on the real kernel: {} (--backend sim runs anywhere)", why.0),
        }
    }
}

/// Publishes all samples, as many at a time as the ring or a drain takes, and drains and checks them in between.
fn run_rounds<M: ContiguousMemory>(
    plan: &Plan,
    memory: M,
    drain: &mut impl Drain,
    output: &Output,
) -> anyhow::Result<Outcome> {
    let mut producer = Producer::attach(memory).context("cannot produce")?;
    let mut check = Check::new(plan.size);
    let progress = output.progress(Some(plan.samples));
    let begin = Instant::now();
    let outcome = rounds(plan, &mut producer, drain, &mut check, &progress);
    let total = begin.elapsed();
    progress.finish_and_clear();
    let (producing, draining) = outcome?;
    Ok(Outcome { counts: check.counts(), total, producing, draining })
}

fn rounds<M: ContiguousMemory>(
    plan: &Plan,
    producer: &mut Producer<M>,
    drain: &mut impl Drain,
    check: &mut Check,
    progress: &ProgressBar,
) -> anyhow::Result<(Duration, Duration)> {
    let (mut producing, mut draining) = (Duration::ZERO, Duration::ZERO);
    let mut next = 0;
    while next < plan.samples {
        let begin = Instant::now();
        let end = plan.samples.min(next + plan.round);
        let published = publish(producer, plan.size, next, end).context("cannot publish")?;
        producing += begin.elapsed();
        if published == 0 {
            bail!("the ring stays full: the kernel has left {} bytes in it", producer.used()?);
        }
        check.begin(next, published);
        // One drain takes a whole round. If it leaves something, a second may take it, until one takes nothing.
        let mut before = None;
        while check.arrived() < published && before != Some(check.arrived()) {
            before = Some(check.arrived());
            draining += drain.drain(|sample| check.sample(sample))?;
        }
        check.end();
        next += published;
        progress.set_position(next);
    }
    Ok((producing, draining))
}

/// Publishes the samples from number `first` up to `end` or until the ring is full. Returns how many those were.
fn publish<M: ContiguousMemory>(
    producer: &mut Producer<M>,
    size: usize,
    first: u64,
    end: u64,
) -> Result<u64, ReserveError> {
    for number in first..end {
        match producer.reserve(size) {
            Ok(mut sample) => {
                stamp::write(number, &mut sample);
                sample.submit();
            }
            Err(ReserveError::Full { .. }) => return Ok(number - first),
            Err(error) => return Err(error),
        }
    }
    Ok(end - first)
}

fn share(part: Duration, total: Duration) -> f64 {
    if total.is_zero() { 0.0 } else { part.as_secs_f64() / total.as_secs_f64() }
}

impl Report for Shown {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { backend, kernel, samples, size, ring, drained, lost, out_of_order, corrupt, .. } = self;
        writeln!(out, "backend       {backend}, kernel {kernel}")?;
        writeln!(out, "published     {samples} samples of {size} bytes, through a ring of {ring} bytes")?;
        writeln!(out, "drained       {drained}")?;
        writeln!(out, "lost          {lost}")?;
        writeln!(out, "out of order  {out_of_order}")?;
        writeln!(out, "corrupt       {corrupt}")?;
        writeln!(out, "time          {:.3} s, {:.0} samples per second", self.seconds, self.samples_per_second)?;
        let (producer, kernel) = (100.0 * self.producer_share, 100.0 * self.kernel_share);
        writeln!(out, "of which      {producer:.0} % in the producer, {kernel:.0} % in the kernel, the rest comparing")
    }
}

#[cfg(test)]
mod tests;
