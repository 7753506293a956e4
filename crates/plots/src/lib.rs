//! Plots as SVG.

mod bars;
mod heat_map;
mod lines;
mod scale;

pub use bars::{Bars, histogram};
pub use heat_map::heat_map;
pub use lines::Lines;

use plotters::prelude::*;

/// Units of a plot, which are pixels where it has room.
const SIZE: (u32, u32) = (680, 380);
const INK: RGBColor = RGBColor(0x33, 0x3A, 0x44);
const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
const COLOURS: [RGBColor; 5] = [
    RGBColor(0x1F, 0x6F, 0xB2),
    RGBColor(0xC8, 0x57, 0x1B),
    RGBColor(0x2E, 0x8B, 0x57),
    RGBColor(0x7A, 0x4F, 0xA3),
    RGBColor(0x8A, 0x8F, 0x98),
];

/// plotters writes this divided by 1.24 as the font's size.
fn text_style(pixels: f64) -> TextStyle<'static> {
    ("sans-serif", pixels * 1.24).into_font().color(&INK)
}

/// Draws onto a white page of this size.
fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&DrawingArea<SVGBackend, plotters::coord::Shift>) -> PaintResult,
) -> crate::Svg {
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // A string takes any drawing: the backend's only errors are those of files.
        page.fill(&WHITE)
            .and_then(|()| paint(&page))
            .expect("a string takes any drawing");
        page.present().expect("a string takes any drawing");
    }
    crate::Svg(svg)
}

type PaintError = DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>;
type PaintResult = Result<(), PaintError>;
