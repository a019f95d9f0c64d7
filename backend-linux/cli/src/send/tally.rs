//! What became of the input: sent, dropped because the ring was full, or skipped because it is too long.
//!
//! What was not sent is named on standard error and counted, a run at a time. The first [`NAMED`] runs of either kind are
//! named as they end, the others together at the end of the input; the report repeats the first ones only. So neither
//! memory nor standard error grows with the input.

use serde::Serialize;

use crate::framing::{Framing, Place};
use crate::report::plural;

/// Most runs of a kind that are named one by one.
const NAMED: usize = 100;

/// Why samples were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The ring was full.
    Full,
    /// They are longer than any sample in this ring.
    TooLong,
}

/// Lines or frames that follow one another in the input and were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Run {
    /// Number of the first one, from 1.
    first: u64,
    /// Number of the last one.
    last: u64,
    /// Length of the shortest one in bytes.
    shortest: u64,
    /// Length of the longest one in bytes.
    longest: u64,
}

/// Those that were not named one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    count: u64,
    first: u64,
    last: u64,
}

/// What was not sent for one reason.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unsent {
    count: u64,
    runs: Vec<Run>,
    rest: Option<Rest>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    #[serde(skip)]
    framing: Framing,
    #[serde(skip)]
    max: usize,
    /// Samples that the kernel can see.
    pub(super) samples: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    #[serde(flatten, serialize_with = "as_dropped")]
    dropped: Unsent,
    #[serde(flatten, serialize_with = "as_too_large")]
    too_large: Unsent,
    /// The run that may still grow.
    #[serde(skip)]
    open: Option<(Why, Run)>,
}

fn as_dropped<S: serde::Serializer>(unsent: &Unsent, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Dropped {
        dropped: u64,
        dropped_ranges: Vec<(u64, u64)>,
    }
    let dropped_ranges = unsent.runs.iter().map(|run| (run.first, run.last)).collect();
    Dropped { dropped: unsent.count, dropped_ranges }.serialize(to)
}

fn as_too_large<S: serde::Serializer>(unsent: &Unsent, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct TooLarge<'a> {
        too_large: u64,
        too_large_ranges: &'a [Run],
    }
    TooLarge { too_large: unsent.count, too_large_ranges: &unsent.runs }.serialize(to)
}

impl Tally {
    pub(super) fn new(framing: Framing, max: usize) -> Self {
        let (dropped, too_large) = (Unsent::default(), Unsent::default());
        Self { framing, max, samples: 0, bytes: 0, dropped, too_large, open: None }
    }

    /// Counts samples that were submitted.
    pub(super) fn sent(&mut self, samples: u64, bytes: u64) {
        self.samples = self.samples.wrapping_add(samples);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    /// Counts a sample that is longer than this ring takes.
    pub(super) fn refuse(&mut self, place: Place, len: u64, note: &mut dyn FnMut(&str)) {
        self.too_large.count = self.too_large.count.wrapping_add(1);
        self.add(Why::TooLong, place.number, len, note);
    }

    /// Counts a sample that was given up because the ring was full.
    pub(super) fn drop_one(&mut self, place: Place, len: u64, note: &mut dyn FnMut(&str)) {
        self.dropped.count = self.dropped.count.wrapping_add(1);
        self.add(Why::Full, place.number, len, note);
    }

    /// Samples that were given up because the ring was full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.count
    }

    /// Samples that are longer than this ring takes.
    pub(super) fn too_large(&self) -> u64 {
        self.too_large.count
    }

    fn add(&mut self, why: Why, number: u64, len: u64, note: &mut dyn FnMut(&str)) {
        match &mut self.open {
            Some((open, run)) if *open == why && run.last.wrapping_add(1) == number => {
                run.last = number;
                run.shortest = run.shortest.min(len);
                run.longest = run.longest.max(len);
            }
            _ => {
                self.close(note);
                self.open = Some((why, Run { first: number, last: number, shortest: len, longest: len }));
            }
        }
    }

    /// Whether there is a run that was not named yet.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Names the run that has ended, if there is one.
    pub(super) fn close(&mut self, note: &mut dyn FnMut(&str)) {
        let Some((why, run)) = self.open.take() else { return };
        let unsent = match why {
            Why::Full => &mut self.dropped,
            Why::TooLong => &mut self.too_large,
        };
        if unsent.runs.len() < NAMED {
            unsent.runs.push(run);
            note(&run.words(why, self.framing.unit(), self.max));
        } else {
            let rest = unsent.rest.get_or_insert(Rest { count: 0, first: run.first, last: run.last });
            rest.count += run.last - run.first + 1;
            rest.last = run.last;
        }
    }

