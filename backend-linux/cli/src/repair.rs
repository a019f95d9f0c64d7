//! `repair`: frees a ring whose producer is gone.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use user_ringbuf_linux::{
    MappingView, Repair as Mended, RingSize, RingView, Survey, Verdict as RingVerdict, plan_repair, repair,
};

use crate::mended::{Moved, Sum};
use crate::producer::{self, Claim};
use crate::report::{Output, Report, Verdict, plural};
use crate::row::Row;
use crate::target::Target;

/// Free a ring that a dead producer left stuck.
///
/// Turns busy records and damaged stretches into discarded records, and corrects an impossible producer position. Submitted
/// records that can be reached are kept. A BPF program may drain the ring meanwhile.
///
/// Repairing a ring whose producer is alive destroys its samples. A ring that a process claims is therefore always refused.
/// A producer that takes no claim, such as libbpf's, can't be detected: pass --producer-is-gone to confirm that there is
/// none.
#[derive(Args, Debug)]
pub(crate) struct Repair {
    #[command(flatten)]
    target: Target,
    /// Show what a repair would do without doing it. Maps nothing writable.
    #[arg(long)]
    dry_run: bool,
    /// Confirm that no producer of this ring is alive in any process.
    #[arg(long)]
    producer_is_gone: bool,
    /// How many repairs to list; the others are only counted.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    records: u32,
}

/// What to tell those who did not confirm that no producer is alive.
pub(crate) const CONSENT: &str = "repairing a ring whose producer is alive destroys its samples, and a producer that takes no \
                                  claim (libbpf's take none) can't be detected: make sure that none is alive and confirm it \
                                  with --producer-is-gone. Use --dry-run to see what a repair would do";

/// One thing that was or would be done.
#[derive(Serialize)]
#[serde(tag = "did", rename_all = "snake_case")]
enum Step {
    Discarded(Row),
    Filled {
        #[serde(flatten)]
        was: Row,
        fillers: u32,
    },
    ProducerMoved(Moved),
}

