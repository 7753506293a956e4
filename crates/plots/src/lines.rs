use plotters::prelude::*;

use crate::axis::{Axis, can_be_drawn};
use crate::downsampled::downsampled;
use crate::palette::{COLOURS, GRID, INK, text_style};
use crate::svg::{Page, PaintResult, Svg, draw, draw_on_white};

/// A line chart.
///
/// ```
/// use plots::Lines;
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
    names: [String; 2],
    axes: [Axis; 2],
    series: Vec<Series>,
    marks: Vec<(String, f64)>,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// How it is drawn.
    pub look: Look,
    /// The index into [`COLOURS`].
    pub colour: usize,
    /// The points as (x, y); those that are NaN, infinite or beyond 1e60 are left out.
    pub points: Vec<(f64, f64)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Thin and pale, behind the others.
    Faint,
    /// A plain line.
    Plain,
    /// A line with a dot at each point.
    Dotted,
}

/// Sizes, in units of the picture.
struct Layout {
    size: (u32, u32),
    has_names: bool,
    font: f64,
    margins: [i32; 4],
    label_areas: [i32; 2],
    ticks: [usize; 2],
    tick_length: i32,
    grid: u32,
    thin: u32,
    thick: u32,
    dot: i32,
}

/// With title, names of the axes and legend.
const STANDALONE: Layout = Layout {
    size: (680, 380),
    has_names: true,
    font: 12.0,
    margins: [12, 12, 12, 12],
    label_areas: [64, 46],
    ticks: [8, 6],
    tick_length: 5,
    grid: 1,
    thin: 1,
    thick: 2,
    dot: 4,
};

/// Axes and lines alone, large enough to be scaled down to half a page.
const EMBEDDED: Layout = Layout {
    size: (1600, 840),
    has_names: false,
    font: 46.0,
    margins: [30, 40, 0, 0],
    label_areas: [190, 90],
    ticks: [6, 5],
    tick_length: 12,
    grid: 3,
    thin: 5,
    thick: 9,
    dot: 16,
};

/// Parts of a line; each is drawn through at most two points. More would be closer together than a pixel.
const BUCKETS: usize = 500;

impl Lines {
    /// The `viewBox` of [`Lines::draw_embedded`].
    pub const EMBEDDED_VIEW_BOX: &str = "0 0 1600 840";

