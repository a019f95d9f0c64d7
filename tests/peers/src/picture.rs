//! The picture for the README: what one sample of 40 bytes costs beside libbpf, for rings of four sizes.
//!
//! The title says what was found. Each ring has two bars, and a mark at the floor.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

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
const THEIRS: RGBColor = RGBColor(0xb8, 0xbc, 0xc2);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// Draws the rows of README.md's own way to publish.
pub(crate) fn draw(table: &Table, path: &Path) -> Result<()> {
    let mut shown = Vec::new();
    for (ring, bytes) in RINGS {
        let case = format!("publish/{ring}/push/ref/loop");
        let row = table.rows().iter().find(|row| row.case == case && row.peer == "libbpf");
        shown.push((
            format!("{} ring", size(bytes)),
            row.with_context(|| format!("{case} was not measured, and the picture shows it"))?,
        ));
    }
    let height = TOP + PAIR * i32::try_from(shown.len())? + BOTTOM;
    let area = SVGBackend::new(path, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
    let longest = shown.iter().map(|(_, row)| row.ours.max(row.theirs)).fold(0.0, f64::max);
    let done = (|| {
        area.fill(&WHITE)?;
        area.draw_text(&title(&shown), &text(20, HPos::Left, INK), (12, 20))?;
        for (x, color, name) in
            [(LABELS, OURS, "user-ringbuf, push"), (LABELS + 170, THEIRS, "libbpf, reserve and submit")]
        {
            bar(&area, [(x, 46), (x + 14, 58)], color)?;
            area.draw_text(name, &text(15, HPos::Left, INK), (x + 20, 52))?;
        }
        area.draw_text("| the floor: the stores alone", &text(15, HPos::Left, INK), (LABELS + 390, 52))?;
        for (place, (ring, row)) in (0..).zip(&shown) {
            pair(&area, longest, TOP + place * PAIR, ring, row)?;
        }
        let (where_, rounds) = (table.machine().to_string(), format!("medians of {} rounds", table.rounds()));
        let (first, rest) = where_.split_once("; ").unwrap_or((&where_, ""));
        for (line, words) in [(0, first.to_owned()), (1, format!("{rest}; {rounds}"))] {
            area.draw_text(&words, &text(13, HPos::Left, FAINT), (12, height - BOTTOM + 18 + 18 * line))?;
        }
        area.present()
    })();
    done.with_context(|| format!("draw {}", path.display()))
}

/// What was found.
fn title(shown: &[(String, &Row)]) -> String {
    let ratios = || shown.iter().map(|(_, row)| row.ratio());
    let (least, most) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
    format!("Publishing 40 bytes: {least:.1} to {most:.1} times as fast as libbpf (ns per sample)")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn text(size: u32, horizontal: HPos, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color).pos(Pos::new(horizontal, VPos::Center))
}

fn bar(area: &Area<'_>, corners: [(i32, i32); 2], color: RGBColor) -> Drawn<'static> {
    area.draw(&Rectangle::new(corners, color.filled()))
}

fn pair(area: &Area<'_>, longest: f64, top: i32, ring: &str, row: &Row) -> Drawn<'static> {
    let end = |value: f64| {
        let width = WIDTH - LABELS - FIGURES;
        #[expect(clippy::cast_possible_truncation, reason = "within the picture's width")]
        let offset = (value / longest * f64::from(width)) as i32;
        LABELS + offset.max(1)
    };
    area.draw_text(ring, &text(15, HPos::Right, INK), (LABELS - 10, top + BAR))?;
    for (line, value, color) in [(0, row.ours, OURS), (1, row.theirs, THEIRS)] {
        let top = top + line * BAR;
        bar(area, [(LABELS, top), (end(value), top + BAR - 2)], color)?;
        let mut figure = format!("{value:.1} ns");
        if line == 0 {
            figure.push_str(&format!(", {:.1} times as fast", row.ratio()));
        }
        area.draw_text(&figure, &text(15, HPos::Left, INK), (end(value) + 6, top + BAR / 2))?;
    }
    if let Some(floor) = row.floor {
        bar(area, [(end(floor), top - 3), (end(floor) + 1, top + BAR)], INK)?;
    }
    Ok(())
}
