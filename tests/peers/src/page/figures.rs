//! Figures, as the page shows them.

use std::fmt::Display;

use crate::report::{Row, Unit};

/// The head of a table of Markdown, and the line below it.
pub(super) fn head(columns: &str) -> String {
    format!("{columns}\n|{}\n", " --- |".repeat(columns.matches('|').count() - 1))
}

/// One line of a table.
pub(super) fn line(cells: &[&dyn Display]) -> String {
    let cells: String = cells.iter().map(|cell| format!(" {cell} |")).collect();
    format!("|{cells}\n")
}

/// A ring's size, for people.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// Our figure: in italics if it misses its goal as the floor explains, in bold if it misses it anyway.
pub(super) fn ours(row: &Row) -> String {
    let mark = match row.met() {
        Some(false) if row.is_explained() => "*",
        Some(false) => "**",
        _ => "",
    };
    format!("{mark}{}{mark}", figure(row.ours, row.unit))
}

/// A figure with its unit.
pub(super) fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds if value >= 1e7 => format!("{:.0} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        Unit::Nanoseconds if value >= 100.0 => format!("{value:.0} ns"),
        Unit::Nanoseconds => format!("{value:.1} ns"),
        Unit::Bytes => format!("{value:.0} bytes"),
        Unit::Count => format!("{value:.0}"),
        Unit::Times => format!("{value:.2}"),
    }
}
