//! The picture for the README: nanoseconds a sample, ours and libbpf's, as bars.
//!
//! On a logarithmic scale, since the figures span three orders of magnitude; each bar says its figure.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Row, Table, Unit};

/// What the picture shows of the table: the rows against these peers, except those of these cases.
const PEERS: [&str; 2] = ["libbpf", "libbpf, mutex"];
const LEFT_OUT: [&str; 2] = ["waiting/", "attach/"];

const WIDTH: u32 = 880;
const LABELS: i32 = 230;
const FIGURES: i32 = 150;
const TOP: i32 = 56;
const BAR: i32 = 11;
const PAIR: i32 = 30;
const BOTTOM: i32 = 40;

const OURS: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const THEIRS: RGBColor = RGBColor(0xb8, 0xbc, 0xc2);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xe4, 0xe6, 0xe9);

/// Draws the table's rows against libbpf.
pub(crate) fn draw(table: &Table, path: &Path) -> Result<()> {
    let shown: Vec<&Row> = table
        .rows()
        .iter()
        .filter(|row| PEERS.contains(&row.peer) && row.unit == Unit::Nanoseconds)
        .filter(|row| !LEFT_OUT.iter().any(|case| row.case.starts_with(case)))
        .collect();
    ensure!(!shown.is_empty(), "no row to draw: the picture shows comparisons with libbpf");
    let height = TOP + PAIR * i32::try_from(shown.len())? + BOTTOM;
    let area = SVGBackend::new(path, (WIDTH, height.unsigned_abs())).into_drawing_area();
    let scale = Scale::of(&shown);
    let done = (|| {
        area.fill(&WHITE)?;
        head(&area)?;
        grid(&area, scale, height)?;
        for (place, row) in (0..).zip(&shown) {
            pair(&area, scale, TOP + place * PAIR, row)?;
        }
        area.present()
    })();
    done.with_context(|| format!("draw {}", path.display()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn text(size: u32, horizontal: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

fn bar(area: &Area<'_>, corners: [(i32, i32); 2], color: RGBColor) -> Drawn<'static> {
    area.draw(&Rectangle::new(corners, color.filled()))
}

fn head(area: &Area<'_>) -> Drawn<'static> {
    area.draw_text("Nanoseconds a sample (shorter is better, logarithmic)", &text(19, HPos::Left), (12, 18))?;
    for (x, color, name) in [(LABELS, OURS, "user-ringbuf"), (LABELS + 130, THEIRS, "libbpf")] {
        bar(area, [(x, 34), (x + 14, 34 + BAR)], color)?;
        area.draw_text(name, &text(15, HPos::Left), (x + 20, 40))?;
    }
    Ok(())
}

/// A line for each power of ten.
fn grid(area: &Area<'_>, scale: Scale, height: i32) -> Drawn<'static> {
    for exponent in scale.low..=scale.high {
        let x = scale.x(10_f64.powi(exponent));
        area.draw(&PathElement::new(vec![(x, TOP - 4), (x, height - BOTTOM)], GRID))?;
        let figure = if exponent < 0 {
            format!("{} ns", 10_f64.powi(exponent))
        } else {
            format!("{:.0} ns", 10_f64.powi(exponent))
        };
        area.draw_text(&figure, &text(14, HPos::Center), (x, height - BOTTOM + 14))?;
    }
    Ok(())
}

fn pair(area: &Area<'_>, scale: Scale, top: i32, row: &Row) -> Drawn<'static> {
    area.draw_text(&row.case, &text(16, HPos::Right), (LABELS - 10, top + BAR))?;
    for (line, value, color) in [(0, row.ours, OURS), (1, row.theirs, THEIRS)] {
        let top = top + line * BAR;
        let end = scale.x(value).max(LABELS + 1);
        bar(area, [(LABELS, top), (end, top + BAR - 1)], color)?;
        let mut figure = format!("{value:.1} ns");
        if line == 0 {
            figure.push_str(&format!(", {:.1} x as fast", row.ratio()));
            if row.met() == Some(false) {
                figure.push_str(", goal missed");
            }
        }
        area.draw_text(&figure, &text(14, HPos::Left), (end + 5, top + BAR / 2))?;
    }
    Ok(())
}

/// From the power of ten below the smallest figure to the one above the largest.
#[derive(Clone, Copy, Debug)]
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn of(rows: &[&Row]) -> Self {
        let figures = || rows.iter().flat_map(|row| [row.ours, row.theirs]).filter(|figure| *figure > 0.0);
        let (least, most) = (figures().fold(f64::INFINITY, f64::min), figures().fold(0.0, f64::max));
        #[expect(clippy::cast_possible_truncation, reason = "logarithms of times are small")]
        let exponent = |value: f64| value as i32;
        let low = exponent(least.log10().floor());
        Self { low, high: exponent(most.log10().ceil()).max(low + 1) }
    }

    fn x(self, value: f64) -> i32 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        let width = i32::try_from(WIDTH).unwrap_or(i32::MAX) - LABELS - FIGURES;
        #[expect(clippy::cast_possible_truncation, reason = "within the picture's width")]
        let offset = (share * f64::from(width)) as i32;
        LABELS + offset.clamp(0, width)
    }
}
