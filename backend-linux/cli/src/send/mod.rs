//! `send`: standard input into a ring.

mod input;
mod sender;
mod tally;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use user_ringbuf_linux::{AttachError, Corruption, EpollWaiter, Producer};

use crate::framing::{Framing, Parser};
use crate::producer::{self, Holders};
use crate::report::{Output, Report, Verdict, per_second, plural};
use crate::target::Target;
use sender::Sender;
use tally::Tally;

/// What to do with a sample for which the ring has no room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFull {
    /// Wait until the kernel has drained.
    Wait,
    /// Drop it, name it, and go on; the exit status stays 0.
    Drop,
    /// Stop there, with exit status 1.
    Fail,
}

/// Send standard input into a ring, a sample a line or frame.
///
/// A ring has one producer at a time: one that another process has claimed is refused. Of processes that hold the ring
/// open without a claim, standard error says which they are.
///
/// A line ends at its newline, which is not part of the sample; a last line without newline counts. A frame (u32) is a
/// length, a little-endian unsigned number of 32 bits, and then so many bytes of sample; input that ends within a
/// frame is an error.
///
/// What was read is published before the next read, so an interactive pipe is visible at once. A line or frame longer
/// than the ring takes is named on standard error with its number and length and skipped; the rest is sent, and the exit
/// status is 1 in the end.
#[derive(Args, Debug)]
pub(crate) struct Send {
    #[command(flatten)]
    target: Target,
    /// How samples are told apart.
    #[arg(long, value_enum, default_value = "lines")]
    framing: Framing,
    /// What to do with a sample for which the ring has no room now.
    #[arg(long, value_enum, default_value = "wait")]
    on_full: OnFull,
}

#[derive(Serialize)]
struct Sent {
    id: u32,
    framing: Framing,
    on_full: OnFull,
    #[serde(flatten)]
    tally: Tally,
    seconds: f64,
    samples_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    time: Duration,
}

impl Send {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let map = self.target.open()?;
        let failed = || format!("cannot produce into {}", self.target);
        let mapping = producer::claim(&map).with_context(failed)?;
        let producer = Producer::attach(mapping).map_err(|error| self.not_attached(error))?;
        // Where `/proc` can't be read, nothing can be said of others.
        if let Some((names, hold)) = Holders::of(&map).ok().and_then(|others| Some((others.names()?, others.hold()))) {
            output.note(format_args!(
                "{names} {hold} the ring open without a claim: if another process produces into it, samples are lost"
            ));
        }
        let max = producer.max_sample_len();
        let stdin = io::stdin().lock();
        // A spinner would run into what is typed.
        let progress = (!stdin.is_terminal()).then(|| output.progress(None));
        let shown = progress.clone();
        let mut note = |text: &str| match &shown {
            Some(bar) => bar.suspend(|| output.note(text)),
            None => output.note(text),
        };
        let mut pauses = || nothing_to_read(io::stdin());
        let mut sender = Sender {
            producer,
            waiter: EpollWaiter::new(&map).with_context(failed)?,
            on_full: self.on_full,
            parser: Parser::new(self.framing, max),
            tally: Tally::new(self.framing, max),
            pauses: &mut pauses,
            note: &mut note,
        };
        let begin = Instant::now();
        let outcome = sender.send_all(stdin, |samples| {
            if let Some(bar) = &progress {
                bar.set_position(samples);
            }
        });
        let time = begin.elapsed();
        let tally = sender.tally;
        if let Some(bar) = progress {
            bar.finish_and_clear();
        }

        let error = outcome.err().map(|error| error.to_string());
        let verdict = match &error {
            Some(error) => Verdict::Bad(error.clone()),
            None if tally.too_large > 0 => {
                let skipped = plural(tally.too_large, self.framing.unit());
                Verdict::Bad(format!("not all was sent: {skipped} skipped as too large"))
            }
            None => Verdict::Good,
        };
        output.report(&Sent {
            id: map.id(),
            framing: self.framing,
            on_full: self.on_full,
            seconds: time.as_secs_f64(),
            samples_per_second: per_second(tally.samples, time),
            tally,
            error,
            time,
        })?;
        Ok(verdict)
    }

    /// A ring that takes no producer wants a look, and maybe a repair.
    fn not_attached(&self, error: AttachError) -> anyhow::Error {
        let args = self.target.args();
        let repair = match error {
            AttachError::Busy { .. } | AttachError::Damaged { .. } => true,
            AttachError::Corrupted(why) => !matches!(why, Corruption::UnalignedConsumer { .. }),
            _ => false,
        };
        let mut text = format!("cannot produce into {}: {error}", self.target);
        if repair {
            text = format!(
                "{text}; `user-ringbuf inspect {args}` shows the ring, and once no producer is alive `user-ringbuf \
                 repair {args} --producer-is-gone` frees it"
            );
        }
        anyhow::anyhow!(text)
    }
}

/// Whether a read would sleep. The end of the input, or an error, is something to read.
fn nothing_to_read(from: impl AsFd) -> bool {
    let mut look = [PollFd::new(&from, PollFlags::IN)];
    poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
}

impl Report for Sent {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        let unfinished = if self.error.is_some() { ", then stopped" } else { "" };
        writeln!(out, "{} in {:.1?}{unfinished}", self.tally.words(), self.time)
    }
}
