//! One look at a ring: a walk over its records, counted, with the first and the last of them.
//!
//! The walk holds no more than asked for, however many records there are.

use std::collections::VecDeque;

use user_ringbuf_linux::{Corruption, RecordState, RingView, Survey, Verdict, plan_repair};

use super::cells::{Cells, Part};
use crate::mended::Sum;
use crate::row::Row;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) survey: Survey,
    /// Records from the head on, at most as many as asked for.
    pub(super) first: Vec<Row>,
    /// Records up to the tail that are not among the first, at most as many.
    pub(super) last: VecDeque<Row>,
    pub(super) cells: Cells,
    /// What a repair would do, where there is something to repair.
    pub(super) plan: Option<Result<Sum, Corruption>>,
}

impl Snapshot {
    /// Looks at the ring, and keeps up to `keep` records of either end.
    pub(super) fn of(view: &impl RingView, keep: usize) -> Self {
        let size = view.size();
        let (mut first, mut last) = (Vec::new(), VecDeque::new());
        let mut cells = Cells::new(size, Part::Free);
        let survey = Survey::walk(view, |record| {
            let (row, part) = match record {
                Ok(record) => (Row::of_record(record, size), part_of(record.state)),
                Err(damage) => (Row::of_damage(damage, size), Part::Damaged),
            };
            cells.note(row.offset, row.bytes, part);
            if first.len() < keep {
                first.push(row);
            } else if keep > 0 {
                if last.len() == keep {
                    last.pop_front();
                }
                last.push_back(row);
            }
        });
        if matches!(survey.verdict, Verdict::Misplaced { .. }) {
            cells = Cells::new(size, Part::Unknown);
        }
        let plan = match survey.verdict {
            Verdict::Empty | Verdict::Flowing => None,
            _ => {
                let mut sum = Sum::default();
                Some(plan_repair(view, |done| sum.add(&done)).map(|()| sum))
            }
        };
        Self { survey, first, last, cells, plan }
    }

    /// Whether the ring still stops at the same place.
    pub(super) fn is_still_stuck(&self, view: &impl RingView) -> bool {
        Survey::of(view).verdict == self.survey.verdict
    }

    /// Records in the ring, damaged ones counted.
    pub(super) fn records(&self) -> u64 {
        let Survey { submitted, busy, discarded, damaged, .. } = &self.survey;
        submitted.records + busy.records + discarded.records + damaged.records
    }

    /// Bytes between the positions, unless these are wrong.
    pub(super) fn used(&self) -> Option<u32> {
        self.survey.producer.occupied(self.survey.consumer, self.survey.size).ok()
    }

    /// Bytes that are free, unless the positions are wrong.
    pub(super) fn free(&self) -> Option<u32> {
        self.used().map(|used| self.survey.size.bytes() - used)
    }
}

fn part_of(state: RecordState) -> Part {
    match state {
        RecordState::Submitted => Part::Submitted,
        RecordState::Busy => Part::Busy,
        RecordState::Discarded => Part::Discarded,
    }
}