    /// Names all that was not named yet: the input has ended.
    pub(super) fn finish(&mut self, note: &mut dyn FnMut(&str)) {
        self.close(note);
        let unit = self.framing.unit();
        for (unsent, what) in
            [(&mut self.dropped, "dropped: the ring was full"), (&mut self.too_large, "skipped as too long")]
        {
            if let Some(Rest { count, first, last }) = unsent.rest.take() {
                note(&format!("{count} more of the {unit}s {first} to {last} {what}"));
            }
        }
    }

    /// The tally in words.
    pub(super) fn words(&self) -> String {
        let mut words = format!("sent {} ({})", plural(self.samples, "sample"), plural(self.bytes, "byte"));
        for (count, what) in
            [(self.dropped(), "dropped because the ring was full"), (self.too_large(), "skipped as too long")]
        {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        words
    }
}

impl Run {
    fn words(&self, why: Why, unit: &str, max: usize) -> String {
        let which = match (self.first, self.last) {
            (first, last) if first == last => format!("{unit} {first}"),
            (first, last) => format!("{unit}s {first} to {last}"),
        };
        match (why, self.shortest, self.longest) {
            (Why::Full, ..) => format!("{which} dropped: the ring is full"),
            (Why::TooLong, shortest, longest) if shortest == longest => {
                format!("{which} skipped: {longest} bytes, the limit of this ring is {max}")
            }
            (Why::TooLong, shortest, longest) => {
                format!("{which} skipped: {shortest} to {longest} bytes, the limit of this ring is {max}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_once_each_and_after_the_first_hundred_together() {
        for too_long in [false, true] {
            let mut tally = Tally::new(Framing::Lines, 8);
            let mut notes = Vec::new();
            let mut note = |text: &str| notes.push(text.to_owned());
            let mut add = |number, note: &mut dyn FnMut(&str)| match too_long {
                true => tally.refuse(Place { number, at: 0 }, 8 + number, note),
                false => tally.drop_one(Place { number, at: 0 }, 8, note),
            };
            for number in [1, 2, 3, 5] {
                add(number, &mut note);
            }
            for number in 0..1000 {
                add(10 + 2 * number, &mut note);
            }
            tally.finish(&mut note);
            tally.finish(&mut note);
            let (unsent, want) = if too_long {
                let limit = "bytes, the limit of this ring is 8";
                (
                    &tally.too_large,
                    [format!("lines 1 to 3 skipped: 9 to 11 {limit}"), format!("line 5 skipped: 13 {limit}")],
                )
            } else {
                (&tally.dropped, ["lines 1 to 3", "line 5"].map(|which| format!("{which} dropped: the ring is full")))
            };
            assert_eq!((unsent.count, unsent.runs.len()), (1004, NAMED));
            assert_eq!(notes[..2], want);
            assert_eq!(notes.len(), NAMED + 1);
            let last = notes.last().unwrap();
            // Two runs and 98 of the thousand were named.
            assert!(last.starts_with("902 more of the lines 206 to 2008 "), "{last}");
        }
    }

    #[test]
    fn a_run_ends_where_the_reason_changes() {
        let mut tally = Tally::new(Framing::U32, 8);
        let mut notes = Vec::new();
        let mut note = |text: &str| notes.push(text.to_owned());
        tally.refuse(Place { number: 1, at: 0 }, 9, &mut note);
        tally.drop_one(Place { number: 2, at: 0 }, 1, &mut note);
        tally.refuse(Place { number: 3, at: 0 }, 9, &mut note);
        tally.finish(&mut note);
        let skipped = |number| format!("frame {number} skipped: 9 bytes, the limit of this ring is 8");
        assert_eq!(notes, [skipped(1), "frame 2 dropped: the ring is full".to_owned(), skipped(3)]);
        let json = serde_json::to_value(&tally).unwrap();
        assert_eq!((&json["dropped"], &json["dropped_ranges"]), (&1.into(), &serde_json::json!([[2, 2]])));
        assert_eq!(
            json["too_large_ranges"][1],
            serde_json::json!({"first": 3, "last": 3, "shortest": 9, "longest": 9})
        );
    }
}
