//! The verdict in words, and what to do about it.

use std::time::Duration;

use user_ringbuf_linux::{Corruption, Survey, Verdict};

use super::snapshot::Snapshot;
use crate::producer::{Claim, Holders};
use crate::report::plural;
use crate::target::Target;

/// What to say about a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// The verdict's name.
    pub(super) name: &'static str,
    /// What is the case.
    pub(super) words: String,
    /// What to do.
    pub(super) todo: String,
}

/// What is known about a ring beside what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) target: &'a Target,
    pub(super) claim: &'a Claim,
    /// `None` if `/proc` can't be read.
    pub(super) holders: Option<&'a Holders>,
    /// For how long the ring was seen unchanged, if it is being watched.
    pub(super) since: Option<Duration>,
}

impl Advice {
    pub(super) fn on(snapshot: &Snapshot, context: &Context<'_>) -> Self {
        let survey = &snapshot.survey;
        let lasting =
            context.since.map_or_else(String::new, |since| format!(" Seen so for {:.1} s.", since.as_secs_f64()));
        let (name, words) = match &survey.verdict {
            Verdict::Empty => ("empty", "nothing is in the ring.".to_owned()),
            Verdict::Flowing => {
                let records = plural(survey.ready, "record");
                ("flowing", format!("the kernel can take everything that is in the ring, {records}."))
            }
            Verdict::Held { record } => {
                let (at, len, offset) = (record.start, record.len, record.start.offset(survey.size));
                let text = format!(
                    "the kernel stops in front of the busy record of {len} bytes at position {at} (offset {offset}): {}.{}{}{lasting}",
                    producer(context.claim),
                    ahead(survey),
                    behind(survey)
                );
                ("held", text)
            }
            Verdict::Jammed { damage } => {
                let (error, at) = (damage.kernel_error(), damage.start());
                let text = format!(
                    "every drain that comes to position {at} (offset {}) answers {error} and gets no further: \
                     {damage}.{}{lasting}",
                    at.offset(survey.size),
                    ahead(survey)
                );
                ("jammed", text)
            }
            Verdict::Misplaced { corruption } => ("misplaced", format!("{}{lasting}", misplaced(corruption))),
            other => ("unknown", format!("{other}.{lasting}")),
        };
        Self { name, words, todo: todo(snapshot, context) }
    }
}

/// What has become of a busy record's producer.
fn producer(claim: &Claim) -> String {
    match claim {
        Claim::By(Some(process)) => format!("its producer, {process}, is alive and about to submit it"),
        Claim::By(None) => "its producer, which /proc does not show, is alive and about to submit it".to_owned(),
        Claim::ByNobody => "no process claims the ring, so its producer is gone, unless it takes no claim".to_owned(),
        Claim::Unknown(why) => format!("its producer is about to submit it, or gone ({why})"),
    }
}

/// What the kernel takes before it meets the obstacle.
fn ahead(survey: &Survey) -> String {
    if survey.ready == 0 {
        return String::new();
    }
    format!(" {} in front of it can still be drained.", plural(survey.ready, "record"))
}

/// What waits behind a busy record.
fn behind(survey: &Survey) -> String {
    let all = survey.submitted.records + survey.busy.records + survey.discarded.records + survey.damaged.records;
    match all.saturating_sub(survey.ready + 1) {
        0 => String::new(),
        1 => " 1 record behind it waits.".to_owned(),
        more => format!(" {more} records behind it wait."),
    }
}

fn misplaced(corruption: &Corruption) -> String {
    let does = match corruption {
        Corruption::UnalignedProducer { .. } => "every drain answers -EINVAL at once",
        Corruption::OutOfRange { consumer, producer, .. } if producer <= consumer => {
            "the kernel takes the ring for empty, so drains answer 0 whatever is submitted"
        }
        Corruption::OutOfRange { .. } => "the kernel does not notice, and drains old bytes of the ring again",
        _ => "no kernel stores such a position",
    };
    format!("{corruption}: {does}.")
}

fn todo(snapshot: &Snapshot, context: &Context<'_>) -> String {
    let Context { target, since, .. } = *context;
    let args = target.args();
    let repair = match &snapshot.plan {
        None if snapshot.survey.verdict == Verdict::Empty => return "nothing to do.".to_owned(),
        None => {
            return match since {
                Some(since) if since >= STALE => format!(
                    "nothing was drained for {:.1} s: see that a program calls bpf_user_ringbuf_drain on this map.",
                    since.as_secs_f64()
                ),
                _ => "nothing to do, as long as a program drains it.".to_owned(),
            };
        }
        Some(Err(why)) => return format!("`user-ringbuf repair` can't mend this ({why}): make a new ring."),
        Some(Ok(sum)) => format!("`user-ringbuf repair {args} --producer-is-gone` would {}", sum.as_plan()),
    };
    let watch = match since {
        None => format!("see with `user-ringbuf inspect {args} --watch` whether it stays. If it does"),
        Some(_) => "if it stays".to_owned(),
    };
    let held = matches!(snapshot.survey.verdict, Verdict::Held { .. });
    match context.claim {
        Claim::By(process) => {
            let process = process.as_ref().map_or_else(|| "its producer".to_owned(), ToString::to_string);
            if held {
                format!("{watch}, end {process}. Then {repair}.")
            } else {
                format!("end {process}. Then {repair}.")
            }
        }
        Claim::Unknown(_) if held => format!("{watch}, and no producer is alive any more: {repair}."),
        Claim::Unknown(_) => format!("stop all producers of this ring, then: {repair}."),
        Claim::ByNobody => match context.holders.map(|holders| (holders.names(), holders.hold())) {
            Some((Some(names), hold)) => {
                format!(
                    "make sure that {names}, which {hold} the ring open, is no producer without a claim. Then {repair}."
                )
            }
            _ => format!("make sure that no producer without a claim (libbpf's take none) is alive. Then {repair}."),
        },
    }
}

/// A ring that holds something and was not drained for so long wants a word.
const STALE: Duration = Duration::from_secs(2);
