//! The curves of a run, and its table of epochs.

use maud::{Markup, PreEscaped, html};
use plots::{Axis, Lines, Look, Series, moving_average};
use run_log::Record;

use crate::format::{decimals, figure};
use crate::run::{Run, exact};

/// The colours of the palette that the style sheet knows for light and dark pages.
pub(crate) const BLUE: usize = 0;
pub(crate) const ORANGE: usize = 1;

/// Every chart that has a point.
pub(crate) fn section(run: &Run) -> Markup {
    let max_grad_norm = run
        .setting("train", "max_grad_norm")
        .and_then(toml::Value::as_float);
    let charts = [
        by_step(run, "Loss", "train/loss", None),
        losses(run),
        scores(run),
        learning_rate(run),
        by_step(run, "Gradient norm", "train/grad_norm", max_grad_norm),
        by_step(
            run,
            "Features per second",
            "train/features_per_second",
            None,
        ),
    ];
    let charts: Vec<_> = charts
        .iter()
        .filter(|chart| chart.series().next().is_some())
        .collect();
    html! {
        section #curves {
            h2 { "Curves" }
            @if charts.is_empty() { p.note { "The run has made no step yet." } }
            div.charts { @for chart in charts { (draw(chart)) } }
        }
    }
}

pub(crate) fn draw(chart: &Lines) -> Markup {
    let names: Vec<_> = chart.series().map(|series| series.name.as_str()).collect();
    let label = format!(
        "{}, by {}: {}",
        chart.title(),
        chart.x_name(),
        names.join(", ")
    );
    html! {
        figure {
            figcaption {
                h3 { (chart.title()) }
                p.key {
                    @for series in chart.series() {
                        span.key-entry { i class=(key_class(series)) {} (series.name) }
                    }
                }
            }
            svg viewBox=(Lines::EMBEDDED_VIEW_BOX) role="img" aria-label=(label) {
                (PreEscaped(chart.draw_embedded().inner()))
            }
            p.axis { (chart.x_name()) }
        }
    }
}

fn key_class(series: &Series) -> &'static str {
    match (series.colour, series.look) {
        (BLUE, Look::Faint) => "key-blue key-faint",
        (BLUE, _) => "key-blue",
        _ => "key-orange",
    }
}

/// A figure of each record, as (x, value).
fn points(records: &[Record], name: &str) -> Vec<(f64, f64)> {
    let point = |record: &Record| Some((f64::from(record.x()), record.scalar(name)?));
    records.iter().filter_map(point).collect()
}

/// The moving average over a window of about a twentieth of the values, 5 to 201; also returns the size of the window.
fn smoothed(raw: &[(f64, f64)]) -> (usize, Vec<(f64, f64)>) {
    let window = 2 * (raw.len() / 40).clamp(2, 100) + 1;
    (window, moving_average(raw, window))
}

/// A figure of each step and its moving average; a limit is a horizontal line.
fn by_step(run: &Run, title: &str, name: &str, limit: Option<f64>) -> Lines {
    let raw = points(&run.steps, name);
    let (window, means) = smoothed(&raw);
    let ends: Vec<_> = [raw.first(), raw.last()]
        .into_iter()
        .flatten()
        .map(|end| end.0)
        .collect();
    let chart = Lines::new(title, "optimizer step", "")
        .axes(Axis::Steps, Axis::Amount)
        .faint("each step", raw)
        .colour(BLUE)
        .line(&format!("mean of {window}"), means)
        .colour(BLUE);
    match limit.filter(|limit| *limit > 0.0) {
        Some(limit) => {
            let across = ends.into_iter().map(|step| (step, limit));
            chart.line("clipped to", across).colour(ORANGE)
        }
        None => chart,
    }
}

fn learning_rate(run: &Run) -> Lines {
    Lines::new("Learning rate", "optimizer step", "")
        .axes(Axis::Steps, Axis::Rate)
        .line("of the head", points(&run.steps, "train/learning_rate"))
}

fn losses(run: &Run) -> Lines {
    Lines::new("Loss of each epoch", "epoch", "")
        .axes(Axis::Epochs, Axis::Amount)
        .dotted("training", points(&run.epochs, "epoch/train_loss"))
        .dotted("evaluation", points(&run.epochs, "epoch/eval_loss"))
}

/// Scores by epoch, or by step if there are evaluations within epochs.
fn scores(run: &Run) -> Lines {
    let ends_an_epoch = |record: &Record| run.epochs.iter().any(|epoch| epoch.step == record.step);
    let by_epoch = run.evaluations.iter().all(ends_an_epoch);
    let (records, prefix, x_name, x) = if by_epoch {
        (&run.epochs, "epoch/eval_", "epoch", Axis::Epochs)
    } else {
        (&run.evaluations, "eval/", "optimizer step", Axis::Steps)
    };
    let exact = |record: &Record| Some((f64::from(record.x()), exact(record, prefix)?));
    Lines::new("Evaluation scores in percent", x_name, "")
        .axes(x, Axis::Percent)
        .dotted("F1", points(records, &format!("{prefix}f1")))
        .dotted("exact match", records.iter().filter_map(exact))
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

/// A row for each epoch, with the columns that any epoch has.
pub(crate) fn epochs(run: &Run) -> Markup {
    let has = |key: &str| run.epochs.iter().any(|line| line.scalar(key).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(|(_, key, _)| has(key)).collect();
    let f1 = |line: &Record| line.scalar("epoch/eval_f1");
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
                                td { (figure(line.scalar(key), *digits)) }
                            }
                        }
                    } }
                } }
                p.note {
                    "Span EM and F1 compare token positions of the training features during training, with dropout. \
                     Evaluation scores are the official ones, on text."
                    @if let Some(best) = best { " The highest evaluation F1, " (decimals(best, 2)) ", is bold." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_with_the_number_of_values() {
        for (values, window) in [(0, 5), (4, 5), (200, 11), (100_000, 201)] {
            let (found, means) = smoothed(&vec![(0.0, 1.0); values]);
            assert_eq!((found, means.len()), (window, values));
        }
    }
}
