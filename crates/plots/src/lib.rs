//! Line charts, bars, histograms and heat maps as SVG, in one palette.
//!
//! Text is set in the reader's sans-serif font: drawing needs no fonts and no system library.
#![deny(missing_docs)]

mod axis;
mod bars;
mod downsampled;
mod heat_map;
mod lines;
mod moving_average;
mod palette;
mod svg;

pub use axis::Axis;
pub use bars::{Bars, histogram};
pub use heat_map::heat_map;
pub use lines::{Lines, Look, Series};
pub use moving_average::moving_average;
pub use palette::{COLOURS, GRID, INK, hex};
pub use svg::Svg;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
