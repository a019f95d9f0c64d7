//! The pictures of the figures page.

pub(crate) mod publish;
pub(crate) mod whole_way;

use std::path::Path;

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// What is not ours.
const THEIRS: RGBColor = RGBColor(0xb8, 0xbc, 0xc2);

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A white picture that is being drawn.
struct Picture<'p>(DrawingArea<SVGBackend<'p>, Shift>);

impl Picture<'_> {
    fn draw(path: &Path, [width, height]: [i32; 2], draw: impl FnOnce(&Picture<'_>) -> Drawn) -> Result<()> {
        let area = SVGBackend::new(path, (width.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
        let picture = Picture(area);
        let drawn = picture.0.fill(&WHITE).and_then(|()| draw(&picture)).and_then(|()| picture.0.present());
        drawn.with_context(|| format!("draw {}", path.display()))
    }

    /// Words of this size and colour, centred vertically.
    fn text(&self, words: &str, size: u32, anchor: HPos, color: RGBColor, at: (i32, i32)) -> Drawn {
        let style = ("sans-serif", size).into_font().color(&color).pos(Pos::new(anchor, VPos::Center));
        self.0.draw_text(words, &style, at)
    }

    fn bar(&self, corners: [(i32, i32); 2], color: RGBColor) -> Drawn {
        self.0.draw(&Rectangle::new(corners, color.filled()))
    }

    fn line(&self, ends: [(i32, i32); 2], color: RGBColor) -> Drawn {
        self.0.draw(&PathElement::new(ends, color.stroke_width(1)))
    }
}

/// `value` in a picture that shows `most` as so many pixels.
fn pixels(value: f64, most: f64, all: i32) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "within the picture")]
    let pixels = (value / most * f64::from(all)) as i32;
    pixels
}
