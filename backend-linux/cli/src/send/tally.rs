//! What became of the input: sent, dropped for lack of room, refused for their length.
//!
//! Everything that was not sent is named on standard error and counted: what is too large as it comes, dropped samples
//! a run at a time. The report repeats the first of them only, so that memory stays bounded.

use serde::Serialize;

use crate::framing::{Framing, Place};
use crate::report::plural;

/// Most ranges and refusals that the report repeats.
const NAMED: usize = 100;

/// A sample that no room in this ring is large enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TooLarge {
    /// Which line or frame, from 1.
    number: u64,
    /// Its length in bytes.
    len: u64,
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
    /// Samples given up because the ring was full.
    pub(super) dropped: u64,
    /// Those, as first and last of each run.
    dropped_ranges: Vec<(u64, u64)>,
    /// Samples refused because they can never fit.
    pub(super) too_large: u64,
    /// Those.
    too_large_samples: Vec<TooLarge>,
    /// The run of dropped samples that may still grow.
    #[serde(skip)]
    open: Option<(u64, u64)>,
}

impl Tally {
    pub(super) fn new(framing: Framing, max: usize) -> Self {
        Self {
            framing,
            max,
            samples: 0,
            bytes: 0,
            dropped: 0,
            dropped_ranges: Vec::new(),
            too_large: 0,
            too_large_samples: Vec::new(),
            open: None,
        }
    }

    /// Counts samples that were submitted.
    pub(super) fn sent(&mut self, samples: u64, bytes: u64) {
        self.samples = self.samples.wrapping_add(samples);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    /// Counts a sample that is longer than this ring takes, and names it.
    pub(super) fn refuse(&mut self, place: Place, len: u64, note: &mut dyn FnMut(&str)) {
        self.too_large = self.too_large.wrapping_add(1);
        let (unit, number, max) = (self.framing.unit(), place.number, self.max);
        if self.too_large_samples.len() < NAMED {
            self.too_large_samples.push(TooLarge { number, len });
        }
        note(&format!("{unit} {number} skipped: {len} bytes, this ring takes at most {max}"));
    }

    /// Counts a sample that was given up because the ring was full.
    pub(super) fn drop_one(&mut self, place: Place, note: &mut dyn FnMut(&str)) {
        self.dropped = self.dropped.wrapping_add(1);
        match &mut self.open {
            Some((_, last)) if last.wrapping_add(1) == place.number => *last = place.number,
            _ => {
                self.close(note);
                self.open = Some((place.number, place.number));
            }
        }
    }

    /// Whether there is a run of dropped samples that was not named yet.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Names the run of dropped samples that has come to its end, if there is one.
    pub(super) fn close(&mut self, note: &mut dyn FnMut(&str)) {
        let Some((first, last)) = self.open.take() else { return };
        if self.dropped_ranges.len() < NAMED {
            self.dropped_ranges.push((first, last));
        }
        let unit = self.framing.unit();
        if first == last {
            note(&format!("{unit} {first} dropped: the ring is full"));
        } else {
            note(&format!("{unit}s {first} to {last} dropped: the ring is full"));
        }
    }

    /// The tally in words.
    pub(super) fn words(&self) -> String {
        let mut words = format!("sent {} ({})", plural(self.samples, "sample"), plural(self.bytes, "byte"));
        for (count, what) in
            [(self.dropped, "dropped because the ring was full"), (self.too_large, "skipped as too large")]
        {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_dropped_samples_are_named_once_each_and_the_list_is_bounded() {
        let mut tally = Tally::new(Framing::Lines, 8);
        let mut notes = Vec::new();
        let mut note = |text: &str| notes.push(text.to_owned());
        for number in [1, 2, 3, 5] {
            tally.drop_one(Place { number, at: 0 }, &mut note);
        }
        for number in 0..1000 {
            tally.drop_one(Place { number: 10 + 2 * number, at: 0 }, &mut note);
        }
        tally.close(&mut note);
        tally.close(&mut note);
        assert_eq!(tally.dropped, 1004);
        assert_eq!(notes[..2], ["lines 1 to 3 dropped: the ring is full", "line 5 dropped: the ring is full"]);
        assert_eq!(notes.len(), 1002);
        assert_eq!(tally.dropped_ranges.len(), NAMED);
        assert_eq!(tally.dropped_ranges[..2], [(1, 3), (5, 5)]);
    }
}
