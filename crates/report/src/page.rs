//! The page: header, sections and footer.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use toml::{Table, Value};

use crate::answered::Answers;
use crate::format::{NONE, count, decimals, duration};
use crate::run::Run;
use crate::{RunSettings, answers_section, calibration, curves};

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub(crate) fn page(run: &Run, answers: &Answers) -> String {
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
                header { (heading(run, &name)) (headline(run, answers)) (navigation(run, answers)) }
                main {
                    (curves::section(run))
                    (curves::epochs(run))
                    (eval_sections(answers))
                    (calibration::section(run))
                    (scores(run))
                    (configuration(&run.config))
                    (environment(run))
                }
                footer { "Made by " code { "trainer report" } ", version " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    };
    page.into_string() + "\n"
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
        p.source { (run.setting("model", "source").and_then(Value::as_str).unwrap_or_default()) }
    }
}

/// The most important figures.
fn headline(run: &Run, answers: &Answers) -> Markup {
    let scores = run.scores();
    let score = |keys: &[&str], digits| {
        let found = scores.iter().find(|(key, _)| keys.contains(&key.as_str()));
        found.map(|(_, value)| decimals(*value, digits))
    };
    let train_loss = run.metric("train_loss").or_else(|| {
        let last = run.epochs.last();
        last.and_then(|record| record.scalar("epoch/train_loss"))
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

fn navigation(run: &Run, answers: &Answers) -> Markup {
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
        .chain(run.calibration().map(|_| &("confidence", "Confidence")))
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
    match answers {
        Answers::Scored(answered) => html! {
            (answers_section::kinds(answered))
            (answers_section::lengths(answered))
            (answers_section::answers(answered))
        },
        Answers::NotYet => html! {
            p.note { "The run writes its answers when it ends." }
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
            @if scores.is_empty() { p.note { "There are no scores yet." } }
            @else { (table(scores.into_iter().map(line))) }
            p.note { "Keys and scores are those of SQuAD's official evaluation scripts; loss is the mean span loss of the features." }
        }
    }
}

/// Every setting; those that are not the default are bold.
fn configuration(config: &RunSettings) -> Markup {
    let lines = settings(&config.settings).map(|(section, key, value)| {
        let default = config.defaults.get(section).and_then(|keys| keys.get(key));
        let text = match value {
            Value::String(text) if text.is_empty() => NONE.into(),
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let text = |item: &Value| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                };
                items.iter().map(text).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        (format!("{section}.{key}"), text, default != Some(value))
    });
    html! {
        section #configuration {
            h2 { "Configuration" }
            (table(lines))
            p.note { "Settings in bold are not the default." }
        }
    }
}

/// Section, key and value of every setting.
fn settings(config: &Table) -> impl Iterator<Item = (&str, &str, &Value)> {
    let sections = config
        .iter()
        .filter_map(|(section, keys)| Some((section.as_str(), keys.as_table()?)));
    sections.flat_map(|(section, keys)| {
        keys.iter()
            .map(move |(key, value)| (section, key.as_str(), value))
    })
}

/// What `metrics.json` says about the machine and the run, besides the scores.
fn environment(run: &Run) -> Markup {
    let recorded = run.metrics.as_ref().and_then(|m| m.as_object());
    let shown_above = ["eval", "train_loss", "steps", "best", "calibration"];
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
            @if lines.is_empty() { p.note { "The run records its environment when it ends." } }
            @else { (table(lines)) }
        }
    }
}

/// Name and text of a recorded value; `None` for null.
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

/// A table of names and values; marked ones are bold.
fn table(lines: impl IntoIterator<Item = (String, String, bool)>) -> Markup {
    html! {
        div.table { table.settings { tbody {
            @for (name, value, is_marked) in lines {
                tr.best[is_marked] { th scope="row" { (name) } td { (value) } }
            }
        } } }
    }
}
