//! The picture for the README: what one sample of 40 bytes costs beside libbpf, for rings of four sizes.
//!
//! The title says what was found. Each ring has two bars, and a mark at the floor.

use std::path::Path;

use anyhow::Result;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::{Drawn, INK, Picture, THEIRS, pixels};
use crate::cases::publish::RINGS;
use crate::page::size;
use crate::report::{Row, Table};

const WIDTH: i32 = 760;
const LABELS: i32 = 110;
const FIGURES: i32 = 190;
const TOP: i32 = 74;
const BAR: i32 = 17;
const PAIR: i32 = 48;
const BOTTOM: i32 = 52;

const OURS: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// Draws the rows of README.md's own way to publish.
pub(crate) fn draw(table: &Table, path: &Path) -> Result<()> {
    let mut shown = Vec::new();
    for (ring, bytes) in RINGS {
        shown.push((format!("{} ring", size(bytes)), table.find(&format!("publish/{ring}/push/ref/loop"))?));
    }
    let height = TOP + PAIR * i32::try_from(shown.len())? + BOTTOM;
    let longest = shown.iter().map(|(_, row)| row.ours.max(row.theirs)).fold(0.0, f64::max);
    Picture::draw(path, [WIDTH, height], |picture| {
        picture.text(&title(&shown), 20, HPos::Left, INK, (12, 20))?;
        for (x, color, name) in
            [(LABELS, OURS, "user-ringbuf, push"), (LABELS + 170, THEIRS, "libbpf, reserve and submit")]
        {
            picture.bar([(x, 46), (x + 14, 58)], color)?;
            picture.text(name, 15, HPos::Left, INK, (x + 20, 52))?;
        }
        picture.text("| the floor: the stores alone", 15, HPos::Left, INK, (LABELS + 390, 52))?;
        for (place, (ring, row)) in (0..).zip(&shown) {
            pair(picture, longest, TOP + place * PAIR, ring, row)?;
        }
        let machine = table.machine.to_string();
        let (processor, rest) = machine.split_once("; ").unwrap_or((&machine, ""));
        let rest = format!("{rest}; medians of {} rounds", table.rounds);
        let below = height - BOTTOM + 18;
        picture.text(processor, 13, HPos::Left, FAINT, (12, below))?;
        picture.text(&rest, 13, HPos::Left, FAINT, (12, below + 18))
    })
}

/// What was found.
fn title(shown: &[(String, &Row)]) -> String {
    let ratios = || shown.iter().map(|(_, row)| row.ratio());
    let (least, most) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
    format!("Publishing 40 bytes: {least:.1} to {most:.1} times as fast as libbpf (ns per sample)")
}

fn pair(picture: &Picture<'_>, longest: f64, top: i32, ring: &str, row: &Row) -> Drawn {
    let end = |value| LABELS + pixels(value, longest, WIDTH - LABELS - FIGURES).max(1);
    picture.text(ring, 15, HPos::Right, INK, (LABELS - 10, top + BAR))?;
    let ours = format!("{:.1} ns, {:.1} times as fast", row.ours, row.ratio());
    let theirs = format!("{:.1} ns", row.theirs);
    for (top, value, color, figure) in [(top, row.ours, OURS, ours), (top + BAR, row.theirs, THEIRS, theirs)] {
        picture.bar([(LABELS, top), (end(value), top + BAR - 2)], color)?;
        picture.text(&figure, 15, HPos::Left, INK, (end(value) + 6, top + BAR / 2))?;
    }
    if let Some(floor) = row.floors.stores {
        picture.bar([(end(floor), top - 3), (end(floor) + 1, top + BAR)], INK)?;
    }
    Ok(())
}
