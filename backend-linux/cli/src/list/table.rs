//! The listing as a table.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::listing::{Listed, Listing};
use crate::producer::{Process, Producing};
use crate::report::plural;

/// Most holders to name in a row.
const NAMED: usize = 3;

pub(super) fn draw(listing: &Listing<'_>, out: &mut dyn Write) -> io::Result<()> {
    if listing.rings.is_empty() {
        let why =
            if listing.unsupported { ": this kernel has no user ring buffers (Linux 6.1 and newer have)" } else { "" };
        writeln!(out, "no rings{why}")?;
    } else {
        draw_rows(listing, out)?;
    }
    for ring in listing.unreadable {
        writeln!(out, "ring {} can't be looked at: {}", ring.id, ring.why)?;
    }
    match (listing.no_holders, listing.holders_unreadable) {
        (Some(why), _) => writeln!(out, "holders are unknown: {why}"),
        (None, Some(1)) => writeln!(out, "1 process can't be looked at: it may hold rings, too"),
        (None, Some(count)) if count > 1 => {
            writeln!(out, "{count} processes can't be looked at: they may hold rings, too")
        }
        _ => Ok(()),
    }
}

fn draw_rows(listing: &Listing<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![header(listing.watch)];
    rows.extend(listing.rings.iter().map(|ring| row(ring, listing.watch)));
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width - cell.text.chars().count());
            let style = if listing.colour { cell.style } else { Style::new() };
            let text = format!("{style}{}{style:#}", cell.text);
            line += &if cell.right { format!("{padding}{text}  ") } else { format!("{text}{padding}  ") };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    let stuck = match listing.stuck.len() {
        0 => String::new(),
        count => format!(", {count} stuck"),
    };
    writeln!(out, "{}{stuck}", plural(u64::try_from(listing.rings.len()).unwrap_or(u64::MAX), "ring"))
}

struct Cell {
    text: String,
    /// A number, which ends where the others of its column do.
    right: bool,
    style: Style,
}

fn left(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), right: false, style: Style::new() }
}

fn right(text: impl Into<String>) -> Cell {
    Cell { right: true, ..left(text) }
}

fn header(watch: bool) -> Vec<Cell> {
    let mut cells = vec![right("ID"), left("NAME"), right("SIZE"), right("USED"), left("VERDICT")];
    if watch {
        cells.extend([right("IN B/s"), right("OUT B/s"), right("UNCHANGED")]);
    }
    cells.extend([left("PRODUCER"), left("HELD OPEN BY"), left("PINS")]);
    for cell in &mut cells {
        cell.style = Style::new().bold();
    }
    cells
}

fn row(ring: &Listed<'_>, watch: bool) -> Vec<Cell> {
    let verdict = if ring.stuck { format!("{}, stuck", ring.verdict) } else { ring.verdict.to_owned() };
    let style = match (ring.stuck, ring.verdict) {
        (true, _) => AnsiColor::Red.on_default().bold(),
        (false, "full" | "held") => AnsiColor::Yellow.on_default(),
        (false, "flowing") => AnsiColor::Green.on_default(),
        _ => Style::new(),
    };
    let mut cells = vec![
        right(ring.id.to_string()),
        left(ring.name),
        right(ring.size.to_string()),
        right(ring.used.map_or_else(|| "?".to_owned(), |used| used.to_string())),
        Cell { style, ..left(verdict) },
    ];
    if watch {
        let rate = |rate: Option<f64>| right(rate.map_or_else(String::new, |rate| format!("{rate:.0}")));
        let since = ring.unchanged_seconds.filter(|since| *since > 0.0);
        cells.extend([
            rate(ring.produced_bytes_per_second),
            rate(ring.drained_bytes_per_second),
            right(since.map_or_else(String::new, |since| format!("{since:.0} s"))),
        ]);
    }
    cells.extend([
        left(producer(&ring.producer)),
        left(ring.holders.map_or_else(|| "?".to_owned(), holders)),
        left(ring.pins.join(", ")),
    ]);
    cells
}

fn producer(producer: &Producing<'_>) -> String {
    match producer {
        Producing::Alive { process: Some(process) } => process.to_string(),
        Producing::Alive { process: None } => "not shown by /proc".to_owned(),
        Producing::Gone => "gone".to_owned(),
        Producing::None => "none".to_owned(),
        Producing::Unknown { .. } => "?".to_owned(),
    }
}

fn holders(holders: &[Process]) -> String {
    let mut names: Vec<String> = holders.iter().take(NAMED).map(ToString::to_string).collect();
    if holders.len() > NAMED {
        names.push(format!("{} more", holders.len() - NAMED));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
