//! Rows, goals, and how they are shown.
//!
//! A ratio says how many times as fast (or as small) ours is: peer / ours. A goal is met or missed by the figures of
//! the same row, and the row says which.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::machine::Machine;

/// What a row's figures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds a sample, or what the case says.
    Nanoseconds,
    /// Bytes of memory.
    Bytes,
    /// Things.
    Count,
    /// How many times as much.
    Times,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Times => "times",
        }
    }
}

/// What a row must show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At most this many times as slow as the peer.
    Within(f64),
    /// At most this figure, whatever the peer does.
    AtMost(f64),
    /// At most this many times as slow as the floor of the same rounds.
    OfFloor(f64),
    /// At least so many times as fast as the peer, or at most so many times as slow as the floor.
    TimesOrOfFloor(f64, f64),
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// `case/parameter`.
    pub(crate) case: String,
    pub(crate) peer: &'static str,
    pub(crate) unit: Unit,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) goal: Option<Goal>,
    pub(crate) floors: Floors,
}

/// What the floors took in the same rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Floors {
    /// The stores that anyone must make.
    pub(crate) stores: Option<f64>,
    /// With the checks that keep a ring from being jammed.
    pub(crate) checked: Option<f64>,
}

impl Row {
    /// Of times, without a goal.
    pub(crate) fn new(case: impl Into<String>, peer: &'static str, ours: f64, theirs: f64) -> Self {
        Self { case: case.into(), peer, unit: Unit::Nanoseconds, ours, theirs, goal: None, floors: Floors::default() }
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.theirs / self.ours
    }

    /// How many times as long as the floor.
    pub(crate) fn of_floor(&self) -> Option<f64> {
        self.floors.stores.map(|floor| self.ours / floor)
    }

    /// How many times as long as the floor with the checks.
    pub(crate) fn of_checked_floor(&self) -> Option<f64> {
        self.floors.checked.map(|floor| self.ours / floor)
    }

    /// Whether a missed goal is explained by a floor: met, if the floor makes the checks too; or missed by the floor as well,
    /// and the figure is within 1.25 times that.
    pub(crate) fn is_explained(&self) -> bool {
        match self.goal {
            Some(Goal::OfFloor(times)) => self.of_checked_floor().is_some_and(|of_floor| of_floor <= times),
            Some(Goal::AtMost(most)) => {
                self.floors.stores.is_some_and(|floor| floor > most && self.ours <= 1.25 * floor)
            }
            _ => false,
        }
    }

    /// The goal in words, what the row shows of it, and whether it is met; nothing without a goal.
    fn judged(&self) -> Option<(String, String, bool)> {
        let unit = self.unit.name();
        Some(match self.goal? {
            Goal::Within(times) => {
                let shown = format!("{:.2} of it", self.ours / self.theirs);
                (format!("within {times} of it"), shown, self.ours <= times * self.theirs)
            }
            Goal::AtMost(most) => (format!("<= {most} {unit}"), format!("{:.2} {unit}", self.ours), self.ours <= most),
            Goal::TimesOrOfFloor(times, of_floor) => {
                let (ratio, floor) = (self.ratio(), self.of_floor()?);
                let shown = format!("{ratio:.2} x, {floor:.2} of floor");
                (format!(">= {times} x, or within {of_floor} of floor"), shown, ratio >= times || floor <= of_floor)
            }
            Goal::OfFloor(times) => {
                let of_floor = self.of_floor()?;
                let checked =
                    self.of_checked_floor().map_or(String::new(), |times| format!(", {times:.2} with the checks"));
                (format!("within {times} of floor"), format!("{of_floor:.2} of floor{checked}"), of_floor <= times)
            }
        })
    }

    pub(crate) fn met(&self) -> Option<bool> {
        self.judged().map(|(_, _, met)| met)
    }

    fn verdict(&self) -> String {
        match self.judged() {
            None => String::new(),
            Some((_, _, true)) => "met".into(),
            Some((_, shown, false)) => format!("MISSED: {shown}"),
        }
    }

    fn to_json(&self) -> Value {
        let unit = self.unit.name();
        let mut row = json!({
            "case": self.case,
            "peer": self.peer,
            format!("ours_{unit}"): rounded(self.ours),
            format!("peer_{unit}"): rounded(self.theirs),
            "ratio": rounded(self.ratio()),
        });
        for (name, floor) in [("floor", self.floors.stores), ("checked_floor", self.floors.checked)] {
            if let Some(floor) = floor {
                row[format!("{name}_{unit}")] = rounded(floor);
                row[format!("of_{name}")] = rounded(self.ours / floor);
            }
        }
        if let Some((goal, _, met)) = self.judged() {
            row["goal"] = json!(goal);
            row["met"] = json!(met);
            if !met {
                row["explained"] = json!(self.is_explained());
            }
        }
        row
    }
}

