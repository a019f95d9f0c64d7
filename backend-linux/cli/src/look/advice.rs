//! The verdict in words, and what to do about it.

use std::time::Duration;

use user_ringbuf_linux::{Corruption, Survey, Verdict};

use super::State;
use super::snapshot::Snapshot;
use crate::producer::{Claim, Holders};
use crate::report::plural;
use crate::target::Target;

/// What to say about a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// The state of the ring.
    pub(crate) state: State,
    /// The same in a sentence.
    pub(crate) words: String,
    /// What to do.
    pub(crate) todo: String,
}

/// What is known about a ring besides its contents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) target: &'a Target,
    pub(crate) claim: &'a Claim,
    /// `None` if `/proc` can't be read.
    pub(crate) holders: Option<&'a Holders>,
    /// For how long the ring was seen unchanged, if it is being watched.
    pub(crate) since: Option<Duration>,
}

impl Advice {
    pub(crate) fn on(snapshot: &Snapshot, context: &Context<'_>) -> Self {
        let survey = &snapshot.survey;
        let state = State::of(survey, context.since);
        let lasting =
            context.since.map_or_else(String::new, |since| format!(" Unchanged for {:.1} s.", since.as_secs_f64()));
        let words = match &survey.verdict {
            Verdict::Empty => "the ring holds no record.".to_owned(),
            Verdict::Flowing => can_be_drained(state, snapshot, context.since),
            Verdict::Held { record } => {
                let (at, len, offset) = (record.start, record.len, record.start.offset(survey.size));
                format!(
                    "the kernel stops at the busy record of {len} bytes at position {at} (offset {offset}): {}.{}{}{lasting}",
                    producer(context.claim),
                    ahead(survey),
                    behind(survey)
                )
            }
            Verdict::Jammed { damage } => {
                let (error, at) = (damage.kernel_error(), damage.start());
                format!(
                    "every drain that reaches position {at} (offset {}) returns {error} and gets no further: \
                     {damage}.{}{lasting}",
                    at.offset(survey.size),
                    ahead(survey)
                )
            }
            Verdict::Misplaced { corruption } => format!("{}{lasting}", misplaced(corruption)),
            other => format!("{other}.{lasting}"),
        };
        Self { state, words, todo: todo(state, snapshot, context) }
    }
}

/// What to say of a ring in which nothing is in the kernel's way.
fn can_be_drained(state: State, snapshot: &Snapshot, since: Option<Duration>) -> String {
    let records = plural(snapshot.survey.ready, "record");
    let bytes = plural(snapshot.free().unwrap_or(0).into(), "byte");
    let since = since.unwrap_or_default().as_secs_f64();
    match state {
        State::Undrained => format!("the kernel could drain all {records}, but has drained nothing for {since:.1} s."),
        State::Full => {
            format!("only {bytes} are free; the kernel can drain all {records}, as soon as a program asks it to.")
        }
        _ => format!("the kernel can drain all {records}."),
    }
}

/// What has become of a busy record's producer.
fn producer(claim: &Claim) -> String {
    match claim {
        Claim::By(Some(process)) => format!("its producer, {process}, is alive and has yet to submit it"),
        Claim::By(None) => "its producer, which /proc does not show, is alive and has yet to submit it".to_owned(),
        Claim::ByNobody => "no process claims the ring, so its producer is gone, unless it takes no claim".to_owned(),
        Claim::Unknown(why) => format!("its producer has yet to submit it, or is gone ({why})"),
    }
}

/// What the kernel takes before it meets the obstacle.
fn ahead(survey: &Survey) -> String {
    if survey.ready == 0 {
        return String::new();
    }
    format!(" The {} before it can still be drained.", plural(survey.ready, "record"))
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
        Corruption::UnalignedProducer { .. } => "every drain returns -EINVAL at once",
        Corruption::OutOfRange { consumer, producer, .. } if producer <= consumer => {
            "the kernel takes the ring for empty, so drains return 0 whatever is submitted"
        }
        Corruption::OutOfRange { .. } => "the kernel does not notice, and drains old bytes of the ring again",
        _ => "no kernel stores such a position",
    };
    format!("{corruption}: {does}.")
}

fn todo(state: State, snapshot: &Snapshot, context: &Context<'_>) -> String {
    const CALL_THE_HELPER: &str = "make sure that a program calls bpf_user_ringbuf_drain on this map";
    let Context { target, since, .. } = *context;
    let args = target.args();
    let watch = format!("`user-ringbuf inspect {args} --watch`");
    let repair = match &snapshot.plan {
        None => {
            return match state {
                State::Empty => "nothing.".to_owned(),
                State::Undrained => {
                    format!("{CALL_THE_HELPER}, or drain the ring yourself: `user-ringbuf drain {args}`.")
                }
                State::Full if since.is_none() => format!("{CALL_THE_HELPER}; {watch} shows whether it does."),
                _ => "nothing, as long as a program drains the ring.".to_owned(),
            };
        }
        Some(Err(why)) => return format!("`user-ringbuf repair` can't repair this ({why}): create a new ring."),
        Some(Ok(sum)) => format!("`user-ringbuf repair {args} --producer-is-gone` would {}", sum.as_plan()),
    };
    let watch = match since {
        None => format!("use {watch} to see whether it stays. If it does"),
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
        Claim::Unknown(_) if held => format!("{watch}, make sure that no producer is alive. Then {repair}."),
        Claim::Unknown(_) => format!("stop all producers of this ring. Then {repair}."),
        Claim::ByNobody => match context.holders.map(|holders| (holders.names(), holders.hold())) {
            Some((Some(names), hold)) => {
                format!(
                    "{names} {hold} the ring open: make sure that it is not for producing without a claim. Then {repair}."
                )
            }
            _ => format!("make sure that no producer without a claim (such as libbpf's) is alive. Then {repair}."),
        },
    }
}
