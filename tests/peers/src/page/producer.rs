//! The producer's side: one sample, the other cases, and many rings.

use std::fmt::Write as _;

use anyhow::Result;

use super::figures::{figure, head, line, ours, size};
use crate::cases::many_threads::THREADS;
use crate::cases::publish::RINGS;
use crate::cases::rings::FIGURES;
use crate::report::{Table, Unit};

const HANDLES: [(&str, &str); 3] = [("ref", "`&mapping`"), ("by_value", "`mapping.by_value()`"), ("arc", "`Arc`")];

pub(super) fn tables(table: &Table) -> Result<String> {
    Ok([one_sample(table)?, other_cases(table), many_threads(table)?, many_rings(table)].join("\n"))
}

fn one_sample(table: &Table) -> Result<String> {
    let mut text = head("| ring | handle | `push`, loop | called | in place, loop | called | libbpf |");
    for (ring, bytes) in RINGS {
        let row = |way: &str| table.find(&format!("publish/{ring}/{way}"));
        let ns = |value| figure(value, Unit::Nanoseconds);
        for (handle, shown) in HANDLES {
            let ways = ["push", "in_place"].map(|way| ["loop", "call"].map(|style| format!("{way}/{handle}/{style}")));
            write!(text, "| {} | {shown} |", size(bytes))?;
            for way in ways.as_flattened() {
                write!(text, " {} |", ours(row(way)?))?;
            }
            writeln!(text, " {} |", ns(row(&ways[0][0])?.theirs))?;
        }
        let floors = |way| anyhow::Ok(row(way)?.floors);
        let [in_loop, called, loaded, behind_arc, called_behind] = [
            floors("push/by_value/loop")?,
            floors("push/by_value/call")?,
            floors("push/ref/loop")?,
            floors("push/arc/loop")?,
            floors("push/arc/call")?,
        ];
        for (name, in_loop, called) in [
            ("the floor", in_loop.stores, called.stores),
            ("with the checks", in_loop.checked, called.checked),
            ("all of it loaded", loaded.checked, called.checked),
            ("behind a pointer", behind_arc.checked, called_behind.checked),
        ] {
            let [in_loop, called] = [in_loop, called].map(|floor| ns(floor.unwrap_or(f64::NAN)));
            writeln!(text, "| {} | {name} | {in_loop} | {called} | {in_loop} | {called} | |", size(bytes))?;
        }
    }
    Ok(text)
}

fn other_cases(table: &Table) -> String {
    let mut text = head("| case | user-ringbuf | the other | | times as fast | of the floor | with the checks |");
    let shown_elsewhere = ["many_threads/", "rings/", "whole_way/", "waiting/wake/", "waiting/spin/", "waiting/pace/"];
    for row in &table.rows {
        if shown_elsewhere.iter().any(|case| row.case.starts_with(case))
            || row.case.starts_with("publish/") && row.peer == "libbpf"
        {
            continue;
        }
        let [of_floor, of_checked] = [row.of_floor(), row.of_checked_floor()]
            .map(|times| times.map_or(String::new(), |times| format!("{times:.2}")));
        let (case, theirs) = (format!("`{}`", row.case), figure(row.theirs, row.unit));
        let ratio = format!("{:.1}", row.ratio());
        text += &line(&[&case, &ours(row), &row.peer, &theirs, &ratio, &of_floor, &of_checked]);
    }
    text
}

/// The spread, and the time per sample of all threads in parentheses.
fn many_threads(table: &Table) -> Result<String> {
    let mut text = head("| threads on a full ring | `Shared` | `AutoLane` | lanes | libbpf, mutex | counting |");
    for threads in THREADS {
        let row = |figure: &str| table.find(&format!("many_threads/{threads}/{figure}"));
        let (spread, sample) = (row("shared/spread")?, row("shared/sample")?);
        let cell = |spread: String, sample| format!("{spread} ({})", figure(sample, Unit::Nanoseconds));
        let mut cells = Vec::new();
        for way in ["shared", "auto_lanes", "lanes"] {
            cells.push(cell(ours(row(&format!("{way}/spread"))?), row(&format!("{way}/sample"))?.ours));
        }
        cells.push(cell(figure(spread.theirs, Unit::Times), sample.theirs));
        cells.push(figure(spread.floors.stores.unwrap_or(f64::NAN), Unit::Times));
        text += &format!("| {threads} | {} |\n", cells.join(" | "));
    }
    Ok(text)
}

fn many_rings(table: &Table) -> String {
    let mut counts: Vec<&str> =
        table.rows.iter().filter_map(|row| row.case.strip_prefix("rings/")?.split('/').next()).collect();
    counts.dedup();
    let mut text = head(&format!("| per ring, of so many | {} |", counts.join(" | ")));
    for (name, unit) in FIGURES {
        let shown = counts.iter().map(|count| match table.find(&format!("rings/{count}/{name}")) {
            Ok(row) => format!(" {}; libbpf {} |", ours(row), figure(row.theirs, unit)),
            // Memory is not told of few rings.
            Err(_) => "  |".to_owned(),
        });
        text += &format!("| {} |{}\n", name.replace('_', ", "), shown.collect::<String>());
    }
    text
}
