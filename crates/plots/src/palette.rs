use plotters::style::{Color, IntoFont, RGBColor, TextStyle};

/// Text.
pub const INK: RGBColor = RGBColor(0x5B, 0x64, 0x72);
/// Axes and grid lines.
pub const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
/// Series in their order: blue, orange, green, purple, grey.
pub const COLOURS: [RGBColor; 5] = [
    RGBColor(0x1F, 0x6F, 0xB2),
    RGBColor(0xC8, 0x57, 0x1B),
    RGBColor(0x2E, 0x8B, 0x57),
    RGBColor(0x7A, 0x4F, 0xA3),
    RGBColor(0x8A, 0x8F, 0x98),
];

/// A colour as it stands in the SVG: `#1F6FB2`.
pub fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Text of this height in pixels.
pub(crate) fn text_style(pixels: f64) -> TextStyle<'static> {
    // plotters divides by 1.24 before it writes the font's size.
    ("sans-serif", pixels * 1.24).into_font().color(&INK)
}

/// The colour of an area.
pub(crate) fn fill() -> plotters::style::ShapeStyle {
    COLOURS[0].mix(0.8).filled()
}
