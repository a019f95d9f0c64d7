//! `drain`: a ring's samples to standard output, by the drain program.
//!
//! Invariant: whatever is drained is written out. The log of a run holds every sample that the run consumes, since the
//! program stops before one might not fit.

mod writer;

use std::fmt;
use std::io::{self, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;
use user_ringbuf_linux::{
    DrainOptions, DrainProgram, Map, MappingView, Position, Records, RingPositions, Role, WakeupFlags,
};

use crate::look::advice::{Advice, Context as AdviceContext};
use crate::look::snapshot::Snapshot;
use crate::look::{State, look};
use crate::producer::Claim;
use crate::report::{Output, Report, Verdict, plural, timespec};
use crate::signals::Signals;
use crate::target::Target;
use writer::{Format, Writer};

/// Log beyond what the longest sample takes: what one run hands over at most.
const LOG: usize = 1 << 20;

/// For how long to try again while another drain of the ring is running.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long the kernel stops at a record before the user is told.
const HELD: Duration = Duration::from_secs(1);

/// Drain a ring and write its samples to standard output.
///
/// Loads a small BPF program that calls bpf_user_ringbuf_drain, so a ring can be tried without a program of one's own. What
/// is drained is gone from the ring: a BPF program that drains the same ring gets only the rest.
///
/// Drains what is in the ring and exits. The exit status is 1 if something is left that can't be drained; standard error
/// says why and what to do.
///
/// Needs CAP_BPF and the kernel's BPF JIT. With --json, prints one object per sample and a last one with the totals.
#[derive(Args, Debug)]
pub(crate) struct Drain {
    #[command(flatten)]
    target: Target,
    /// How to write samples.
    #[arg(long, value_enum, default_value = "lines")]
    framing: Format,
    /// Go on draining until interrupted.
    #[arg(long)]
    follow: bool,
    /// Milliseconds between drains of an empty ring.
    #[arg(long, value_name = "MS", default_value_t = 10, requires = "follow")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    every: u64,
    /// Stop after this many samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    samples: Option<u64>,
    /// Do not wake producers that wait for room (BPF_RB_NO_WAKEUP).
    #[arg(long, conflicts_with = "force_wakeup")]
    no_wakeup: bool,
    /// Wake producers that wait for room even if nothing was drained (BPF_RB_FORCE_WAKEUP).
    #[arg(long)]
    force_wakeup: bool,
}

#[derive(Serialize)]
struct Drained {
    id: u32,
    samples: u64,
    bytes: u64,
    /// Why draining ended with something left in the ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Why one round of draining ended.
enum End {
    /// All that was there when it began was drained.
    Done,
    /// As many samples were drained as asked for.
    Enough,
    /// The kernel gets no further: it returned this error, or nothing.
    Stopped(Option<Errno>),
    /// Interrupted.
    Signal,
}

impl Drain {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let map = self.target.open()?;
        let failed = || format!("cannot drain {}", self.target);
        let view = MappingView::new(&map).with_context(failed)?;
        let longest = usize::try_from(view.size().max_sample_len())?;
        let log = DrainProgram::log_bytes(1, longest).saturating_add(LOG);
        let mut run = Run {
            drain: self,
            program: DrainProgram::load(&map, log).with_context(failed)?,
            view: &view,
            options: DrainOptions::new().wakeup(self.wakeup()).stop_before_full(longest),
            writer: Writer::new(self.framing, output.is_json()),
            signals: Signals::watch(|| ())?,
            told_busy: false,
            held: None,
            output,
        };
        let error = loop {
            match run.round()? {
                // A busy record may be submitted any moment.
                End::Stopped(None) if self.follow && !run.is_misplaced() => {
                    if run.is_held_for_long() {
                        output.note(self.explain(&map, &view, None));
                    }
                }
                End::Stopped(errno) => break Some(self.explain(&map, &view, errno)),
                End::Done if self.follow => {}
                End::Done | End::Enough | End::Signal => break None,
            }
            if run.pause(Duration::from_millis(self.every))? {
                break None;
            }
        };
        let Writer { samples, bytes, .. } = run.writer;
        if self.follow && !output.is_json() {
            output.note(format_args!("drained {} ({})", plural(samples, "sample"), plural(bytes, "byte")));
        }
        let verdict = error.clone().map_or(Verdict::Good, Verdict::Bad);
        output.report(&Drained { id: map.id(), samples, bytes, error })?;
        Ok(verdict)
    }

    fn wakeup(&self) -> WakeupFlags {
        match (self.no_wakeup, self.force_wakeup) {
            (true, _) => WakeupFlags::NEVER,
            (false, true) => WakeupFlags::ALWAYS,
            (false, false) => WakeupFlags::IF_CONSUMED,
        }
    }

    /// Why the kernel gets no further, and what to do.
    fn explain(&self, map: &Map, view: &MappingView, errno: Option<Errno>) -> String {
        let see = || Snapshot::of(view, 0);
        let (snapshot, claim) = look(view, see, |snapshot| &snapshot.survey, || Claim::of(map));
        let advice =
            Advice::on(&snapshot, &AdviceContext { target: &self.target, claim: &claim, holders: None, since: None });
        let Advice { state, words, todo } = advice;
        let returned = errno.map_or_else(String::new, |errno| format!(": the kernel returned {}", KernelAnswer(errno)));
        match state {
            State::Held | State::Jammed | State::Misplaced => {
                format!("{} is {}{returned}: {words} To do: {todo}", self.target, state.name())
            }
            _ => format!("cannot drain {}{returned}", self.target),
        }
    }
}

/// An error number by the kernel's name.
struct KernelAnswer(Errno);

impl fmt::Display for KernelAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Errno::BUSY => f.write_str("-EBUSY"),
            Errno::INVAL => f.write_str("-EINVAL"),
            Errno::TOOBIG => f.write_str("-E2BIG"),
            other => write!(f, "-{} ({other})", other.raw_os_error()),
        }
    }
}