    /// A chart without lines, with its title and the names of its axes.
    pub fn new(title: &str, x: &str, y: &str) -> Self {
        Self {
            title: title.into(),
            names: [x.into(), y.into()],
            axes: [Axis::Tight, Axis::Loose],
            series: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Sets how the axes are cut and labelled, [`Axis::Tight`] and [`Axis::Loose`] by default.
    #[must_use]
    pub fn axes(mut self, x: Axis, y: Axis) -> Self {
        self.axes = [x, y];
        self
    }

    /// Adds a line through points given as (x, y).
    #[must_use]
    pub fn line(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(name, Look::Plain, points)
    }

    /// Adds a thin, pale line, for noisy values.
    #[must_use]
    pub fn faint(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(name, Look::Faint, points)
    }

    /// Adds a line with a dot at each point, for few points.
    #[must_use]
    pub fn dotted(self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(name, Look::Dotted, points)
    }

    /// Gives the last line the colour `COLOURS[index]`; by default each line has the next colour.
    ///
    /// # Panics
    /// If there is no line or no such colour.
    #[must_use]
    pub fn colour(mut self, index: usize) -> Self {
        assert!(index < COLOURS.len(), "there are {} colours", COLOURS.len());
        self.series.last_mut().expect("a line comes first").colour = index;
        self
    }

    /// Adds a dashed vertical line at this x.
    #[must_use]
    pub fn mark(mut self, name: &str, x: f64) -> Self {
        if can_be_drawn(x) {
            self.marks.push((name.into(), x));
        }
        self
    }

    fn add(mut self, name: &str, look: Look, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let is_drawn = |point: &(f64, f64)| can_be_drawn(point.0) && can_be_drawn(point.1);
        self.series.push(Series {
            name: name.into(),
            look,
            colour: self.series.len() % COLOURS.len(),
            points: points.into_iter().filter(is_drawn).collect(),
        });
        self
    }

    /// The title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The name of the x axis.
    pub fn x_name(&self) -> &str {
        &self.names[0]
    }

    /// The lines that have a point.
    pub fn series(&self) -> impl Iterator<Item = &Series> + Clone {
        self.series
            .iter()
            .filter(|series| !series.points.is_empty())
    }

    /// The chart with title, names of the axes and legend on a white page.
    pub fn draw(&self) -> Svg {
        draw_on_white(STANDALONE.size, |page| self.paint(page, &STANDALONE))
    }

    /// Axes and lines alone on a transparent page, for a place that shows title, names and legend
    /// itself; its size is [`Lines::EMBEDDED_VIEW_BOX`].
    pub fn draw_embedded(&self) -> Svg {
        draw(EMBEDDED.size, |page| self.paint(page, &EMBEDDED))
    }

    fn paint(&self, page: &Page, layout: &Layout) -> PaintResult {
        let points = || self.series().flat_map(|series| &series.points);
        let marks = self.marks.iter().map(|(_, x)| *x);
        let [x_axis, y_axis] = self.axes;
        let x = x_axis.range(points().map(|point| point.0).chain(marks));
        let y = y_axis.range(points().map(|point| point.1));
        let [top, right, bottom, left] = layout.margins;
        let mut builder = ChartBuilder::on(page);
        builder
            .margin_top(top)
            .margin_right(right)
            .margin_bottom(bottom)
            .margin_left(left)
            .set_label_area_size(LabelAreaPosition::Left, layout.label_areas[0])
            .set_label_area_size(LabelAreaPosition::Bottom, layout.label_areas[1]);
        if layout.has_names {
            builder.caption(&self.title, text_style(16.0));
        }
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        let x_label = |value: &f64| x_axis.label(*value, &x);
        let y_label = |value: &f64| y_axis.label(*value, &y);
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(layout.grid))
            .axis_style(GRID.stroke_width(layout.grid))
            .label_style(text_style(layout.font))
            .set_all_tick_mark_size(layout.tick_length)
            .x_labels(layout.ticks[0])
            .y_labels(layout.ticks[1])
            .x_label_formatter(&x_label)
            .y_label_formatter(&y_label);
        if layout.has_names {
            mesh.axis_desc_style(text_style(13.0));
            mesh.x_desc(&self.names[0]).y_desc(&self.names[1]);
        }
        mesh.draw()?;
        for (name, at) in &self.marks {
            let ends = [(*at, y.start), (*at, y.end)];
            let dashed = DashedLineSeries::new(ends, 5, 4, INK.stroke_width(layout.grid));
            chart
                .draw_series(dashed)?
                .label(name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], INK));
        }
        for series in self.series() {
            let colour = COLOURS[series.colour];
            let style = if series.look == Look::Faint {
                colour.mix(0.35).stroke_width(layout.thin)
            } else {
                colour.stroke_width(layout.thick)
            };
            if series.look == Look::Dotted {
                let dot = |point: &(f64, f64)| Circle::new(*point, layout.dot, colour.filled());
                chart.draw_series(series.points.iter().map(dot))?;
            }
            chart
                .draw_series(LineSeries::new(downsampled(&series.points, BUCKETS), style))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        if layout.has_names {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.85))
                .label_font(text_style(layout.font))
                .draw()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_names_and_legend_stand_in_the_chart() {
        let plot = Lines::new("Loss < 4", "step", "nats")
            .faint("each step", [(1.0, 4.0), (2.0, 2.0)])
            .dotted("epoch", [(2.0, 3.0)])
            .line("nothing", [(f64::NAN, 1.0)])
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
        assert!(!svg.as_str().contains("nothing"));
        assert_eq!(svg.as_str().matches("<circle").count(), 1);
        assert!(svg.as_str().starts_with("<svg") && svg.as_str().trim_end().ends_with("</svg>"));
        let embedded = plot.draw_embedded();
        let view_box = format!("viewBox=\"{}\"", Lines::EMBEDDED_VIEW_BOX);
        assert!(embedded.as_str().contains(&view_box), "{embedded:?}");
        assert!(!embedded.inner().contains("<svg") && !embedded.inner().contains("Loss"));
    }

    #[test]
    fn colours_follow_one_another_unless_given() {
        let plot = Lines::new("t", "x", "y")
            .line("a", [(0.0, 1.0)])
            .line("b", [(0.0, 1.0)]);
        let colours = |plot: &Lines| plot.series().map(|s| s.colour).collect::<Vec<_>>();
        assert_eq!(colours(&plot), [0, 1]);
        assert_eq!(colours(&plot.colour(0)), [0, 0]);
    }

    #[test]
    fn any_values_can_be_drawn() {
        for values in [
            &[][..],
            &[f64::NAN],
            &[0.0],
            &[5.0, 5.0],
            &[-3.0, -1.0],
            &[-3.0, 3e30],
            &[1e-30, 2e-30],
            &[3.4e38, 0.0],
            &[100.0],
            &[1e308, -1e308],
            &[1e60, -1e60],
            &[1e-320, 2e-320],
            &[f64::MIN_POSITIVE],
            &[1e20, 1e20 + 32768.0],
            &[-1e20, -1e20],
            &[0.0, f64::INFINITY],
        ] {
            for y in Axis::ALL {
                let points = (4_000_000_000_u32..).map(f64::from);
                let points = points.zip(values.iter().copied());
                let plot = Lines::new("t", "x", "y")
                    .axes(Axis::Steps, y)
                    .mark("nowhere", f64::NAN)
                    .dotted("a", points);
                for svg in [plot.draw(), plot.draw_embedded()] {
                    let finite = values.iter().filter(|value| can_be_drawn(**value)).count();
                    assert_eq!(
                        svg.as_str().matches("<circle").count(),
                        finite,
                        "{values:?}"
                    );
                    assert!(!svg.as_str().contains("NaN"), "{values:?}");
                }
            }
        }
    }
}
