//! The page: what stands at its top, what at its end, and everything between.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use toml::{Table, Value};

use super::answered::{Answered, Answers};
use super::format::{NONE, count, decimals, duration};
use super::run::Run;
use super::{answers_section, curves};
use crate::{Config, Error};

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub(super) fn page(run: &Run, answers: &Answers) -> Result<String, Error> {
    let name = run.name();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (name) " · training report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (heading(run, &name)) (headline(run, answers)) (navigation(answers)) }
                main {
                    (curves::section(run)?)
                    (curves::epochs(run))
                    (eval_sections(answers))
                    (scores(run))
                    (configuration(&run.config))
                    (environment(run))
                }
                footer { "Made by " code { "trainer report" } ", version " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    };
    Ok(page.into_string() + "\n")
}

fn heading(run: &Run, name: &str) -> Markup {
    let state = match (&run.metrics, run.steps.last()) {
        (Some(_), _) => "finished".to_owned(),
        (None, None) => "no step made yet".to_owned(),
        (None, Some(last)) => format!("unfinished: step {}, epoch {}", last.step, last.epoch),
    };
    html! {
        p.kicker { "Training report · " (state) }
        h1 { (name) }
        p.source { (run.config.model.source) }
    }
}

/// The figures that one looks for first.
fn headline(run: &Run, answers: &Answers) -> Markup {
    let scores = run.scores();
    let score = |keys: &[&str], digits| {
        let found = scores.iter().find(|(key, _)| keys.contains(&key.as_str()));
        found.map(|(_, value)| decimals(*value, digits))
    };
    let train_loss = run.metric("train_loss").or_else(|| {
        let last = run.epochs.last();
        last.and_then(|line| line.figure("epoch/train_loss"))
    });
    let questions = match answers {
        Answers::Scored(answered) => Some(answered.len() as u64),
        _ => None,
    };
    let steps = run.steps.last().map(|line| u64::from(line.step));
    let figures = [
        ("Exact match", score(&["exact", "exact_match"], 2)),
        ("F1", score(&["f1"], 2)),
        ("Train loss", train_loss.map(|loss| decimals(loss, 3))),
        ("Eval loss", score(&["loss"], 3)),
        ("Questions scored", questions.map(count)),
        ("Steps", steps.map(count)),
        (
            "Features/s",
            run.metric("features_per_second").map(|v| decimals(v, 1)),
        ),
        ("Time", run.metric("seconds").map(duration)),
    ];
    html! {
        dl.headline {
            @for (name, value) in figures {
                @if let Some(value) = value { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn navigation(answers: &Answers) -> Markup {
    let eval = match answers {
        Answers::Scored(_) => &[
            ("errors", "Errors"),
            ("lengths", "Lengths"),
            ("answers", "Answers"),
        ][..],
        _ => &[],
    };
    let places = [("curves", "Curves"), ("epochs", "Epochs")]
        .iter()
        .chain(eval)
        .chain(&[
            ("scores", "Scores"),
            ("configuration", "Configuration"),
            ("environment", "Environment"),
        ]);
    html! {
        nav aria-label="Sections" {
            @for (id, name) in places { a href=(format!("#{id}")) { (name) } }
        }
    }
}

fn eval_sections(answers: &Answers) -> Markup {
    let all = |answered: &[Answered]| {
        html! {
            (answers_section::outcomes(answered))
            (answers_section::lengths(answered))
            (answers_section::answers(answered))
        }
    };
    match answers {
        Answers::Scored(answered) => all(answered),
        Answers::NotYet => html! {
            p.note { "The run has not written its answers yet: it does so when it ends." }
        },
        Answers::Missing(why) => html! {
            p.note { "Questions and contexts are missing: " (why) }
        },
    }
}

/// All figures of the last evaluation.
fn scores(run: &Run) -> Markup {
    let scores = run.scores();
    let line = |(key, value): (String, f64)| {
        let is_count = key.ends_with("total");
        let text = decimals(value, if is_count { 0 } else { 4 });
        (key, text, false)
    };
    html! {
        section #scores {
            h2 { "Scores" }
            @if scores.is_empty() { p.note { "Nothing has been scored yet." } }
            @else { (table(scores.into_iter().map(line))) }
            p.note { "Keys and figures are those of SQuAD's official evaluation scripts; loss is the mean span loss of the windows." }
        }
    }
}

/// Every setting; those that are not the default stand out.
fn configuration(config: &Config) -> Markup {
    let settings = |config: &Config| {
        let table: Table = Table::try_from(config).unwrap_or_default();
        let sections = table.into_iter().filter_map(|(section, keys)| match keys {
            Value::Table(keys) => Some((section, keys)),
            _ => None,
        });
        let lines = sections.flat_map(|(section, keys)| {
            keys.into_iter()
                .map(move |(key, value)| (format!("{section}.{key}"), value))
        });
        lines.collect::<Vec<_>>()
    };
    let defaults = settings(&Config::default());
    let lines = settings(config).into_iter().map(|(key, value)| {
        let is_set = !defaults.iter().any(|(k, v)| (k, v) == (&key, &value));
        let text = match &value {
            Value::String(text) if text.is_empty() => NONE.into(),
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let items = items.iter().map(|item| item.as_str().unwrap_or_default());
                items.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        (key, text, is_set)
    });
    html! {
        section #configuration {
            h2 { "Configuration" }
            (table(lines))
            p.note { "In bold what is not the default." }
        }
    }
}

/// What the run recorded about the machine, and whatever else it recorded.
fn environment(run: &Run) -> Markup {
    let recorded = run.metrics.as_ref().and_then(|m| m.as_object());
    let shown_above = ["eval", "train_loss", "steps", "best"];
    let mut lines = Vec::new();
    for (key, value) in recorded.into_iter().flatten() {
        match value.as_object() {
            _ if shown_above.contains(&key.as_str()) => {}
            Some(parts) => {
                let parts = parts.iter();
                lines.extend(parts.filter_map(|(part, value)| recorded_line(part, value)));
            }
            None => lines.extend(recorded_line(key, value)),
        }
    }
    html! {
        section #environment {
            h2 { "Environment" }
            @if lines.is_empty() { p.note { "A run records it when it ends." } }
            @else { (table(lines)) }
        }
    }
}

fn recorded_line(key: &str, value: &serde_json::Value) -> Option<(String, String, bool)> {
    let number = value.as_f64().unwrap_or(f64::NAN);
    let (name, text) = match (key, value.as_str()) {
        _ if value.is_null() => return None,
        ("peak_memory_bytes", _) => {
            let mebibytes = decimals(number / f64::from(1 << 20), 0);
            ("peak memory", format!("{mebibytes} MiB"))
        }
        ("seconds", _) => ("time", duration(number)),
        ("features_per_second", _) => ("features per second", decimals(number, 2)),
        (key, Some(text)) => (key, text.to_owned()),
        (key, None) => (key, value.to_string()),
    };
    Some((name.to_owned(), text, false))
}

/// Names and values; the marked ones in bold.
fn table(lines: impl IntoIterator<Item = (String, String, bool)>) -> Markup {
    html! {
        div.table { table.settings { tbody {
            @for (name, value, is_marked) in lines {
                tr.best[is_marked] { th scope="row" { (name) } td { (value) } }
            }
        } } }
    }
}
