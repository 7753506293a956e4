use plotters::coord::Shift;
use plotters::prelude::*;

/// A picture as an `<svg>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// The `<svg>` element.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands inside the `<svg>` element.
    pub fn inner(&self) -> &str {
        let inner = self
            .0
            .split_once('>')
            .and_then(|(_, rest)| rest.rsplit_once("</svg>"));
        inner.expect("plotters writes one <svg> element").0
    }
}

pub(crate) type Page<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type PaintError = DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>;
pub(crate) type PaintResult = Result<(), PaintError>;

/// Draws onto a transparent page of this width and height.
pub(crate) fn draw(size: (u32, u32), paint: impl FnOnce(&Page) -> PaintResult) -> Svg {
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // The backend's only errors are those of files.
        paint(&page).expect("drawing into a string cannot fail");
        page.present().expect("drawing into a string cannot fail");
    }
    Svg(svg)
}

/// As [`draw`], onto a white page.
pub(crate) fn draw_on_white(size: (u32, u32), paint: impl FnOnce(&Page) -> PaintResult) -> Svg {
    draw(size, |page| {
        page.fill(&WHITE)?;
        paint(page)
    })
}
