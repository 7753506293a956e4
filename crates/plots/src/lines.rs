use plotters::prelude::*;
use trainer::thinned;

use super::scale::{label, range, tight_range};
use super::{COLOURS, GRID, INK, PaintResult, SIZE, draw, text_style};
use crate::Svg;

/// Curves over one pair of axes.
///
/// ```
/// use notebook_kit::Lines;
///
/// let svg = Lines::new("Loss", "optimizer step", "loss")
///     .faint("each step", [(1.0, 5.0), (2.0, 3.0), (3.0, 3.5)])
///     .line("smoothed", [(1.0, 5.0), (2.0, 4.0), (3.0, 3.7)])
///     .draw();
/// assert!(svg.as_str().contains("optimizer step"));
/// ```
#[derive(Clone, Debug)]
pub struct Lines {
    title: String,
    x: String,
    y: String,
    series: Vec<Series>,
    marks: Vec<(String, f64)>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    look: Look,
    points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Faint,
    Plain,
    Dotted,
}

/// Stretches of a line that are drawn: more would be closer together than a pixel.
const STRETCHES: usize = 600;

impl Lines {
    /// Empty axes with a title and names.
    pub fn new(title: &str, x: &str, y: &str) -> Self {
        Self {
            title: title.into(),
            x: x.into(),
            y: y.into(),
            series: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// A line through these points, given as (x, y).
    #[must_use]
    pub fn line(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(name, Look::Plain, points)
    }

    /// A thin line behind others, for what is noisy.
    #[must_use]
    pub fn faint(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(name, Look::Faint, points)
    }

    /// A line with a dot at each point, for few points.
    #[must_use]
    pub fn dotted(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(name, Look::Dotted, points)
    }

    /// A line across at this x.
    #[must_use]
    pub fn mark(mut self, name: &str, x: f64) -> Self {
        self.marks.push((name.into(), x));
        self
    }

    fn add(mut self, name: &str, look: Look, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        self.series.push(Series {
            name: name.into(),
            look,
            points: points.into_iter().filter(finite).collect(),
        });
        self
    }

    /// The picture. Points that are not finite are left out.
    pub fn draw(&self) -> Svg {
        draw(SIZE, |page| self.paint(page))
    }

    fn paint(&self, page: &DrawingArea<SVGBackend, plotters::coord::Shift>) -> PaintResult {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let marks = self.marks.iter().map(|(_, x)| *x);
        let x = tight_range(points().map(|point| point.0).chain(marks));
        let y = range(points().map(|point| point.1));
        let mut chart = ChartBuilder::on(page)
            .caption(&self.title, text_style(16.0))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 46)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(text_style(12.0))
            .axis_desc_style(text_style(13.0))
            .x_labels(8)
            .y_labels(6)
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_label_formatter(&|value| label(*value, &x))
            .y_label_formatter(&|value| label(*value, &y))
            .draw()?;
        for (name, at) in &self.marks {
            let ends = [(*at, y.start), (*at, y.end)];
            let dashed = DashedLineSeries::new(ends, 5, 4, INK.stroke_width(1));
            chart
                .draw_series(dashed)?
                .label(name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], INK.stroke_width(1)));
        }
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let style = match series.look {
                Look::Faint => colour.mix(0.35).stroke_width(1),
                Look::Plain | Look::Dotted => colour.stroke_width(2),
            };
            if series.look == Look::Dotted {
                let dot = |point: &(f64, f64)| Circle::new(*point, 4, colour.filled());
                chart.draw_series(series.points.iter().map(dot))?;
            }
            chart
                .draw_series(LineSeries::new(thinned(&series.points, STRETCHES), style))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .label_font(text_style(12.0))
            .draw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_axes_and_series_stand_in_the_picture() {
        let plot = Lines::new("Loss < 4", "step", "nats")
            .faint("each step", [(1.0, 4.0), (2.0, 2.0)])
            .dotted("epoch", [(2.0, 3.0)])
            .mark("stopped", 1.5);
        let svg = plot.draw();
        for text in [
            "Loss &lt; 4",
            "step",
            "nats",
            "each step",
            "epoch",
            "stopped",
        ] {
            assert!(svg.as_str().contains(text), "{text}");
        }
        assert_eq!(svg.as_str().matches("<circle").count(), 1);
        assert!(svg.as_str().starts_with("<svg") && svg.as_str().trim_end().ends_with("</svg>"));
    }

    #[test]
    fn any_values_can_be_drawn() {
        for values in [
            &[][..],
            &[f64::NAN],
            &[0.0],
            &[5.0, 5.0],
            &[-3.0, 3e30],
            &[1e-30, 2e-30],
        ] {
            let points = (0..).map(f64::from).zip(values.iter().copied());
            let svg = Lines::new("t", "x", "y").line("a", points).draw();
            assert!(!svg.as_str().contains("NaN"), "{values:?}");
        }
    }
}
