//! One line chart as SVG.

use std::error::Error;
use std::ops::Range;

use plotters::prelude::*;

use super::axis::Axis;
use super::thinned::thinned;

/// Colours of the light page; the style sheet finds them in the SVG and darkens or lightens them.
pub(super) const BLUE: RGBColor = RGBColor(0x1F, 0x6F, 0xB2);
pub(super) const ORANGE: RGBColor = RGBColor(0xC8, 0x57, 0x1B);
const INK: RGBColor = RGBColor(0x5B, 0x64, 0x72);
const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);

/// Units of the picture, which has no size of its own: it is as wide as its place on the page.
const SIZE: (u32, u32) = (1600, 840);
/// plotters writes this divided by 1.24 as the font's size.
const FONT: f64 = 46.0 * 1.24;
/// Stretches of a line that are drawn: more would be closer together than a pixel.
const STRETCHES: usize = 400;

/// What is drawn over the same axes.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

/// A named line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: RGBColor,
    pub(super) look: Look,
    pub(super) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Behind the others.
    Faint,
    Plain,
    /// With a dot for each point.
    Dotted,
}

impl Chart {
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// What is drawn, without the enclosing `<svg>` element of [`Chart::view_box`].
    pub(super) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let mut svg = String::new();
        self.draw(&mut svg)?;
        let inside = svg
            .split_once('>')
            .and_then(|(_, rest)| rest.rsplit_once("</svg>"));
        let (inside, _) = inside.ok_or("no SVG was drawn")?;
        Ok(inside.to_owned())
    }

    pub(super) fn view_box() -> String {
        format!("0 0 {} {}", SIZE.0, SIZE.1)
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn Error>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let ranges = [self.range(self.x, |p| p.0), self.range(self.y, |p| p.1)];
        let [x, y] = ranges;
        let font = ("sans-serif", FONT).into_font().color(&INK);
        let mut chart = ChartBuilder::on(&root)
            .margin_top(30)
            .margin_right(40)
            .set_label_area_size(LabelAreaPosition::Left, 190)
            .set_label_area_size(LabelAreaPosition::Bottom, 90)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(3))
            .axis_style(GRID.stroke_width(4))
            .label_style(font)
            .set_all_tick_mark_size(12)
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&|value| self.x.label(*value, &x))
            .y_label_formatter(&|value| self.y.label(*value, &y))
            .draw()?;
        for series in &self.series {
            let points = thinned(&series.points, STRETCHES);
            let style = match series.look {
                Look::Faint => series.colour.mix(0.35).stroke_width(5),
                Look::Plain | Look::Dotted => series.colour.stroke_width(9),
            };
            if series.look == Look::Dotted {
                let dot = |point: &(f64, f64)| Circle::new(*point, 16, series.colour.filled());
                chart.draw_series(points.iter().map(dot))?;
            }
            chart.draw_series(LineSeries::new(points, style))?;
        }
        root.present()?;
        Ok(())
    }

    fn range(&self, axis: Axis, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let (low, high) = points.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(of(point)), high.max(of(point)))
        });
        axis.range(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(y: Axis, points: Vec<(f64, f64)>) -> Chart {
        let series = Series {
            name: "a".into(),
            colour: BLUE,
            look: Look::Dotted,
            points,
        };
        Chart {
            title: "t",
            x: Axis::Steps,
            y,
            series: vec![series],
        }
    }

    #[test]
    fn any_values_can_be_drawn() {
        for values in [
            &[][..],
            &[0.0],
            &[5.0, 5.0],
            &[-3.0, -1.0],
            &[3.4e38, 0.0],
            &[1e-30, 2e-30],
            &[100.0],
        ] {
            for y in [Axis::Amount, Axis::Rate, Axis::Percent] {
                let points = (1..).map(f64::from).zip(values.iter().copied()).collect();
                let svg = chart(y, points).svg().unwrap();
                assert_eq!(svg.matches("<circle").count(), values.len(), "{values:?}");
                assert!(!svg.contains("NaN") && !svg.contains("<svg"), "{svg}");
            }
        }
    }

    #[test]
    fn the_style_sheet_knows_every_colour_for_the_dark_page() {
        let style = include_str!("style.css");
        for RGBColor(red, green, blue) in [BLUE, ORANGE, INK, GRID] {
            let colour = format!("=\"#{red:02X}{green:02X}{blue:02X}\"]");
            assert!(style.contains(&colour), "{colour}");
        }
    }
}
