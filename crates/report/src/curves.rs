//! The curves of a run, and its table of epochs.

use maud::{Markup, PreEscaped, html};

use super::axis::Axis;
use super::chart::{BLUE, Chart, Look, ORANGE, Series};
use super::format::{decimals, figure};
use super::run::{Line, Run};
use crate::Error;

/// Every chart that has a point.
pub(super) fn section(run: &Run) -> Result<Markup, Error> {
    let charts = [
        by_step(run, "Loss", "train/loss", None),
        eval_loss(run),
        scores(run),
        learning_rate(run),
        by_step(
            run,
            "Gradient norm",
            "train/grad_norm",
            Some(run.config.train.max_grad_norm),
        ),
        by_step(
            run,
            "Features per second",
            "train/features_per_second",
            None,
        ),
    ];
    let mut figures = Vec::new();
    for chart in charts.iter().filter(|chart| !chart.is_empty()) {
        figures.push(draw(run, chart)?);
    }
    Ok(html! {
        section #curves {
            h2 { "Curves" }
            @if figures.is_empty() { p.note { "The run has made no step yet." } }
            div.charts { @for figure in &figures { (figure) } }
        }
    })
}

fn draw(run: &Run, chart: &Chart) -> Result<Markup, Error> {
    let cannot = |e| Error::file(&run.folder, format!("cannot draw {}: {e}", chart.title));
    let svg = chart.svg().map_err(cannot)?;
    let drawn = chart.series.iter().filter(|s| !s.points.is_empty());
    let names: Vec<_> = drawn.clone().map(|series| series.name.as_str()).collect();
    let label = format!(
        "{}, by {}: {}",
        chart.title,
        chart.x.name(),
        names.join(", ")
    );
    Ok(html! {
        figure {
            figcaption {
                h3 { (chart.title) }
                p.key {
                    @for series in drawn {
                        span.key-entry { i class=(key_class(series)) {} (series.name) }
                    }
                }
            }
            svg viewBox=(Chart::view_box()) role="img" aria-label=(label) { (PreEscaped(&svg)) }
            p.axis { (chart.x.name()) }
        }
    })
}

fn key_class(series: &Series) -> &'static str {
    match (series.colour == BLUE, series.look) {
        (true, Look::Faint) => "key-blue key-faint",
        (true, _) => "key-blue",
        (false, _) => "key-orange",
    }
}

fn points(lines: &[Line], x: impl Fn(&Line) -> u32, key: &str) -> Vec<(f64, f64)> {
    let point = |line: &Line| Some((f64::from(x(line)), line.figure(key)?));
    lines.iter().filter_map(point).collect()
}

/// The mean of the values in a window around each, about a twentieth of all and at most 201; at the
/// ends of what there is of it. Also gives how many values a whole window has.
fn smoothed(raw: &[(f64, f64)]) -> (usize, Vec<(f64, f64)>) {
    let side = (raw.len() / 40).clamp(2, 100);
    let mean = |index: usize| {
        let end = (index + side + 1).min(raw.len());
        let window = &raw[index.saturating_sub(side)..end];
        let sum: f64 = window.iter().map(|(_, value)| value).sum();
        (raw[index].0, sum / window.len() as f64)
    };
    (2 * side + 1, (0..raw.len()).map(mean).collect())
}

/// A figure of each step, smoothed besides; a limit is a line across.
fn by_step(run: &Run, title: &'static str, key: &str, limit: Option<f64>) -> Chart {
    let raw = points(&run.steps, |line| line.step, key);
    let (window, means) = smoothed(&raw);
    let ends = [raw.first(), raw.last()].into_iter().flatten();
    let limit = limit.filter(|limit| *limit > 0.0);
    let limit = limit.map(|limit| ends.map(|(step, _)| (*step, limit)).collect());
    let series = |name: &str, colour, look, points| Series {
        name: name.into(),
        colour,
        look,
        points,
    };
    let mut lines = vec![
        series("each step", BLUE, Look::Faint, raw),
        series(&format!("mean of {window}"), BLUE, Look::Plain, means),
    ];
    if let Some(limit) = limit {
        lines.push(series("clipped to", ORANGE, Look::Plain, limit));
    }
    Chart {
        title,
        x: Axis::Steps,
        y: Axis::Amount,
        series: lines,
    }
}

fn learning_rate(run: &Run) -> Chart {
    let points = points(&run.steps, |line| line.step, "train/learning_rate");
    Chart {
        title: "Learning rate",
        x: Axis::Steps,
        y: Axis::Rate,
        series: vec![Series {
            name: "of the head".into(),
            colour: BLUE,
            look: Look::Plain,
            points,
        }],
    }
}

