//! Calibration: how well the probabilities of answers match their accuracy.

use maud::{Markup, html};
use plots::{Axis, Lines};
use serde_json::Value;

use crate::curves::{BLUE, ORANGE, draw};
use crate::format::{count, decimals};
use crate::run::Run;

/// The section about the values fitted after training; empty for a run without them.
pub(crate) fn section(run: &Run) -> Markup {
    let Some(fitted) = run.calibration() else {
        return html! {};
    };
    let number = |key: &str| fitted.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let questions = |key: &str| count(fitted.get(key).and_then(Value::as_u64).unwrap_or(0));
    let charts = [reliability(fitted), coverage(fitted)];
    html! {
        section #confidence {
            h2 { "Confidence" }
            p {
                "After training, temperature " (decimals(number("temperature"), 3))
                " and no-answer threshold " (decimals(number("null_score_diff_threshold"), 3))
                " were fitted on " (questions("fitted_on")) " questions of the evaluation set. On the other "
                (questions("measured_on")) " the expected calibration error is "
                (decimals(number("ece"), 4)) "; without the temperature it is "
                (decimals(number("ece_before"), 4)) "."
            }
            div.charts { @for chart in &charts { (draw(chart)) } }
            p.note {
                "Left: of the answers with about this probability, the share that matches exactly; an answer's probability is right on the \
                 diagonal. Right: if the most probable answers are kept, the share of them that matches exactly. “No answer” is an answer."
            }
        }
    }
}

fn reliability(fitted: &Value) -> Lines {
    let ends = [(0.0, 0.0), (1.0, 1.0)];
    Lines::new("Reliability", "probability", "share of exact matches")
        .axes(Axis::Tight, Axis::Tight)
        .faint("as it should be", ends)
        .colour(BLUE)
        .dotted(
            "temperature 1",
            points(fitted, "reliability_before", "confidence", "accuracy"),
        )
        .colour(ORANGE)
        .dotted(
            "fitted temperature",
            points(fitted, "reliability", "confidence", "accuracy"),
        )
        .colour(BLUE)
}

fn coverage(fitted: &Value) -> Lines {
    Lines::new(
        "Precision of the most probable answers",
        "share of the questions",
        "share of exact matches",
    )
    .axes(Axis::Tight, Axis::Loose)
    .dotted(
        "exact matches",
        points(fitted, "coverage", "coverage", "precision"),
    )
}

/// The points of a list of objects.
fn points(fitted: &Value, list: &str, x: &str, y: &str) -> Vec<(f64, f64)> {
    let list = fitted.get(list).and_then(Value::as_array);
    let point = |entry: &Value| Some((entry.get(x)?.as_f64()?, entry.get(y)?.as_f64()?));
    list.into_iter().flatten().filter_map(point).collect()
}
