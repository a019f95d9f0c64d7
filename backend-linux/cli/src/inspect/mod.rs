//! `inspect`: a picture of a ring, and what to do about it. Maps nothing writable.

mod advice;
mod cells;
mod picture;
mod snapshot;

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use user_ringbuf_linux::{Map, MappingView, Position, Tally, Verdict as RingVerdict};

use crate::mended::Sum;
use crate::producer::{Claim, Holders, Process};
use crate::report::{Output, Report, Verdict};
use crate::row::Row;
use crate::target::Target;
use advice::{Advice, Context};
use snapshot::Snapshot;

/// Most looks for one report, when the ring changes between a look at it and one at who claims it.
const LOOKS: u32 = 5;

/// Show what is in a ring, who produces into it, whether it flows, and what to do if it does not.
///
/// Looks only: it maps nothing writable, and the ring's producer and consumer may work on. The exit status is 0 whatever
/// the verdict is: it stands in the report.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    #[command(flatten)]
    target: Target,
    /// How many records to show of each end.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    records: u32,
    /// Look again and again, until ctrl-c. With --json, one object a line.
    #[arg(long)]
    watch: bool,
    /// Milliseconds between two looks.
    #[arg(long, value_name = "MS", default_value_t = 500, requires = "watch")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    every: u64,
    /// Stop after so many looks.
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

/// One look, as it is reported.
#[derive(Serialize)]
struct Look<'a> {
    id: u32,
    name: &'a str,
    size: u32,
    consumer_pos: u64,
    producer_pos: u64,
    head_offset: u32,
    tail_offset: u32,
    /// Bytes between the positions; null if these are wrong.
    used: Option<u32>,
    free: Option<u32>,
    /// Bytes that each mark of the picture stands for.
    bytes_per_mark: u32,
    submitted: Count,
    busy: Count,
    discarded: Count,
    damaged: Count,
    /// Records that the kernel takes before it meets the first obstacle.
    ready: u64,
    verdict: &'static str,
    words: &'a str,
    todo: &'a str,
    /// What every drain answers that comes to the obstacle.
    kernel_error: Option<String>,
    /// The obstacle's position.
    obstacle: Option<u64>,
    /// For how long the obstacle, or the head of a ring that is not empty, was seen where it is; only when watched.
    unchanged_seconds: Option<f64>,
    producer: Producing<'a>,
    /// The other processes that hold the ring open; null if `/proc` can't be read.
    holders: Option<&'a [Process]>,
    /// How many processes could not be looked at.
    holders_unreadable: Option<usize>,
    first_records: &'a [Row],
    last_records: Vec<Row>,
    /// What `repair` would do; null if there is nothing to repair, or it can't be.
    repair: Option<Sum>,
    #[serde(skip)]
    snapshot: &'a Snapshot,
    #[serde(skip)]
    claim: &'a Claim,
    #[serde(skip)]
    held_open: &'a Result<Holders, String>,
    #[serde(skip)]
    colour: bool,
    /// Drawn over the last look.
    #[serde(skip)]
    again: bool,
}

/// Whether the ring has a producer.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Producing<'a> {
    /// A process claims the ring. Without pid and name if `/proc` does not show it.
    Alive {
        #[serde(flatten)]
        process: Option<&'a Process>,
    },
    /// No process claims the ring, and a producer has left something unfinished or wrong in it.
    Gone,
    /// No process claims the ring.
    None,
    Unknown {
        why: &'a str,
    },
}

impl<'a> Producing<'a> {
    fn of(snapshot: &Snapshot, claim: &'a Claim) -> Self {
        match claim {
            Claim::By(process) => Self::Alive { process: process.as_ref() },
            Claim::ByNobody if snapshot.plan.is_some() => Self::Gone,
            Claim::ByNobody => Self::None,
            Claim::Unknown(why) => Self::Unknown { why },
        }
    }
}

#[derive(Serialize)]
struct Count {
    records: u64,
    bytes: u64,
}

impl From<Tally> for Count {
    fn from(Tally { records, bytes }: Tally) -> Self {
        Self { records, bytes }
    }
}