/// What a run works with.
struct Run<'a> {
    drain: &'a Drain,
    program: DrainProgram,
    view: &'a MappingView,
    options: DrainOptions,
    writer: Writer,
    signals: Signals,
    /// The user was told that another drain is running.
    told_busy: bool,
    /// Where the kernel stops, since when, and whether the user was told.
    held: Option<(Position, Instant, bool)>,
    output: &'a Output,
}

impl Run<'_> {
    /// Drains until all is drained that is in the ring now.
    fn round(&mut self) -> anyhow::Result<End> {
        let end = self.view.load_producer(Role::ObserveProducer);
        let mut busy_since = None;
        loop {
            // Where the producer position lies beyond the ring, the kernel would hand over old bytes again.
            if self.is_misplaced() {
                return Ok(End::Stopped(None));
            }
            let left = self.drain.samples.map_or(u64::MAX, |samples| samples.saturating_sub(self.writer.samples));
            let options = self.options.stop_after(u32::try_from(left).unwrap_or(0));
            let before = self.view.load_consumer();
            // An empty ring costs no system call, unless the drain is there to wake.
            if before.has_reached(end) && !self.drain.force_wakeup {
                return Ok(End::Done);
            }
            let drained = self.program.run(&options)?;
            self.writer.write(drained.samples())?;
            if drained.unlogged() > 0 {
                bail!("the log of the drain program could not take {} samples", drained.unlogged());
            }
            if self.drain.samples.is_some_and(|samples| self.writer.samples >= samples) {
                return Ok(End::Enough);
            }
            if self.signals.caught().is_some() {
                return Ok(End::Signal);
            }
            match drained.returned() {
                Err(Errno::BUSY) => {
                    self.tell_busy();
                    if busy_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE && !self.drain.follow {
                        return Ok(End::Stopped(Some(Errno::BUSY)));
                    }
                    sleep(Duration::from_millis(1));
                }
                Err(errno) => return Ok(End::Stopped(Some(errno))),
                Ok(_) => {
                    busy_since = None;
                    match self.view.load_consumer() {
                        now if now.has_reached(end) => return Ok(End::Done),
                        now if now == before => return Ok(End::Stopped(None)),
                        // The log or a drain's limit was reached.
                        _ => {}
                    }
                }
            }
        }
    }

    fn is_misplaced(&self) -> bool {
        Records::new(self.view).is_err()
    }

    fn tell_busy(&mut self) {
        if !std::mem::replace(&mut self.told_busy, true) {
            self.output.note("another drain of this ring is running (-EBUSY): each gets a part of the samples");
        }
    }

    /// Whether the kernel has stopped at the same record for a while, the first time that this is so.
    fn is_held_for_long(&mut self) -> bool {
        let at = self.view.load_consumer();
        match &mut self.held {
            Some((before, since, told)) if *before == at => {
                !std::mem::replace(told, *told || since.elapsed() >= HELD) && *told
            }
            held => {
                *held = Some((at, Instant::now(), false));
                false
            }
        }
    }

    /// Sleeps, and tells whether a signal has come.
    fn pause(&self, time: Duration) -> anyhow::Result<bool> {
        let mut look = [PollFd::new(&self.signals, PollFlags::IN)];
        match poll(&mut look, Some(&timespec(time))) {
            Ok(_) | Err(Errno::INTR) => Ok(self.signals.caught().is_some()),
            Err(errno) => Err(errno).context("poll failed"),
        }
    }
}

impl Report for Drained {
    fn words(&self, _: &mut dyn Write) -> io::Result<()> {
        // Standard output has the samples, and nothing else.
        Ok(())
    }
}
