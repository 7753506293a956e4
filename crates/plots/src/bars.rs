use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::axis::{Axis, can_be_drawn, short};
use crate::palette::{GRID, fill, text_style};
use crate::svg::{Svg, draw_on_white};

/// Width and height of a histogram; bars have the same width.
const SIZE: (u32, u32) = (680, 380);

/// A histogram of the values in `bins` ranges of equal width; those that are NaN, infinite or beyond 1e60 are left out.
pub fn histogram(title: &str, x: &str, values: impl IntoIterator<Item = f64>, bins: usize) -> Svg {
    let values: Vec<f64> = values
        .into_iter()
        .filter(|value| can_be_drawn(*value))
        .collect();
    let bins = bins.max(1);
    let across = Axis::Tight.range(values.iter().copied());
    let width = (across.end - across.start) / bins as f64;
    let mut counts = vec![0u32; bins];
    for value in &values {
        let bin = ((value - across.start) / width) as usize;
        // The highest value is the end of the last range.
        counts[bin.min(bins - 1)] += 1;
    }
    let heights = counts.iter().map(|count| f64::from(*count));
    let up = Axis::Loose.range(heights.chain([0.0]));
    draw_on_white(SIZE, |page| {
        let mut chart = ChartBuilder::on(page)
            .caption(title, text_style(16.0))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 46)
            .build_cartesian_2d(across.clone(), up.clone())?;
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
            .x_desc(x)
            .x_label_formatter(&|value| Axis::Tight.label(*value, &across))
            .y_label_formatter(&|value| Axis::Loose.label(*value, &up))
            .draw()?;
        let bar = |(bin, count): (usize, &u32)| {
            let left = across.start + bin as f64 * width;
            let corners = [(left, 0.0), (left + width, f64::from(*count))];
            Rectangle::new(corners, fill())
        };
        chart.draw_series(counts.iter().enumerate().map(bar))?;
        Ok(())
    })
}

/// A chart of named horizontal bars.
#[derive(Clone, Debug)]
pub struct Bars {
    title: String,
    bars: Vec<(String, f64)>,
}

const BAR: i32 = 24;
const TOP: i32 = 44;
const LEFT: i32 = 210;
const RIGHT: i32 = 80;

impl Bars {
    /// A chart without bars.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.into(),
            bars: Vec::new(),
        }
    }

    /// Adds a bar; a negative or NaN value has no length.
    #[must_use]
    pub fn bar(mut self, name: &str, value: f64) -> Self {
        self.bars.push((name.into(), value));
        self
    }

    /// Adds a bar for each pair of name and value.
    #[must_use]
    pub fn bars(mut self, bars: impl IntoIterator<Item = (String, f64)>) -> Self {
        self.bars.extend(bars);
        self
    }

    /// The chart, its bars from the top in the order they were added.
    pub fn draw(&self) -> Svg {
        let finite = |value: f64| {
            if value.is_finite() {
                value.max(0.0)
            } else {
                0.0
            }
        };
        let values = || self.bars.iter().map(|(_, value)| finite(*value));
        let most = values().fold(0.0, f64::max);
        let height = TOP + BAR * self.bars.len() as i32 + 12;
        let room = f64::from(SIZE.0 as i32 - LEFT - RIGHT);
        draw_on_white((SIZE.0, height as u32), |page| {
            let right = text_style(13.0).pos(Pos::new(HPos::Right, VPos::Center));
            let left = text_style(13.0).pos(Pos::new(HPos::Left, VPos::Center));
            page.draw(&Text::new(self.title.as_str(), (12, 14), text_style(16.0)))?;
            for (index, ((name, exact), value)) in self.bars.iter().zip(values()).enumerate() {
                let y = TOP + BAR * index as i32;
                let length = if most > 0.0 {
                    (room * (value / most)).round() as i32
                } else {
                    0
                };
                let corners = [(LEFT, y + 3), (LEFT + length, y + BAR - 3)];
                page.draw(&Rectangle::new(corners, fill()))?;
                let middle = y + BAR / 2;
                page.draw(&Text::new(name.as_str(), (LEFT - 8, middle), right.clone()))?;
                let label = short(*exact, most.max(1e-9));
                page.draw(&Text::new(label, (LEFT + length + 6, middle), left.clone()))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widths or heights of the bars, in units of the picture.
    fn sizes(svg: &Svg, attribute: &str) -> Vec<f64> {
        let rectangles = svg
            .as_str()
            .lines()
            .filter(|line| line.starts_with("<rect"));
        let before = format!(" {attribute}=\"");
        let size = |line: &str| {
            let (_, rest) = line.split_once(&before)?;
            rest.split('"').next()?.parse().ok()
        };
        // The first is the page.
        rectangles.skip(1).filter_map(size).collect()
    }

    #[test]
    fn a_histogram_counts_every_value_once() {
        let svg = histogram("Lengths", "words", [1.0, 1.2, 1.4, 2.5, 4.0], 3);
        let heights = sizes(&svg, "height");
        assert_eq!(heights.len(), 3, "{svg:?}");
        // 3, 1 and 1 values: the highest value belongs to the last range.
        assert!((heights[0] / heights[1] - 3.0).abs() < 0.1, "{heights:?}");
        assert_eq!(heights[1], heights[2]);
        for values in [&[][..], &[7.0], &[f64::NAN]] {
            assert!(
                !histogram("t", "x", values.iter().copied(), 4)
                    .as_str()
                    .contains("NaN")
            );
        }
        // Beyond what an axis can show.
        let huge = histogram("t", "x", [1.0, 2.0, 1e70, -1e70], 2);
        assert_eq!(huge, histogram("t", "x", [1.0, 2.0], 2));
    }

    #[test]
    fn lengths_are_proportional_to_values() {
        let svg = Bars::new("F1")
            .bar("who", 80.0)
            .bar("why", 20.0)
            .bar("none", f64::NAN)
            .draw();
        let widths = sizes(&svg, "width");
        assert!((widths[0] / widths[1] - 4.0).abs() < 0.1, "{widths:?}");
        assert!(
            svg.as_str().contains("who") && svg.as_str().contains("\n80\n"),
            "{svg:?}"
        );
        let huge = Bars::new("t").bar("a", f64::MAX).bar("b", f64::MAX / 2.0);
        let widths = sizes(&huge.draw(), "width");
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.1, "{widths:?}");
    }
}
