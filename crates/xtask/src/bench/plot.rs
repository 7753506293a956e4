//! Small charts side by side, as SVG.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::prelude::*;

use super::scaling::{Axis, Cost};

const PANEL: (u32, u32) = (420, 300);
const COLOURS: [RGBColor; 5] = [
    RGBColor(0x1F, 0x6F, 0xB2),
    RGBColor(0xC8, 0x57, 0x1B),
    RGBColor(0x2E, 0x8B, 0x57),
    RGBColor(0x8B, 0x4F, 0xB0),
    RGBColor(0x5B, 0x64, 0x72),
];

/// Lines over the same axes.
pub(super) struct Panel {
    title: String,
    /// Where no line is.
    legend: SeriesLabelPosition,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Panel {
    /// Falling lines with their names and points.
    pub(super) fn falling(title: &str, lines: Vec<(String, Vec<(f64, f64)>)>) -> Self {
        Self {
            title: title.into(),
            legend: SeriesLabelPosition::LowerLeft,
            lines,
        }
    }

    /// Time and memory.
    pub(super) fn of_axis(axis: &Axis) -> [Self; 2] {
        let seconds = |cost: &Cost| cost.seconds;
        [
            ("seconds a step", seconds as fn(&Cost) -> f64),
            ("peak MiB", |cost| cost.mib),
        ]
        .map(|(what, figure)| {
            let sides = axis.points.first().map_or(0, |point| point.sides.len());
            let line = |side: usize| {
                let points = axis
                    .points
                    .iter()
                    .map(|point| (point.value as f64, figure(&point.sides[side].1)));
                (axis.points[0].sides[side].0.to_string(), points.collect())
            };
            Self {
                title: format!("{what} over {}", axis.name),
                legend: SeriesLabelPosition::UpperLeft,
                lines: (0..sides).map(line).collect(),
            }
        })
    }
}

/// Two panels in a row.
pub(super) fn draw(panels: &[Panel], path: &Path) -> Result<(), String> {
    let svg = svg(panels).map_err(|error| format!("{}: {error}", path.display()))?;
    fs::write(path, svg).map_err(|error| format!("{}: {error}", path.display()))
}

fn svg(panels: &[Panel]) -> Result<String, Box<dyn Error>> {
    let rows = panels.len().div_ceil(2).max(1);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (2 * PANEL.0, rows as u32 * PANEL.1))
            .into_drawing_area();
        root.fill(&WHITE)?;
        for (area, panel) in root.split_evenly((rows, 2)).iter().zip(panels) {
            let points = || panel.lines.iter().flat_map(|(_, points)| points);
            let [x, y] = [
                points().map(|p| p.0).fold(0.0, f64::max),
                points().map(|p| p.1).fold(0.0, f64::max),
            ];
            let mut chart = ChartBuilder::on(area)
                .caption(&panel.title, ("sans-serif", 18))
                .margin(12)
                .x_label_area_size(28)
                .y_label_area_size(56)
                .build_cartesian_2d(0.0..1.05 * x.max(1.0), 0.0..1.1 * y.max(1e-6))?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .label_style(("sans-serif", 13))
                .x_label_formatter(&label)
                .y_label_formatter(&label)
                .draw()?;
            for ((name, points), colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
                chart
                    .draw_series(
                        LineSeries::new(points.iter().copied(), colour.stroke_width(2))
                            .point_size(3),
                    )?
                    .label(name)
                    .legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
                    });
            }
            chart
                .configure_series_labels()
                .position(panel.legend.clone())
                .label_font(("sans-serif", 13))
                .background_style(WHITE.mix(0.8))
                .draw()?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// Without the zeros of a number that is whole.
fn label(number: &f64) -> String {
    format!("{}", (number * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::super::scaling::Point;
    use super::super::side::Side;
    use super::*;

    #[test]
    fn every_panel_has_its_title_and_every_line_its_points() {
        let point = |value: usize| {
            let cost = |factor| Cost {
                seconds: factor * value as f64,
                mib: 100.0,
            };
            let sides = [("ndarray", 1.0), ("libtorch", 0.5)];
            Point {
                value,
                sides: sides
                    .map(|(name, factor)| (Side::ours(name).unwrap(), cost(factor)))
                    .into(),
            }
        };
        let axis = Axis {
            name: "batch".into(),
            points: vec![point(4), point(8), point(16)],
        };
        let svg = svg(&Panel::of_axis(&axis)).unwrap();
        for text in [
            "seconds a step over batch",
            "peak MiB over batch",
            "ours, libtorch",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg.matches("<circle").count(), 2 * 2 * 3);
        assert!(!svg.contains("NaN"));
        assert_eq!([12000.0, 0.1 + 0.2].map(|n| label(&n)), ["12000", "0.3"]);
    }
}
