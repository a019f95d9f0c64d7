//! Figures, as the page shows them.

use anyhow::{Context, Result};

use crate::report::{Row, Table, Unit};

/// The row of a case.
pub(super) fn find<'t>(table: &'t Table, case: &str) -> Result<&'t Row> {
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
pub(super) fn ours(row: &Row) -> String {
    let bold = if row.met() == Some(false) { "**" } else { "" };
    format!("{bold}{}{bold}", figure(row.ours, row.unit))
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
    }
}
