//! Rows, goals, and how they are shown.
//!
//! A ratio says how many times as fast (or as small) ours is: peer / ours. A goal is met or missed by the figures of
//! the same row, and the row says which.

use std::fmt;

use serde_json::{Map, Value, json};

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
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::Count => "count",
        }
    }
}

/// What a row must show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At least this many times as fast as the peer.
    Times(f64),
    /// At most this many times as slow as the peer.
    Within(f64),
    /// At most this figure, whatever the peer does.
    AtMost(f64),
    /// At most this many times as slow as the floor of the same rounds.
    OfFloor(f64),
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
    /// What the store floor took in the same rounds: the stores that anyone must make.
    pub(crate) floor: Option<f64>,
}

impl Row {
    pub(crate) fn ratio(&self) -> f64 {
        self.theirs / self.ours
    }

    /// How many times as long as the floor.
    pub(crate) fn of_floor(&self) -> Option<f64> {
        self.floor.map(|floor| self.ours / floor)
    }

    /// Whether the goal is met; nothing without a goal.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::Times(times) => self.ratio() >= times,
            Goal::Within(times) => self.ours <= times * self.theirs,
            Goal::AtMost(most) => self.ours <= most,
            Goal::OfFloor(times) => self.of_floor()? <= times,
        })
    }

    fn to_json(&self) -> Value {
        let unit = self.unit.name();
        let mut row = Map::new();
        row.insert("case".into(), json!(self.case));
        row.insert("peer".into(), json!(self.peer));
        row.insert(format!("ours_{unit}"), rounded(self.ours));
        row.insert(format!("peer_{unit}"), rounded(self.theirs));
        row.insert("ratio".into(), rounded(self.ratio()));
        if let Some((floor, of_floor)) = self.floor.zip(self.of_floor()) {
            row.insert(format!("floor_{unit}"), rounded(floor));
            row.insert("of_floor".into(), rounded(of_floor));
        }
        if let Some(met) = self.met() {
            row.insert("goal".into(), json!(self.goal_text()));
            row.insert("met".into(), json!(met));
        }
        Value::Object(row)
    }

    fn goal_text(&self) -> String {
        match self.goal {
            None => String::new(),
            Some(Goal::Times(times)) => format!(">= {times} x"),
            Some(Goal::Within(times)) => format!("within {times} of it"),
            Some(Goal::AtMost(most)) => format!("<= {most} {}", self.unit.name()),
            Some(Goal::OfFloor(times)) => format!("within {times} of floor"),
        }
    }

    fn verdict(&self) -> String {
        match (self.met(), self.goal) {
            (None, _) | (_, None) => String::new(),
            (Some(true), _) => "met".into(),
            (Some(false), Some(Goal::Times(_))) => format!("MISSED: {:.2} x", self.ratio()),
            (Some(false), Some(Goal::OfFloor(_))) => {
                format!("MISSED: {:.2} of floor", self.of_floor().unwrap_or(f64::NAN))
            }
            (Some(false), Some(Goal::Within(_))) => format!("MISSED: {:.2} of it", self.ours / self.theirs),
            (Some(false), Some(Goal::AtMost(_))) => format!("MISSED: {:.2} {}", self.ours, self.unit.name()),
        }
    }
}

/// Three decimals are more than the clock can tell.
fn rounded(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

/// All rows, in the order of the cases.
#[derive(Debug)]
pub(crate) struct Table {
    machine: Machine,
    rounds: usize,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(machine: Machine, rounds: usize) -> Self {
        Self { machine, rounds, rows: Vec::new() }
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    pub(crate) fn add(&mut self, row: Row) {
        // The table comes at the end, which may be minutes away.
        eprintln!("{:<36} {:>10.2} {:>22} {:>10.2}  {}", row.case, row.ours, row.peer, row.theirs, row.verdict());
        self.rows.push(row);
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "machine": self.machine.to_json(), "rounds": self.rounds, "rows": self.rows.iter().map(Row::to_json).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<36} {:>12}   {:<22} {:>12} {:>8}   {:<20} verdict",
            "case", "ours", "peer", "peer's", "ratio", "goal"
        )?;
        for row in &self.rows {
            let unit = row.unit.name();
            let (ours, theirs) = (format!("{:.2} {unit}", row.ours), format!("{:.2} {unit}", row.theirs));
            writeln!(
                f,
                "{:<36} {ours:>12}   {:<22} {theirs:>12} {:>7.2}x   {:<20} {}",
                row.case,
                row.peer,
                row.ratio(),
                row.goal_text(),
                row.verdict()
            )?;
        }
        let missed = self.rows.iter().filter(|row| row.met() == Some(false)).count();
        let goals = self.rows.iter().filter(|row| row.goal.is_some()).count();
        writeln!(f, "medians of {} rounds; {} of {goals} goals met, {missed} missed", self.rounds, goals - missed)?;
        writeln!(f, "{}", self.machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, theirs: f64, goal: Goal) -> Row {
        Row {
            case: "case/40".into(),
            peer: "peer",
            unit: Unit::Nanoseconds,
            ours,
            theirs,
            goal: Some(goal),
            floor: Some(1.0),
        }
    }

    #[test]
    fn a_missed_goal_is_marked_wherever_it_is_shown() {
        let mut table = Table::new(Machine::this().unwrap(), 30);
        table.add(row(1.0, 7.9, Goal::Times(8.0)));
        table.add(row(1.3, 1.0, Goal::Within(1.25)));
        table.add(row(5.1, 9.0, Goal::AtMost(5.0)));
        table.add(row(1.2, 9.0, Goal::OfFloor(1.1)));
        assert_eq!(table.to_string().matches("MISSED").count(), 4);
        assert!(table.to_json()["rows"].as_array().unwrap().iter().all(|row| row["met"] == false));
    }

    #[test]
    fn a_met_goal_is_not_marked() {
        let mut table = Table::new(Machine::this().unwrap(), 30);
        table.add(row(1.0, 8.0, Goal::Times(8.0)));
        table.add(row(1.25, 1.0, Goal::Within(1.25)));
        table.add(row(5.0, 1.0, Goal::AtMost(5.0)));
        table.add(row(1.1, 1.0, Goal::OfFloor(1.1)));
        assert!(!table.to_string().contains("MISSED"));
        assert!(table.to_json()["rows"].as_array().unwrap().iter().all(|row| row["met"] == true));
    }
}