fn dotted(name: &str, colour: plotters::style::RGBColor, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: name.into(),
        colour,
        look: Look::Dotted,
        points,
    }
}

fn eval_loss(run: &Run) -> Chart {
    let of = |key: &str| points(&run.epochs, |line| line.epoch, key);
    Chart {
        title: "Loss of each epoch",
        x: Axis::Epochs,
        y: Axis::Amount,
        series: vec![
            dotted("training", BLUE, of("epoch/train_loss")),
            dotted("eval", ORANGE, of("epoch/eval_loss")),
        ],
    }
}

/// Over epochs, or over steps where evaluations stand between the ends of epochs.
fn scores(run: &Run) -> Chart {
    let ends_an_epoch = |line: &Line| run.epochs.iter().any(|epoch| epoch.step == line.step);
    let between = !run.evaluations.iter().all(ends_an_epoch);
    let (lines, prefix, x) = match between {
        true => (&run.evaluations, "eval/", Axis::Steps),
        false => (&run.epochs, "epoch/eval_", Axis::Epochs),
    };
    let at = |line: &Line| f64::from(if between { line.step } else { line.epoch });
    let exact = lines.iter().filter_map(|l| Some((at(l), l.exact(prefix)?)));
    let f1 = format!("{prefix}f1");
    let f1 = lines.iter().filter_map(|l| Some((at(l), l.figure(&f1)?)));
    Chart {
        title: "Dev scores in percent",
        x,
        y: Axis::Percent,
        series: vec![
            dotted("F1", BLUE, f1.collect()),
            dotted("exact match", ORANGE, exact.collect()),
        ],
    }
}

/// Columns of the table of epochs: head, key, decimals.
const COLUMNS: [(&str, &str, usize); 8] = [
    ("Train loss", "epoch/train_loss", 4),
    ("Eval loss", "epoch/eval_loss", 4),
    ("Eval EM", "epoch/eval_exact", 2),
    ("Eval EM", "epoch/eval_exact_match", 2),
    ("Eval F1", "epoch/eval_f1", 2),
    ("Span EM", "epoch/train_span_exact", 2),
    ("Span F1", "epoch/train_span_f1", 2),
    ("Features/s", "epoch/features_per_second", 1),
];

/// One line for each epoch, with the columns that any of them has.
pub(super) fn epochs(run: &Run) -> Markup {
    let has = |key: &str| run.epochs.iter().any(|line| line.figure(key).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(|(_, key, _)| has(key)).collect();
    let f1 = |line: &Line| line.figure("epoch/eval_f1");
    let best = run.epochs.iter().filter_map(f1).reduce(f64::max);
    html! {
        section #epochs {
            h2 { "Epochs" }
            @if run.epochs.is_empty() {
                p.note { "No epoch is finished yet." }
            } @else {
                div.table { table.numbers {
                    thead { tr {
                        th scope="col" { "Epoch" } th scope="col" { "Steps" }
                        @for (head, _, _) in &columns { th scope="col" { (head) } }
                    } }
                    tbody { @for line in &run.epochs {
                        tr.best[best.is_some() && f1(line) == best] {
                            th scope="row" { (line.epoch) } td { (line.step) }
                            @for (_, key, digits) in &columns {
                                td { (figure(line.figure(key), *digits)) }
                            }
                        }
                    } }
                } }
                p.note {
                    "Span EM and F1 count tokens of the training windows while they are trained on, with dropout; the evaluation \
                     figures are the official ones, on text."
                    @if let Some(best) = best { " The highest evaluation F1, " (decimals(best, 2)) ", stands in bold." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_takes_as_much_from_either_side() {
        let line: Vec<_> = (0..200)
            .map(|x| (f64::from(x), 3.0 * f64::from(x)))
            .collect();
        let (window, means) = smoothed(&line);
        assert_eq!(window, 11);
        // A straight line stays where it is, but for its ends: sums of whole numbers are exact.
        assert_eq!(means[5..195], line[5..195]);
        assert_eq!(means[0], (0.0, 7.5));
        let (window, means) = smoothed(&[(1.0, 0.0), (2.0, 6.0), (3.0, 0.0), (4.0, 0.0)]);
        assert_eq!(window, 5);
        assert_eq!(means, [(1.0, 2.0), (2.0, 1.5), (3.0, 1.5), (4.0, 2.0)]);
        assert!(smoothed(&[]).1.is_empty());
    }
}