/// Three decimals are more than the clock can tell.
fn rounded(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

/// All rows, in the order of the cases.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(machine: Machine, rounds: usize) -> Self {
        Self { machine, rounds, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        // The table comes at the end, which may be minutes away.
        eprintln!("{:<36} {:>10.2} {:>22} {:>10.2}  {}", row.case, row.ours, row.peer, row.theirs, row.verdict());
        self.rows.push(row);
    }

    /// The row of a case.
    pub(crate) fn find(&self, case: &str) -> Result<&Row> {
        let row = self.rows.iter().find(|row| row.case == case);
        row.with_context(|| format!("{case} was not measured, and is to be shown"))
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::to_json).collect();
        json!({ "machine": self.machine, "rounds": self.rounds, "rows": rows })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |[case, ours, peer, theirs, ratio, goal, verdict]: [&str; 7]| {
            writeln!(f, "{case:<36} {ours:>12}   {peer:<22} {theirs:>12} {ratio:>8}   {goal:<20} {verdict}")
        };
        line(["case", "ours", "peer", "peer's", "ratio", "goal", "verdict"])?;
        for row in &self.rows {
            let [ours, theirs] = [row.ours, row.theirs].map(|figure| format!("{figure:.2} {}", row.unit.name()));
            let (ratio, goal) = (format!("{:.2}x", row.ratio()), row.judged().map_or(String::new(), |(goal, ..)| goal));
            line([&row.case, &ours, row.peer, &theirs, &ratio, &goal, &row.verdict()])?;
        }
        let goals = self.rows.iter().filter(|row| row.goal.is_some()).count();
        let missed: Vec<_> = self.rows.iter().filter(|row| row.met() == Some(false)).collect();
        let explained = missed.iter().filter(|row| row.is_explained()).count();
        let (missed, rounds) = (missed.len(), self.rounds);
        let met = goals - missed;
        writeln!(
            f,
            "medians of {rounds} rounds; {met} of {goals} goals met, {missed} missed, {explained} of them as the floor explains"
        )?;
        writeln!(f, "{}", self.machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, theirs: f64, goal: Goal) -> Row {
        let floors = Floors { stores: Some(1.0), checked: Some(1.15) };
        Row { goal: Some(goal), floors, ..Row::new("case/40", "peer", ours, theirs) }
    }

    #[test]
    fn a_missed_goal_is_marked_wherever_it_is_shown() {
        let mut table = Table::new(Machine::this().unwrap(), 30);
        table.add(row(1.3, 1.0, Goal::Within(1.25)));
        table.add(row(5.1, 9.0, Goal::AtMost(5.0)));
        table.add(row(1.3, 2.0, Goal::TimesOrOfFloor(3.0, 1.25)));
        table.add(row(1.2, 9.0, Goal::OfFloor(1.1)));
        assert_eq!(table.to_string().matches("MISSED").count(), 4);
        // Only the last has a floor to do with, and that with the checks is less than a tenth below it.
        assert!(table.to_string().contains("0 of 4 goals met, 4 missed, 1 of them as the floor explains"), "{table}");
        table.add(row(1.3, 9.0, Goal::OfFloor(1.1)));
        let beside = |floor| Floors { stores: Some(floor), checked: None };
        table.add(Row { floors: beside(2.1), ..row(2.6, 1.0, Goal::AtMost(2.0)) });
        assert!(table.to_string().contains("6 missed, 2 of them as the floor explains"), "{table}");
        table.add(Row { floors: beside(1.9), ..row(2.1, 1.0, Goal::AtMost(2.0)) });
        table.add(Row { floors: beside(2.1), ..row(2.7, 1.0, Goal::AtMost(2.0)) });
        assert!(table.to_string().contains("8 missed, 2 of them as the floor explains"), "{table}");
        assert!(table.to_json()["rows"].as_array().unwrap().iter().all(|row| row["met"] == false));
    }

    #[test]
    fn a_met_goal_is_not_marked() {
        let mut table = Table::new(Machine::this().unwrap(), 30);
        table.add(row(1.25, 1.0, Goal::Within(1.25)));
        table.add(row(5.0, 1.0, Goal::AtMost(5.0)));
        table.add(row(1.1, 1.0, Goal::OfFloor(1.1)));
        table.add(row(1.3, 3.9, Goal::TimesOrOfFloor(3.0, 1.25)));
        table.add(row(1.25, 1.0, Goal::TimesOrOfFloor(3.0, 1.25)));
        assert!(!table.to_string().contains("MISSED"));
        assert!(table.to_json()["rows"].as_array().unwrap().iter().all(|row| row["met"] == true));
    }
}
