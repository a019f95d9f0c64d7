//! The report in words: the data area as a row of marks, the counts, the table, the verdict.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use user_ringbuf_linux::{Position, Tally, Verdict};

use super::reported::Look;
use crate::look::cells::{Cells, Part};
use crate::look::snapshot::Snapshot;
use crate::producer::{Claim, Holders};
use crate::row::Row;

/// Columns in front of the row of marks.
const INDENT: usize = 2;

pub(super) fn draw(look: &Look<'_>, out: &mut dyn Write) -> io::Result<()> {
    let snapshot = look.snapshot;
    write!(out, "ring {}", look.id)?;
    if !look.name.is_empty() {
        write!(out, " ({})", look.name)?;
    }
    write!(out, " of {} bytes", look.size)?;
    if let Some(used) = snapshot.used() {
        write!(out, ", {used} in use")?;
    }
    writeln!(out)?;
    writeln!(out, "producer: {}", producer(look.claim))?;
    writeln!(out, "held open by: {}", held_open(look.held_open))?;
    if let Some(words) = &look.pin_words {
        writeln!(out, "pin: {words}")?;
    }
    writeln!(out)?;
    draw_bar(snapshot, look.colour, out)?;
    if !matches!(snapshot.survey.verdict, Verdict::Misplaced { .. }) {
        draw_counts(snapshot, look.colour, out)?;
        draw_table(snapshot, out)?;
    }
    let bold = if look.colour { Style::new().bold() } else { Style::new() };
    let verdict = format!("{}: {}", look.verdict, look.words);
    let (name, rest) = verdict.split_at(look.verdict.len());
    writeln!(out, "{bold}{name}{bold:#}{}", fill(rest, name.len()))?;
    writeln!(out, "{}", fill(&format!("to do: {}", look.todo), 0))
}

fn producer(claim: &Claim) -> String {
    match claim {
        Claim::By(Some(process)) => format!("{process}, alive"),
        Claim::By(None) => "a process that /proc does not show, alive".to_owned(),
        Claim::ByNobody => "no process claims the ring".to_owned(),
        Claim::Unknown(why) => format!("unknown: {why}"),
    }
}

fn held_open(holders: &Result<Holders, String>) -> String {
    match holders {
        Ok(holders) => {
            let names = holders.names().unwrap_or_else(|| "no other process".to_owned());
            match holders.unreadable {
                0 => names,
                1 => format!("{names} (1 process can't be looked at)"),
                more => format!("{names} ({more} processes can't be looked at)"),
            }
        }
        Err(why) => format!("unknown: {why}"),
    }
}

fn draw_bar(snapshot: &Snapshot, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let (survey, cells) = (&snapshot.survey, &snapshot.cells);
    let mark = |name: &str, position: Position, mark: char| {
        let offset = position.offset(survey.size);
        marker(cells, offset, &format!("{name} at position {position}, offset {offset}"), mark)
    };
    writeln!(out, "{}", mark("head", survey.consumer, 'v'))?;
    write!(out, "{:>INDENT$}", '|')?;
    for part in cells.parts() {
        let style = style(*part, colour);
        write!(out, "{style}{}{style:#}", part.mark())?;
    }
    writeln!(out, "|")?;
    writeln!(out, "{}", mark("tail", survey.producer, '^'))?;
    let legend = match survey.verdict {
        Verdict::Misplaced { .. } => "? unknown".to_owned(),
        _ => "# submitted  B busy  x discarded  ! damaged  . free".to_owned(),
    };
    writeln!(out, "{:INDENT$}{legend}  (each mark is {} bytes and shows the worst state in it)\n", "", cells.bytes())
}

/// A line with `mark` above or below the cell of `offset`, and `text` on whichever side of it has room.
fn marker(cells: &Cells, offset: u32, text: &str, mark: char) -> String {
    let column = INDENT + cells.of(offset);
    if column > text.len() + INDENT {
        format!("{text:>width$} {mark}", width = column - 1)
    } else {
        format!("{:column$}{mark} {text}", "")
    }
}

fn draw_counts(snapshot: &Snapshot, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let survey = &snapshot.survey;
    let rows = [
        (Part::Submitted, "submitted", survey.submitted),
        (Part::Busy, "busy", survey.busy),
        (Part::Discarded, "discarded", survey.discarded),
        (Part::Damaged, "damaged", survey.damaged),
    ];
    writeln!(out, "  {:<10} {:>10} {:>12}", "", "records", "bytes")?;
    for (part, name, Tally { records, bytes }) in rows {
        let style = if records > 0 { style(part, colour) } else { Style::new() };
        writeln!(out, "  {style}{name:<10}{style:#} {records:>10} {bytes:>12}")?;
    }
    writeln!(out, "  {:<10} {:>10} {:>12}\n", "free", "", snapshot.free().unwrap_or(0))
}

fn draw_table(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.first.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {:>20} {:>11} {:>10}  state", "position", "offset", "length")?;
    for row in &snapshot.first {
        draw_row(row, out)?;
    }
    let shown = snapshot.first.len() + snapshot.last.len();
    let hidden = snapshot.records().saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    if hidden > 0 {
        writeln!(out, "  {:>20} {:>11} {:>10}  {hidden} more", "...", "...", "...")?;
    }
    for row in &snapshot.last {
        draw_row(row, out)?;
    }
    writeln!(out)
}

fn draw_row(row: &Row, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {:>20} {:>11} {:>10}  {}", row.position, row.offset, row.len, row.state)
}

fn style(part: Part, colour: bool) -> Style {
    if !colour {
        return Style::new();
    }
    match part {
        Part::Free => Style::new().dimmed(),
        Part::Discarded => AnsiColor::Blue.on_default(),
        Part::Submitted => AnsiColor::Green.on_default(),
        Part::Busy => AnsiColor::Yellow.on_default().bold(),
        Part::Damaged | Part::Unknown => AnsiColor::Red.on_default().bold(),
    }
}

/// Breaks a text into lines of at most 100 columns, the first of which begins at column `at`. Text in backticks is a
/// command to copy, and is not broken.
fn fill(text: &str, at: usize) -> String {
    const WIDTH: usize = 100;
    let (mut filled, mut column, mut quoted) = (String::new(), at, false);
    let words = text.split_inclusive(|character| {
        quoted ^= character == '`';
        character == ' ' && !quoted
    });
    for word in words {
        if column + word.trim_end().len() > WIDTH && column > 0 {
            filled.truncate(filled.trim_end().len());
            filled.push_str("\n  ");
            column = 2;
        }
        filled.push_str(word);
        column += word.len();
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn long_lines_break_between_words() {
        let text = "word ".repeat(50);
        let filled = fill(text.trim_end(), 10);
        assert!(filled.lines().count() > 2 && filled.lines().all(|line| line.len() <= 100), "{filled}");
        assert_eq!(filled.split_whitespace().count(), 50);
        assert_eq!(fill("short", 0), "short");
        let command = format!("`{}`", "word ".repeat(15));
        assert!(fill(&format!("{text} run {command}, then"), 0).contains(&command), "a command can be copied");
    }
}
