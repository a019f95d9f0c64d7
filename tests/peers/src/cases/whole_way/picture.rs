//! The picture of what gets through: million samples per second, by size of the ring and of the batches.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::through::{BATCHES, RINGS};
use crate::report::{Row, Table};

const MODES: [(&str, &str); 2] = [("waking", "drains wake"), ("no_wakeup", "BPF_RB_NO_WAKEUP")];
const COLORS: [RGBColor; 4] =
    [RGBColor(0x9e, 0xc9, 0xe2), RGBColor(0x4a, 0x98, 0xc9), RGBColor(0x0b, 0x55, 0x9f), RGBColor(0xb8, 0xbc, 0xc2)];
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
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

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// Draws the table's rows of this case.
pub(crate) fn draw(table: &Table, path: &Path) -> Result<()> {
    let bars: Vec<_> = (0..MODES.len())
        .flat_map(|mode| (0..RINGS.len()).map(move |ring| (mode, ring)))
        .flat_map(|(mode, ring)| (0..BATCHES.len()).map(move |batch| (mode, ring, batch)))
        .filter_map(|(mode, ring, batch)| Some((mode, ring, batch, millions(table.rows(), mode, ring, batch)?)))
        .collect();
    ensure!(!bars.is_empty(), "no row to draw: the picture shows the case whole_way");
    let most = bars.iter().fold(0.0_f64, |most, bar| most.max(bar.3));
    let step = (most / MOST_LINES / 5.0).ceil() * 5.0;
    let scale = Scale { step, high: (most / step).ceil() * step };
    let area = SVGBackend::new(path, (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs())).into_drawing_area();
    let done = (|| {
        area.fill(&WHITE)?;
        head(&area)?;
        grid(&area, scale)?;
        for (mode, ring, batch, value) in &bars {
            bar(&area, [*mode, *ring, *batch], *value, scale)?;
        }
        area.present()
    })();
    done.with_context(|| format!("draw {}", path.display()))
}

/// Million samples per second. libbpf's stand in the rows of every batch.
fn millions(rows: &[Row], mode: usize, ring: usize, batch: usize) -> Option<f64> {
    let of = |batch: u64| format!("whole_way/{}/{}/{batch}", MODES[mode].0, RINGS[ring].0);
    let libbpf = BATCHES[batch] == 0;
    let case = of(if libbpf { 1 } else { BATCHES[batch] });
    let row = rows.iter().find(|row| row.case == case)?;
    Some(1e3 / if libbpf { row.theirs } else { row.ours })
}

fn text(size: u32, horizontal: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

fn head(area: &Area<'_>) -> Drawn<'static> {
    let title = "Million samples of 40 bytes per second, from push to the BPF callback (higher is better)";
    area.draw_text(title, &text(18, HPos::Left), (12, 18))?;
    let mut x = LEFT;
    for (batch, color) in BATCHES.iter().zip(COLORS) {
        area.draw(&Rectangle::new([(x, 39), (x + 14, 50)], color.filled()))?;
        let name = match batch {
            0 => "libbpf".to_owned(),
            1 => "user-ringbuf, one by one".to_owned(),
            batch => format!("batches of {batch}"),
        };
        area.draw_text(&name, &text(14, HPos::Left), (x + 20, 45))?;
        x += if *batch == 1 { 210 } else { 150 };
    }
    for ((_, title), mode) in MODES.iter().zip(0..) {
        area.draw_text(title, &text(15, HPos::Center), (LEFT + mode * PANEL + 2 * GROUP, TOP - 18))?;
    }
    Ok(())
}

fn grid(area: &Area<'_>, scale: Scale) -> Drawn<'static> {
    let mut value = 0.0;
    while value <= scale.high {
        let y = scale.y(value);
        area.draw(&PathElement::new([(LEFT, y), (LEFT + PANEL + 4 * GROUP, y)], GRID.stroke_width(1)))?;
        area.draw_text(&format!("{value:.0}"), &text(13, HPos::Right), (LEFT - 6, y))?;
        value += scale.step;
    }
    for mode in 0..2 {
        for ((name, _), ring) in RINGS.iter().zip(0..) {
            let middle = LEFT + mode * PANEL + ring * GROUP + GROUP / 2;
            area.draw_text(
                &name.replace("KiB", " KiB").replace("MiB", " MiB"),
                &text(14, HPos::Center),
                (middle, BOTTOM + 18),
            )?;
        }
    }
    area.draw_text("size of the ring", &text(14, HPos::Center), (WIDTH / 2, BOTTOM + 38))
}

fn bar(area: &Area<'_>, [mode, ring, batch]: [usize; 3], value: f64, scale: Scale) -> Drawn<'static> {
    let place = |at: usize, width: i32| i32::try_from(at).unwrap_or(0) * width;
    let x = LEFT + place(mode, PANEL) + place(ring, GROUP) + place(batch, BAR + 1) + 7;
    let top = scale.y(value);
    area.draw(&Rectangle::new([(x, top), (x + BAR, BOTTOM)], COLORS[batch].filled()))?;
    area.draw_text(&format!("{value:.0}"), &text(11, HPos::Center), (x + BAR / 2, top - 7))
}

/// From 0 to `high` million samples per second.
#[derive(Clone, Copy, Debug)]
struct Scale {
    step: f64,
    high: f64,
}

impl Scale {
    fn y(self, value: f64) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "within the picture")]
        let offset = (value / self.high * f64::from(BOTTOM - TOP)) as i32;
        BOTTOM - offset
    }
}
