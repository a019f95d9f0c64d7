//! `inspect`: a picture of a ring, and what to do about it. Maps nothing writable.

mod picture;
mod reported;

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use user_ringbuf_linux::{Map, MappingView, Position};

use crate::look::advice::{Advice, Context};
use crate::look::snapshot::Snapshot;
use crate::look::{Unchanged, look, obstacle};
use crate::pin_state::PinState;
use crate::producer::{Claim, Holders, Producing};
use crate::report::{Output, REDRAW, Report, Verdict, wants_colour};
use crate::target::Target;
use reported::Look;

/// Show what is in a ring, who produces into it, whether it flows, and what to do if it does not.
///
/// Maps nothing writable, and may run beside the ring's producer and consumer at any time.
///
/// The exit status is 1 if the ring is stuck: jammed, misplaced, or held by a busy record whose producer is not known to be
/// alive; with --watch also if it still holds the same records after 2 seconds.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    #[command(flatten)]
    target: Target,
    /// How many records to show at each end.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    records: u32,
    /// Look again and again, until interrupted. With --json, print one object per line.
    #[arg(long)]
    watch: bool,
    /// Milliseconds between looks.
    #[arg(long, value_name = "MS", default_value_t = 500, requires = "watch")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    every: u64,
    /// Stop after this many looks.
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

impl Inspect {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let map = self.target.open()?;
        let view = MappingView::new(&map).with_context(|| format!("cannot look at {}", self.target))?;
        let keep = usize::try_from(self.records)?;
        let mut unchanged = Unchanged::default();
        let mut looks = 0;
        loop {
            let see = || Snapshot::of(&view, keep);
            let (snapshot, claim) = look(&view, see, |snapshot| &snapshot.survey, || Claim::of(&map));
            let since = self.watch.then(|| unchanged.since(&snapshot.survey, Instant::now()));
            let stuck = self.report(&map, &snapshot, &claim, since, output)?;
            looks += 1;
            if !self.watch || self.times.is_some_and(|times| looks >= times) {
                return Ok(if stuck { Verdict::Reported } else { Verdict::Good });
            }
            sleep(Duration::from_millis(self.every));
        }
    }

    /// Reports one look. Returns whether the ring is stuck.
    fn report(
        &self,
        map: &Map,
        snapshot: &Snapshot,
        claim: &Claim,
        since: Option<Duration>,
        output: &Output,
    ) -> anyhow::Result<bool> {
        let survey = &snapshot.survey;
        let holders = Holders::of(map);
        let others = holders.as_ref().ok();
        let advice = Advice::on(snapshot, &Context { target: &self.target, claim, holders: others, since });
        let stuck = advice.state.is_stuck(claim, since);
        let pin = self.target.pin().and_then(|path| Some((path, PinState::of(map, path)?)));
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
            verdict: advice.state.name(),
            stuck,
            words: &advice.words,
            todo: &advice.todo,
            kernel_error: survey.verdict.kernel_error().map(|error| error.to_string()),
            obstacle: obstacle(survey).map(Position::get),
            unchanged_seconds: since.map(|since| since.as_secs_f64()),
            producer: Producing::of(snapshot.plan.is_some(), claim),
            holders: others.map(|holders| &holders.found[..]),
            holders_unreadable: others.map(|holders| holders.unreadable),
            first_records: &snapshot.first,
            last_records: snapshot.last.iter().copied().collect(),
            repair: snapshot.plan.and_then(Result::ok),
            pin: pin.map(|(_, state)| state),
            pin_words: pin.and_then(|(path, state)| state.words(path, map.id())),
            snapshot,
            claim,
            held_open: &holders,
            colour: wants_colour(),
            again: self.watch && io::stdout().is_terminal(),
        })?;
        Ok(stuck)
    }
}

impl Report for Look<'_> {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.again {
            out.write_all(REDRAW)?;
        }
        picture::draw(self, out)
    }
}
