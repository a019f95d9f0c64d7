//! `send`: standard input into a ring.

mod host;
mod input;
mod sender;
mod tally;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use user_ringbuf_linux::{AttachError, Canceller, Corruption, EpollWaiter, MAX_TIMEOUT, Producer, Recheck};

use crate::framing::{Framing, Parser};
use crate::producer::{self, Holders};
use crate::report::{Output, Report, Verdict, per_second, plural};
use crate::signals::Signals;
use crate::target::Target;
use host::{Pin, Process};
use sender::{OnFull, Sender};
use tally::Tally;

/// Send standard input into a ring, one sample per line or frame.
///
/// A line ends at its newline, which is not part of the sample; the last line needs none. A frame (u32) is a length, a
/// little-endian unsigned 32-bit number, followed by that many bytes of sample; input that ends within a frame is an error.
///
/// What was read is published before the next read, so an interactive pipe is visible at once. A line or frame longer than
/// the ring takes is skipped and named on standard error; the rest is sent, and the exit status is 1 in the end.
///
/// A ring has one producer at a time: a ring that another process claims is refused. Standard error names the processes that
/// hold the ring open without a claim. If the pin is replaced meanwhile, as a loader does when it restarts, sending stops.
///
/// On SIGINT or SIGTERM, sending stops with exit status 1, and the report says how many samples were sent.
#[derive(Args, Debug)]
pub(crate) struct Send {
    #[command(flatten)]
    target: Target,
    /// How the input is cut into samples.
    #[arg(long, value_enum, default_value = "lines")]
    framing: Framing,
    /// What to do when the ring has no room for a sample.
    #[arg(long, value_enum, default_value = "wait")]
    on_full: OnFull,
    /// How long to wait for room for one sample before giving up, such as 2 or 0.5. Without it, wait forever; after a
    /// second standard error says so.
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout)]
    timeout: Option<Duration>,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds, such as 2 or 0.5".to_owned())?;
    let timeout = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if timeout > MAX_TIMEOUT { Err(format!("the limit is {} seconds", MAX_TIMEOUT.as_secs())) } else { Ok(timeout) }
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
        // Where `/proc` can't be read, other processes are not known.
        if let Some((names, hold)) = Holders::of(&map).ok().and_then(|others| Some((others.names()?, others.hold()))) {
            output.note(format_args!(
                "{names} {hold} the ring open without a claim: samples are lost if another process produces into it"
            ));
        }
        let max = producer.max_sample_len();
        let canceller = Canceller::new().with_context(failed)?;
        let waiter = EpollWaiter::cancelled_by(&map, Recheck::default(), canceller.try_clone().with_context(failed)?);
        let waiter = waiter.with_context(failed)?;
        let cancel = move || {
            // Where this fails, the wait notices the signal within a second.
            let _ = canceller.cancel();
        };
        let signals = Signals::watch(cancel).context("cannot watch for signals")?;
        let stdin = io::stdin().lock();
        // A spinner would mix with what is typed.
        let progress = (!stdin.is_terminal()).then(|| output.progress(None));
        let shown = progress.clone();
        let mut note = |text: &str| match &shown {
            Some(bar) => bar.suspend(|| output.note(text)),
            None => output.note(text),
        };
        let pin = self.target.pin().map(|path| Pin::new(&map, path));
        let mut sender = Sender {
            producer,
            waiter,
            on_full: self.on_full,
            timeout: self.timeout,
            parser: Parser::new(self.framing, max),
            tally: Tally::new(self.framing, max),
            host: &mut Process { note: &mut note, signals, pin },
            told: None,
            ring: self.target.args(),
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
            None if tally.too_large() > 0 => {
                let skipped = plural(tally.too_large(), self.framing.unit());
                Verdict::Bad(format!("not everything was sent: {skipped} skipped as too long"))
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

    /// Names the subcommands that show and repair a ring which a producer can't attach to.
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
                "{text}; `user-ringbuf inspect {args}` shows the ring; once no producer is alive, `user-ringbuf repair \
                 {args} --producer-is-gone` frees it"
            );
        }
        anyhow::anyhow!(text)
    }
}

impl Report for Sent {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        let unfinished = if self.error.is_some() { ", then stopped" } else { "" };
        writeln!(out, "{} in {:.1?}{unfinished}", self.tally.words(), self.time)
    }
}