impl Inspect {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let map = self.target.open()?;
        let view = MappingView::new(&map).with_context(|| format!("cannot look at {}", self.target))?;
        let terminal = io::stdout().is_terminal();
        let mut unchanged = Unchanged::default();
        let mut looks = 0;
        loop {
            let (snapshot, claim) = self.look(&map, &view)?;
            let since = self.watch.then(|| unchanged.since(&snapshot, Instant::now()));
            self.report(&map, &snapshot, &claim, since, terminal, output)?;
            looks += 1;
            if !self.watch || self.times.is_some_and(|times| looks >= times) {
                return Ok(Verdict::Good);
            }
            sleep(Duration::from_millis(self.every));
        }
    }

    /// Looks at the ring and at who claims it, so that both hold of the same moment.
    fn look(&self, map: &Map, view: &MappingView) -> anyhow::Result<(Snapshot, Claim)> {
        for _ in 0..LOOKS {
            let snapshot = Snapshot::of(view, usize::try_from(self.records)?);
            let claim = Claim::of(map);
            // A producer may have come to its end, in good order, between the two. An obstacle that is still there was
            // there when nobody had the claim.
            if claim != Claim::ByNobody || snapshot.plan.is_none() || snapshot.is_still_stuck(view) {
                return Ok((snapshot, claim));
            }
        }
        let snapshot = Snapshot::of(view, usize::try_from(self.records)?);
        Ok((snapshot, Claim::Unknown("the ring changes while it is looked at".to_owned())))
    }

    fn report(
        &self,
        map: &Map,
        snapshot: &Snapshot,
        claim: &Claim,
        since: Option<Duration>,
        terminal: bool,
        output: &Output,
    ) -> anyhow::Result<()> {
        let survey = &snapshot.survey;
        let holders = Holders::of(map);
        let others = holders.as_ref().ok();
        let advice = Advice::on(snapshot, &Context { target: &self.target, claim, holders: others, since });
        output.report(&Look {
            id: map.id(),
            name: map.name(),
            size: map.size(),
            consumer_pos: survey.consumer.get(),
            producer_pos: survey.producer.get(),
            head_offset: survey.consumer.offset(survey.size),
            tail_offset: survey.producer.offset(survey.size),
            used: snapshot.used(),
            free: snapshot.free(),
            bytes_per_mark: snapshot.cells.bytes(),
            submitted: survey.submitted.into(),
            busy: survey.busy.into(),
            discarded: survey.discarded.into(),
            damaged: survey.damaged.into(),
            ready: survey.ready,
            verdict: advice.name,
            words: &advice.words,
            todo: &advice.todo,
            kernel_error: survey.verdict.kernel_error().map(|error| error.to_string()),
            obstacle: obstacle(&survey.verdict, survey.producer).map(Position::get),
            unchanged_seconds: since.map(|since| since.as_secs_f64()),
            producer: Producing::of(snapshot, claim),
            holders: others.map(|holders| &holders.found[..]),
            holders_unreadable: others.map(|holders| holders.unreadable),
            first_records: &snapshot.first,
            last_records: snapshot.last.iter().copied().collect(),
            repair: snapshot.plan.and_then(Result::ok),
            snapshot,
            claim,
            held_open: &holders,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            again: terminal && self.watch,
        })
    }
}

/// Where the kernel gets no further.
fn obstacle(verdict: &RingVerdict, producer: Position) -> Option<Position> {
    match verdict {
        RingVerdict::Held { record } => Some(record.start),
        RingVerdict::Jammed { damage } => Some(damage.start()),
        RingVerdict::Misplaced { .. } => Some(producer),
        _ => None,
    }
}

/// For how long a watched ring stands where it does.
#[derive(Debug, Default)]
struct Unchanged {
    /// The obstacle, else the head, and since when.
    seen: Option<(Option<Position>, Option<Position>, Instant)>,
}

impl Unchanged {
    fn since(&mut self, snapshot: &Snapshot, now: Instant) -> Duration {
        let survey = &snapshot.survey;
        let obstacle = obstacle(&survey.verdict, survey.producer);
        // An obstacle that stays counts from when it was first seen, although the head may still come up to it.
        let head = obstacle.is_none().then_some(survey.consumer);
        match self.seen {
            // An empty ring does not wait for anything.
            Some((before, old_head, when))
                if (before, old_head) == (obstacle, head) && survey.verdict != RingVerdict::Empty =>
            {
                now.saturating_duration_since(when)
            }
            _ => {
                self.seen = Some((obstacle, head, now));
                Duration::ZERO
            }
        }
    }
}

/// Breaks a text into lines of at most 100 columns, the first of which begins at column `at`. What stands between
/// backticks is to be copied, and stays whole.
fn fill(text: &str, at: usize) -> String {
    const WIDTH: usize = 100;
    let (mut filled, mut column, mut quoted) = (String::new(), at, false);
    let words = text.split_inclusive(|character| {
        quoted ^= character == '`';
        character == ' ' && !quoted
    });
    for word in words {
        if column + word.trim_end().len() > WIDTH && column > 0 {
            filled.truncate(filled.trim_end().len());
            filled.push_str("\n  ");
            column = 2;
        }
        filled.push_str(word);
        column += word.len();
    }
    filled
}

impl Report for Look<'_> {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut text = Vec::new();
        if self.again {
            // Home and clear, in one write with what follows.
            text.extend(b"\x1b[H\x1b[2J");
        }
        picture::draw(self, &mut text)?;
        out.write_all(&text)
    }
}

#[cfg(test)]
mod tests;
