//! `list`: every ring on the machine, one line each, and which of them are stuck.

mod gather;
mod listing;
mod prometheus;
mod table;

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use user_ringbuf_linux::{Support, probe};

use crate::look::Unchanged;
use crate::report::{Output, REDRAW, Report, Verdict, per_second, wants_colour};
use crate::text::printable;
use gather::{Found, Gathered};
use listing::{Listed, Listing};

/// List every user ring buffer on the machine: size, bytes in use, verdict, producer, holders and pins.
///
/// The exit status is 1 if a ring is stuck: jammed, misplaced, or held by a busy record whose producer is not known to be
/// alive; with --watch also if a ring still holds the same records after 2 seconds. Standard error names the stuck rings.
///
/// Needs CAP_SYS_ADMIN, and CAP_SYS_PTRACE to see the processes of other users. Only pins on a bpffs that is mounted here
/// are found.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// List only rings with this name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print metrics in Prometheus' text format, as node_exporter's textfile collector reads it.
    #[arg(long, conflicts_with = "watch")]
    prometheus: bool,
    /// Look again and again, until interrupted: adds rates, and for how long a ring has been stuck. With --json, print one
    /// object per line.
    #[arg(long)]
    watch: bool,
    /// Milliseconds between looks.
    #[arg(long, value_name = "MS", default_value_t = 1000, requires = "watch")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    every: u64,
    /// Stop after this many looks.
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

/// What earlier looks saw of a ring.
#[derive(Default)]
struct Past {
    unchanged: Unchanged,
    /// Consumer and producer position.
    seen: Option<(u64, u64, Instant)>,
}

impl Past {
    /// Bytes drained and produced per second since the last look.
    fn rates(&mut self, consumer: u64, producer: u64, now: Instant) -> Option<(f64, f64)> {
        let (old_consumer, old_producer, when) = self.seen.replace((consumer, producer, now))?;
        let time = now.saturating_duration_since(when);
        // A repair may have moved a position back.
        let rate = |old: u64, new: u64| per_second(new.saturating_sub(old), time);
        Some((rate(old_consumer, consumer), rate(old_producer, producer)))
    }
}

impl List {
    pub(crate) fn is_prometheus(&self) -> bool {
        self.prometheus
    }

    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let mut past: HashMap<u32, Past> = HashMap::new();
        let mut looks = 0;
        loop {
            let gathered = Gathered::now(self.name.as_deref())?;
            let now = Instant::now();
            past.retain(|id, _| gathered.rings.iter().any(|ring| ring.id == *id));
            let listing = self.listing(&gathered, &mut past, now);
            output.report(&listing)?;
            looks += 1;
            if !self.watch || self.times.is_some_and(|times| looks >= times) {
                return Ok(verdict(&listing));
            }
            sleep(Duration::from_millis(self.every));
        }
    }

    fn listing<'a>(&self, gathered: &'a Gathered, past: &mut HashMap<u32, Past>, now: Instant) -> Listing<'a> {
        let rings: Vec<Listed<'_>> =
            gathered.rings.iter().map(|ring| self.listed(ring, past.entry(ring.id).or_default(), now)).collect();
        Listing {
            stuck: rings.iter().filter(|ring| ring.stuck).map(|ring| ring.id).collect(),
            unreadable: &gathered.unreadable,
            vanished: gathered.vanished,
            holders_unreadable: gathered.holders_unreadable.as_ref().ok().copied(),
            watch: self.watch,
            colour: wants_colour(),
            unsupported: rings.is_empty() && probe().map_type == Support::No,
            no_holders: gathered.holders_unreadable.as_ref().err().map(String::as_str),
            again: self.watch && io::stdout().is_terminal(),
            prometheus: self.prometheus,
            rings,
        }
    }

    fn listed<'a>(&self, ring: &'a Found, past: &mut Past, now: Instant) -> Listed<'a> {
        let (consumer, producer) = (ring.survey.consumer.get(), ring.survey.producer.get());
        let since = self.watch.then(|| past.unchanged.since(&ring.survey, now));
        let rates = self.watch.then(|| past.rates(consumer, producer, now)).flatten();
        Listed {
            id: ring.id,
            name: &ring.name,
            size: ring.survey.size.bytes(),
            used: ring.survey.producer.occupied(ring.survey.consumer, ring.survey.size).ok(),
            consumer_pos: consumer,
            producer_pos: producer,
            verdict: ring.state(since).name(),
            stuck: ring.is_stuck(since),
            words: ring.survey.verdict.to_string(),
            unchanged_seconds: since.map(|since| since.as_secs_f64()),
            drained_bytes_per_second: rates.map(|(drained, _)| drained),
            produced_bytes_per_second: rates.map(|(_, produced)| produced),
            producer: ring.producing(),
            holders: ring.holders.as_deref(),
            pins: ring.pins.iter().map(|pin| printable(pin)).collect(),
        }
    }
}

/// Names the rings that are stuck.
fn verdict(listing: &Listing<'_>) -> Verdict {
    /// Most rings to name.
    const NAMED: usize = 5;
    let stuck: Vec<&Listed<'_>> = listing.rings.iter().filter(|ring| ring.stuck).collect();
    let mut names: Vec<String> = stuck.iter().take(NAMED).map(|ring| name(ring)).collect();
    if stuck.len() > NAMED {
        names.push(format!("and {} more", stuck.len() - NAMED));
    }
    match stuck.len() {
        0 => Verdict::Good,
        1 => Verdict::Bad(format!("stuck: {}", names.concat())),
        count => Verdict::Bad(format!("{count} rings are stuck: {}", names.join("; "))),
    }
}

fn name(ring: &Listed<'_>) -> String {
    let words = if ring.verdict == "undrained" { ring.verdict } else { &ring.words };
    match ring.name {
        "" => format!("ring {}, {words}", ring.id),
        name => format!("ring {} ({name}), {words}", ring.id),
    }
}

impl Report for Listing<'_> {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.prometheus {
            return prometheus::write(self, out);
        }
        if self.again {
            out.write_all(REDRAW)?;
        }
        table::draw(self, out)
    }
}

#[cfg(test)]
mod tests;