impl Step {
    fn of(mended: &Mended, size: RingSize) -> Option<Self> {
        match mended {
            Mended::Discarded { record } => Some(Self::Discarded(Row::of_record(record, size))),
            Mended::Filled { damage, fillers } => {
                Some(Self::Filled { was: Row::of_damage(damage, size), fillers: *fillers })
            }
            Mended::ProducerMoved { from, to } => Some(Self::ProducerMoved(Moved { from: from.get(), to: to.get() })),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Repaired {
    id: u32,
    dry_run: bool,
    /// The verdict on the ring before and after, in words.
    before: String,
    after: String,
    #[serde(flatten)]
    sum: Sum,
    /// The repairs in order, as many as asked for.
    repairs: Vec<Step>,
    omitted: u64,
}

impl Repair {
    /// Whether the user has yet to confirm that no producer is alive.
    pub(crate) fn lacks_consent(&self) -> bool {
        !self.dry_run && !self.producer_is_gone
    }

    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let map = self.target.open()?;
        let failed = || format!("cannot repair {}", self.target);
        let view = MappingView::new(&map).with_context(failed)?;
        if self.dry_run {
            if let Claim::By(process) = Claim::of(&map) {
                let process =
                    process.map_or_else(|| "a process that /proc does not show".into(), |one| one.to_string());
                bail!("{}: it is claimed by {process}, whose samples a repair would destroy", failed());
            }
            return self.mend(map.id(), &view, |each| plan_repair(&view, each).with_context(failed), output);
        }
        // Held during the repair, so that no producer can attach meanwhile.
        let mapping = producer::claim(&map).with_context(failed)?;
        // SAFETY: no producer that takes a claim is alive, since this process has the claim, and it has no other mapping of
        // the ring. That none without a claim is alive, the user has confirmed: see `lacks_consent`.
        let mend = |each: &mut dyn FnMut(Mended)| unsafe { repair(&mapping, each) }.with_context(failed);
        self.mend(map.id(), &view, mend, output)
    }

    fn mend(
        &self,
        id: u32,
        view: &impl RingView,
        mend: impl FnOnce(&mut dyn FnMut(Mended)) -> anyhow::Result<()>,
        output: &Output,
    ) -> anyhow::Result<Verdict> {
        let keep = usize::try_from(self.records)?;
        let before = verdict(view);
        let (mut sum, mut repairs, mut omitted) = (Sum::default(), Vec::new(), 0);
        mend(&mut |mended| {
            sum.add(&mended);
            if repairs.len() < keep {
                repairs.extend(Step::of(&mended, view.size()));
            } else {
                omitted += 1;
            }
        })?;
        let after = verdict(view);
        output.report(&Repaired {
            id,
            dry_run: self.dry_run,
            before: before.to_string(),
            after: after.to_string(),
            sum,
            repairs,
            omitted,
        })?;
        Ok(if self.dry_run { Verdict::Good } else { repaired(&after) })
    }
}

/// Whether a repair has freed the ring.
fn repaired(after: &RingVerdict) -> Verdict {
    match after {
        RingVerdict::Empty | RingVerdict::Flowing => Verdict::Good,
        // A repair that ran to its end leaves no obstacle, so something has written since.
        after => Verdict::Bad(format!("the ring is stuck again: {after}; is a producer alive?")),
    }
}

fn verdict(view: &impl RingView) -> RingVerdict {
    Survey::of(view).verdict
}

impl Report for Repaired {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "ring {} before: {}", self.id, self.before)?;
        let would = if self.dry_run { "would " } else { "" };
        for step in &self.repairs {
            writeln!(out, "  {would}{}", step.words(self.dry_run))?;
        }
        if self.omitted > 0 {
            writeln!(out, "  and {} more", self.omitted)?;
        }
        if self.repairs.is_empty() && self.omitted == 0 {
            writeln!(out, "nothing to repair")
        } else if self.dry_run {
            writeln!(out, "in total: would {}; nothing was changed", self.sum.as_plan())
        } else {
            writeln!(out, "in total: {}", self.sum.as_done())?;
            writeln!(out, "ring {} now: {}", self.id, self.after)
        }
    }
}

impl Step {
    fn words(&self, plan: bool) -> String {
        let verb = |plain, done| if plan { plain } else { done };
        let mut words = String::new();
        // Writing to a string does not fail.
        let _ = match self {
            Self::Discarded(row) => {
                let Row { position, offset, len, .. } = row;
                let verb = verb("discard", "discarded");
                write!(words, "{verb} the busy record of {len} bytes at {position} (offset {offset})")
            }
            Self::Filled { was: Row { position, offset, len, bytes, .. }, fillers } => {
                let (verb, records) = (verb("fill", "filled"), plural(u64::from(*fillers), "discarded record"));
                write!(
                    words,
                    "{verb} the {bytes} bytes at {position} (offset {offset}), whose header says {len} bytes, with \
                     {records}"
                )
            }
            Self::ProducerMoved(Moved { from, to }) => {
                write!(words, "{} the producer position from {from} to {to}", verb("move", "moved"))
            }
        };
        words
    }
}

#[cfg(test)]
mod tests {
    use user_ringbuf_linux::Header;
    use user_ringbuf_sim::{HeapMemory, RawAccess, RingImage};

    use super::*;

    #[test]
    fn a_ring_that_is_not_free_after_a_repair_is_bad_and_says_why() {
        for (header, bad) in [(Header::submitted(8), None), (Header::busy(8), Some("held by the busy record at 0"))] {
            let mut image = RingImage::empty(RingSize::new(4096).unwrap(), 0);
            image.append(header, &[]);
            let mut memory = HeapMemory::new(4096).unwrap();
            memory.restore(&image).unwrap();
            match (repaired(&verdict(&memory)), bad) {
                (Verdict::Good, None) => {}
                (Verdict::Bad(why), Some(bad)) => assert!(why.contains(bad), "{why}"),
                (verdict, _) => panic!("{verdict:?}"),
            }
        }
    }
}
