//! The tables of the figures page: everything between two marks in README.md is written here, and nothing by hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cases::publish::RINGS;
use crate::cases::rings::FIGURES;
use crate::report::{Row, Table, Unit};

const BEGIN: &str = "<!-- begin: written by --page -->\n";
const END: &str = "<!-- end -->";

const HANDLES: [(&str, &str); 3] = [("ref", "`&mapping`"), ("by_value", "`mapping.by_value()`"), ("arc", "`Arc`")];

/// Writes the table's rows into the page.
pub(crate) fn write(table: &Table, path: &Path) -> Result<()> {
    let page = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", path.display()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{} has no {END}", path.display()))?;
    let page = format!("{before}{BEGIN}{}{END}{after}", figures(table)?);
    fs::write(path, page).with_context(|| format!("write {}", path.display()))
}

fn figures(table: &Table) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}. Medians of {} alternating rounds.\n", table.machine(), table.rounds())?;

    writeln!(
        text,
        "| ring | handle | `push`, loop | called | in place, loop | called | floor, loop | called | libbpf |"
    )?;
    writeln!(text, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
    for (ring, bytes) in RINGS {
        for (handle, shown) in HANDLES {
            let row = |way: &str, style: &str| find(table, &format!("publish/{ring}/{way}/{handle}/{style}"));
            write!(text, "| {} | {shown} |", size(bytes))?;
            for way in ["push", "in_place"] {
                for style in ["loop", "call"] {
                    write!(text, " {} |", ours(row(way, style)?))?;
                }
            }
            let floor = |style| anyhow::Ok(row("push", style)?.floor.unwrap_or(f64::NAN));
            let [in_loop, called] = [floor("loop")?, floor("call")?].map(|floor| figure(floor, Unit::Nanoseconds));
            writeln!(text, " {in_loop} | {called} | {} |", figure(row("push", "loop")?.theirs, Unit::Nanoseconds))?;
        }
    }

    writeln!(text, "\n| case | user-ringbuf | the other | | times as fast | of the floor |")?;
    writeln!(text, "| --- | --- | --- | --- | --- | --- |")?;
    let apart = |row: &&Row| row.case.starts_with("rings/") || row.case.starts_with("publish/") && row.peer == "libbpf";
    for row in table.rows().iter().filter(|row| !apart(row)) {
        let of_floor = row.of_floor().map_or(String::new(), |of_floor| format!("{of_floor:.2}"));
        let (ours, theirs) = (ours(row), figure(row.theirs, row.unit));
        writeln!(text, "| `{}` | {ours} | {} | {theirs} | {:.1} | {of_floor} |", row.case, row.peer, row.ratio())?;
    }

    let mut counts: Vec<&str> = Vec::new();
    for count in table.rows().iter().filter_map(|row| row.case.strip_prefix("rings/")?.split('/').next()) {
        if !counts.contains(&count) {
            counts.push(count);
        }
    }
    writeln!(text, "\n| per ring, of so many | {} |", counts.join(" | "))?;
    writeln!(text, "| --- |{}", " --- |".repeat(counts.len()))?;
    for (name, unit) in FIGURES {
        write!(text, "| {} |", name.replace('_', ", "))?;
        for count in &counts {
            let shown = find(table, &format!("rings/{count}/{name}"))
                .map_or(String::new(), |row| format!("{}; libbpf {}", ours(row), figure(row.theirs, unit)));
            write!(text, " {shown} |")?;
        }
        text.push('\n');
    }
    Ok(text)
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
    fn the_page_has_the_place_for_its_tables_once() {
        let page = include_str!("../README.md");
        assert_eq!([BEGIN, END].map(|mark| page.matches(mark).count()), [1, 1]);
    }
}
