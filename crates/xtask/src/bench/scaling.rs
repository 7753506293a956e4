//! How time and memory grow.

use super::data;
use super::machine::Circumstances;
use super::options::Options;
use super::place::{Place, read, write};
use super::plot::{self, Panel};
use super::side::Side;
use super::table::markdown;
use super::work::{self, Task};
use super::{doc, race};
use crate::root;

const STEPS: usize = 5;
/// A context is so many times as long as a window: few windows are not full.
const CONTEXT: usize = 4;

/// One of the things that are varied, and what was found.
pub(super) struct Axis {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

pub(super) struct Point {
    pub(super) value: usize,
    pub(super) sides: Vec<(Side, Cost)>,
}

/// Of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    pub(super) mib: f64,
}

/// `cargo xtask bench scaling`.
pub(super) fn run(options: &Options) -> Result<(), String> {
    let circumstances = Circumstances::now();
    let place = Place::find(options, "train-v1.1-random-paragraphs.json", "train.json")?;
    let longest = values("length", options)?
        .into_iter()
        .max()
        .unwrap_or_default();
    lengthen(&place, options, longest.max(options.max_length))?;
    let mut axes = Vec::new();
    for name in &options.axes {
        let mut points = Vec::new();
        for value in values(name, options)? {
            points.push(point(name, value, &place, options)?);
        }
        axes.push(Axis {
            name: name.clone(),
            points,
        });
    }
    let text: String = axes.iter().map(|axis| table(axis) + "\n").collect();
    let panels: Vec<_> = axes.iter().flat_map(Panel::of_axis).collect();
    let picture = root().join("docs/images/scaling.svg");
    let picture = if options.doc {
        picture
    } else {
        place.scratch.join("scaling.svg")
    };
    plot::draw(&panels, &picture)?;
    eprintln!("{}", picture.display());
    let what = format!(
        "MiniLM's shape with random weights, {STEPS} steps, one run of each; where not varied: batch {}, windows of {} \
         tokens, {} threads.",
        options.batch, options.max_length, options.threads
    );
    let picture = "![How a training step's time and memory grow](images/scaling.svg)";
    doc::publish(
        "scaling",
        &format!("{picture}\n\n{text}{}", circumstances.markdown(&what)),
        options.doc,
    )
}

fn values(axis: &str, options: &Options) -> Result<Vec<usize>, String> {
    Ok(match axis {
        "batch" => vec![4, 8, 16, 32],
        "length" => vec![64, 128, 256, 512],
        "layers" => vec![1, 2, 4, 6, 12],
        "threads" => (1..=options.threads).collect(),
        _ => {
            return Err(format!(
                "--axes: batch, length, layers or threads, not {axis}"
            ));
        }
    })
}

/// Questions whose windows are full up to the longest length.
fn lengthen(place: &Place, options: &Options, longest: usize) -> Result<(), String> {
    let file = read(&place.source)?;
    let windows = STEPS
        * values("batch", options)?
            .into_iter()
            .max()
            .unwrap_or_default();
    let chosen = data::long(&data::questions(&file), windows, CONTEXT * longest);
    write(&place.questions, &data::file(&chosen))
}

fn point(axis: &str, value: usize, place: &Place, options: &Options) -> Result<Point, String> {
    let mut options = Options {
        steps: STEPS,
        ..options.clone()
    };
    let mut layers = None;
    match axis {
        "batch" => options.batch = value,
        "length" => options.max_length = value,
        "threads" => options.threads = value,
        _ => layers = Some(("num_hidden_layers", value)),
    }
    options.stride = options.max_length / 4;
    let place = place.with_config(layers.as_slice())?;
    eprintln!("{axis} {value}");
    let sides = race::alternate(&options.sides(), 1, |side| {
        work::measure(Task::Train, side, &place, &options)
    })?;
    let cost = |(side, rounds): (Side, Vec<work::Measured>)| {
        let seconds = options.batch as f64 / rounds[0].features_per_second;
        (
            side,
            Cost {
                seconds,
                mib: rounds[0].peak_memory / f64::from(1 << 20),
            },
        )
    };
    Ok(Point {
        value,
        sides: sides.into_iter().map(cost).collect(),
    })
}

fn table(axis: &Axis) -> String {
    let sides = axis.points.first().map_or(&[][..], |point| &point.sides);
    let head = sides
        .iter()
        .flat_map(|(side, _)| [format!("{side}: s/step"), "MiB".into()]);
    let mut rows = vec![std::iter::once(axis.name.clone()).chain(head).collect()];
    for point in &axis.points {
        let cells = point
            .sides
            .iter()
            .flat_map(|(_, cost)| [format!("{:.3}", cost.seconds), format!("{:.0}", cost.mib)]);
        rows.push(
            std::iter::once(point.value.to_string())
                .chain(cells)
                .collect(),
        );
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_value_and_two_columns_for_each_side() {
        let cost = |seconds, mib| Cost { seconds, mib };
        let sides = |factor: f64| {
            vec![
                (Side::ours("ndarray").unwrap(), cost(0.5 * factor, 300.0)),
                (Side::peer("group").unwrap(), cost(factor, 900.4)),
            ]
        };
        let points = [4, 8].map(|value| Point {
            value,
            sides: sides(value as f64),
        });
        let text = table(&Axis {
            name: "batch".into(),
            points: points.into(),
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| batch | ours, ndarray: s/step | MiB | peer, group: s/step | MiB |"
        );
        assert_eq!(lines[3], "| 8 | 4.000 | 300 | 8.000 | 900 |");
    }
}
