//! The producer's side: one sample, the other cases, and many rings.

use std::fmt::Write as _;

use anyhow::Result;

use super::figures::{figure, find, ours, size};
use crate::cases::publish::RINGS;
use crate::cases::rings::FIGURES;
use crate::report::{Row, Table, Unit};

const HANDLES: [(&str, &str); 3] = [("ref", "`&mapping`"), ("by_value", "`mapping.by_value()`"), ("arc", "`Arc`")];

pub(super) fn tables(table: &Table) -> Result<String> {
    let mut text = String::new();
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
    let apart = |row: &&Row| {
        let shown_elsewhere = ["rings/", "whole_way/", "waiting/wake/", "waiting/spin/", "waiting/pace/"];
        shown_elsewhere.iter().any(|case| row.case.starts_with(case))
            || row.case.starts_with("publish/") && row.peer == "libbpf"
    };
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
