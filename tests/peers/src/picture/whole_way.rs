//! The picture of what gets through: million samples per second, by size of the ring and of the batches.

use std::path::Path;

use anyhow::{Result, ensure};
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::{Drawn, INK, Picture, THEIRS, pixels};
use crate::cases::whole_way::{BATCHES, RINGS};
use crate::page::size;
use crate::report::Table;

const MODES: [(&str, &str); 2] = [("waking", "drains wake"), ("no_wakeup", "BPF_RB_NO_WAKEUP")];
const COLORS: [RGBColor; 4] =
    [RGBColor(0x9e, 0xc9, 0xe2), RGBColor(0x4a, 0x98, 0xc9), RGBColor(0x0b, 0x55, 0x9f), THEIRS];
const GRID: RGBColor = RGBColor(0xe4, 0xe6, 0xe9);

const WIDTH: i32 = 880;
const HEIGHT: i32 = 400;
const LEFT: i32 = 44;
const TOP: i32 = 90;
const BOTTOM: i32 = 350;
const PANEL: i32 = 410;
const GROUP: i32 = 98;
const BAR: i32 = 20;
/// Grid lines, besides the one at 0, at most.
const MOST_LINES: f64 = 6.0;

/// Draws the table's rows of this case.
pub(crate) fn draw(table: &Table, path: &Path) -> Result<()> {
    let mut bars = Vec::new();
    for ((mode, _), x) in MODES.iter().zip((LEFT..).step_by(PANEL as usize)) {
        for ((ring, _), x) in RINGS.iter().zip((x + 7..).step_by(GROUP as usize)) {
            for ((batch, color), x) in BATCHES.iter().zip(COLORS).zip((x..).step_by(BAR as usize + 1)) {
                // libbpf's stand in the rows of every batch. A batch has to fit.
                let case = format!("whole_way/{mode}/{ring}/{}", batch.max(&1));
                let row = table.find(&case).ok();
                bars.extend(row.map(|row| (x, color, 1e3 / if *batch == 0 { row.theirs } else { row.ours })));
            }
        }
    }
    ensure!(!bars.is_empty(), "no row to draw: the picture shows the case whole_way");
    let most = bars.iter().fold(0.0_f64, |most, (_, _, value)| most.max(*value));
    let step = (most / MOST_LINES / 5.0).ceil() * 5.0;
    let high = (most / step).ceil() * step;
    let height_of = |value| BOTTOM - pixels(value, high, BOTTOM - TOP);
    Picture::draw(path, [WIDTH, HEIGHT], |picture| {
        head(picture)?;
        let mut value = 0.0;
        while value <= high {
            let y = height_of(value);
            picture.line([(LEFT, y), (LEFT + PANEL + 4 * GROUP, y)], GRID)?;
            picture.text(&format!("{value:.0}"), 13, HPos::Right, INK, (LEFT - 6, y))?;
            value += step;
        }
        feet(picture)?;
        for (x, color, value) in bars {
            let top = height_of(value);
            picture.bar([(x, top), (x + BAR, BOTTOM)], color)?;
            picture.text(&format!("{value:.0}"), 11, HPos::Center, INK, (x + BAR / 2, top - 7))?;
        }
        Ok(())
    })
}

fn head(picture: &Picture<'_>) -> Drawn {
    let title = "Million samples of 40 bytes per second, from push to the BPF callback (higher is better)";
    picture.text(title, 18, HPos::Left, INK, (12, 18))?;
    let mut x = LEFT;
    for (batch, color) in BATCHES.iter().zip(COLORS) {
        picture.bar([(x, 39), (x + 14, 50)], color)?;
        let name = match batch {
            0 => "libbpf".to_owned(),
            1 => "user-ringbuf, one by one".to_owned(),
            batch => format!("batches of {batch}"),
        };
        picture.text(&name, 14, HPos::Left, INK, (x + 20, 45))?;
        x += if *batch == 1 { 210 } else { 150 };
    }
    for ((_, title), mode) in MODES.iter().zip(0..) {
        picture.text(title, 15, HPos::Center, INK, (LEFT + mode * PANEL + 2 * GROUP, TOP - 18))?;
    }
    Ok(())
}

fn feet(picture: &Picture<'_>) -> Drawn {
    for mode in 0..2 {
        for ((_, bytes), ring) in RINGS.iter().zip(0..) {
            let middle = LEFT + mode * PANEL + ring * GROUP + GROUP / 2;
            picture.text(&size(*bytes), 14, HPos::Center, INK, (middle, BOTTOM + 18))?;
        }
    }
    picture.text("size of the ring", 14, HPos::Center, INK, (WIDTH / 2, BOTTOM + 38))
}
