//! The tables of the figures page: everything between two marks in README.md is written here, and nothing by hand.

mod figures;
mod producer;
mod whole_way;

pub(crate) use figures::size;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::Table;

/// A table of the page.
type Text = fn(&Table) -> Result<String>;

/// The tables, by the name in their marks.
const TABLES: [(&str, Text); 7] = [
    ("machine", machine),
    ("producer", producer::tables),
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
    Ok(format!("{}. Medians of {} alternating rounds.\n", table.machine, table.rounds))
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
