//! The tables of the figures page: everything between two marks in README.md is written here, and nothing by hand.

mod producer;
mod whole_way;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Row, Table, Unit};

/// The tables, by the name in their marks.
const TABLES: [(&str, fn(&Table) -> Result<String>); 7] = [
    ("machine", machine),
    ("producer", producer::figures),
    ("through", whole_way::through),
    ("one sample", whole_way::one_sample),
    ("wake", whole_way::wake),
    ("spin", whole_way::spin),
    ("pace", whole_way::pace),
];

/// Writes the tables into the page.
pub(crate) fn write(table: &Table, path: &Path) -> Result<()> {
    let mut page = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    for (name, text) in TABLES {
        let [begin, end] = marks(name);
        let (before, rest) = page.split_once(&begin).with_context(|| format!("{} has no {begin}", path.display()))?;
        let (_, after) = rest.split_once(&end).with_context(|| format!("{} has no {end}", path.display()))?;
        page = format!("{before}{begin}{}{end}{after}", text(table)?);
    }
    fs::write(path, page).with_context(|| format!("write {}", path.display()))
}

fn marks(name: &str) -> [String; 2] {
    [format!("<!-- begin {name}: written by --page -->\n"), format!("<!-- end {name} -->")]
}

fn machine(table: &Table) -> Result<String> {
    Ok(format!("{}. Medians of {} alternating rounds.\n", table.machine(), table.rounds()))
}

fn find<'t>(table: &'t Table, case: &str) -> Result<&'t Row> {
    table
        .rows()
        .iter()
        .find(|row| row.case == case)
        .with_context(|| format!("{case} was not measured; the page needs all cases"))
}

/// A ring's size, for people.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// Our figure, in bold if it misses its goal.
fn ours(row: &Row) -> String {
    let bold = if row.met() == Some(false) { "**" } else { "" };
    format!("{bold}{}{bold}", figure(row.ours, row.unit))
}

fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds if value >= 1e7 => format!("{:.0} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        Unit::Nanoseconds if value >= 100.0 => format!("{value:.0} ns"),
        Unit::Nanoseconds => format!("{value:.1} ns"),
        Unit::Bytes => format!("{value:.0} bytes"),
        Unit::Count => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_place_for_each_table_once() {
        let page = include_str!("../../README.md");
        for (name, _) in TABLES {
            assert_eq!(marks(name).map(|mark| page.matches(&mark).count()), [1, 1], "{name}");
        }
    }
}
