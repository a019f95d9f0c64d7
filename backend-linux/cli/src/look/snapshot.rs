//! One look at a ring: a walk over its records, counted, with the first and the last of them.
//!
//! The walk holds no more than asked for, however many records there are.

use std::collections::VecDeque;

use user_ringbuf_linux::{Corruption, RecordState, RingView, Survey, Verdict, plan_repair};

use super::cells::{Cells, Part};
use super::is_obstacle;
use crate::mended::Sum;
use crate::row::Row;

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) survey: Survey,
    /// Records from the head on, at most as many as asked for.
    pub(crate) first: Vec<Row>,
    /// Records up to the tail that are not among the first, at most as many.
    pub(crate) last: VecDeque<Row>,
    pub(crate) cells: Cells,
    /// What a repair would do, where there is something to repair.
    pub(crate) plan: Option<Result<Sum, Corruption>>,
}

impl Snapshot {
    /// Looks at the ring, and keeps up to `keep` records of each end.
    pub(crate) fn of(view: &impl RingView, keep: usize) -> Self {
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
        let plan = is_obstacle(&survey.verdict).then(|| {
            let mut sum = Sum::default();
            plan_repair(view, |done| sum.add(&done)).map(|()| sum)
        });
        Self { survey, first, last, cells, plan }
    }

    /// Records in the ring, damaged ones counted.
    pub(crate) fn records(&self) -> u64 {
        let Survey { submitted, busy, discarded, damaged, .. } = &self.survey;
        submitted.records + busy.records + discarded.records + damaged.records
    }

    /// Bytes between the positions, unless these are wrong.
    pub(crate) fn used(&self) -> Option<u32> {
        self.survey.producer.occupied(self.survey.consumer, self.survey.size).ok()
    }

    /// Bytes that are free, unless the positions are wrong.
    pub(crate) fn free(&self) -> Option<u32> {
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
