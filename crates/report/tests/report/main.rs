//! The page of a run folder that is written by hand, and the checks that every page must pass.

mod missing;
mod page;
mod well_formed;

use std::collections::HashMap;
use std::path::PathBuf;

use qa_metrics::{Metric, score_v2};
use report::{Error, RunSettings, write_report};
use serde_json::{Value, json};
use squad_data::Dataset;
use tempfile::TempDir;
use well_formed::well_formed;

const CONTEXT: &str = "Ann <script>alert(1)</script> baked a large blue pie & ate it in Rome.";

/// A question, its gold answer and what a model answered; empty for none.
const QUESTIONS: [(&str, &str, &str); 6] = [
    ("Who <script>baked</script> it?", "Ann", "Ann"),
    ("What did Ann bake?", "a large blue pie", "blue pie & ate"),
    ("In which town?", "Rome", "Ann"),
    ("When?", "", ""),
    ("Why?", "", "Rome"),
    ("How big was it?", "large", ""),
];

/// A folder with a dataset, `pies.json`, and a finished run, `run`.
struct Sandbox(TempDir);

impl Sandbox {
    /// A run with every kind of error.
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        let place = |text: &str| CONTEXT.find(text).unwrap();
        let questions = QUESTIONS.iter().zip(1..).map(|((question, gold, _), id)| {
            let answers = match *gold {
                "" => json!([]),
                gold => json!([{ "text": gold, "answer_start": place(gold) }]),
            };
            json!({ "id": format!("q{id}"), "question": question, "answers": answers,
                    "is_impossible": gold.is_empty() })
        });
        let questions: Vec<Value> = questions.collect();
        let paragraph = json!({ "context": CONTEXT, "qas": questions });
        let dataset = json!({ "data": [{ "title": "Pies & <b>", "paragraphs": [paragraph] }] });
        sandbox.write("pies.json", &dataset.to_string());
        std::fs::create_dir_all(sandbox.path("run/eval")).unwrap();
        let object = |value: &dyn Fn(&str) -> Value| -> String {
            let entries = QUESTIONS.iter().zip(1..);
            let entries = entries.map(|((_, _, text), id)| (format!("q{id}"), value(text)));
            Value::Object(entries.collect()).to_string()
        };
        let n_best = |text: &str| {
            let start = place(text);
            let end = if text.is_empty() {
                0
            } else {
                start + text.len()
            };
            json!([{ "text": text, "probability": 0.75, "offsets": [start, end] }])
        };
        let predictions = object(&|text| json!(text));
        sandbox.write("run/eval/predictions.json", &predictions);
        sandbox.write("run/eval/nbest.json", &object(&n_best));
        sandbox.write("run/eval/null_odds.json", &object(&|_| json!(-1.5)));
        let dataset = Dataset::read(&sandbox.path("pies.json")).unwrap();
        let texts: HashMap<String, String> = serde_json::from_str(&predictions).unwrap();
        let scores = score_v2(&dataset.gold_answers(), &texts, Metric::Squad)
            .unwrap()
            .scores;
        let scores = serde_json::to_value(scores).unwrap();
        sandbox.write("run/eval/metrics.json", &scores.to_string());
        let metrics = json!({ "eval": scores, "train_loss": 1.25, "steps": 3, "seconds": 75.0,
            "peak_memory_bytes": 3 << 20, "device": "ndarray", "threads": 2,
            "features_per_second": 4.5 });
        sandbox.write("run/metrics.json", &metrics.to_string());
        let records = [
            json!({ "step": 1, "epoch": 1, "train/loss": 3.0, "train/learning_rate": 1e-4 }),
            json!({ "step": 2, "epoch": 1, "train/loss": 2.0, "train/learning_rate": 5e-5 }),
            json!({ "step": 3, "epoch": 1, "train/loss": null, "train/learning_rate": 0.0 }),
            json!({ "epoch_end": 1, "step": 3, "epoch/train_loss": 1.25,
                    "epoch/eval_f1": scores["f1"], "epoch/eval_exact": scores["exact"],
                    "epoch/eval_loss": 1.5 }),
        ];
        let records = records.map(|record| format!("{record}\n")).concat();
        sandbox.write("run/metrics.jsonl", &records);
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes the page and reads it.
    fn try_report(&self) -> Result<String, Error> {
        let toml = |text: &str| text.parse::<toml::Table>().unwrap();
        let config = RunSettings {
            settings: toml(
                "[train]\nfiles = [\"a.json\"]\nlayers = [1, 2]\nseed = 1\n[model]\nsource = \"tiny\"",
            ),
            defaults: toml("[train]\nfiles = []\nseed = 1\n[model]\nsource = \"tiny\""),
        };
        let dataset = || Dataset::read(&self.path("pies.json"));
        let path = write_report(&self.path("run"), config, dataset, None)?;
        assert_eq!(path, self.path("run/report.html"));
        Ok(self.text("run/report.html"))
    }
}

/// The page of a run, which must be well formed and complete in itself.
fn report(sandbox: &Sandbox) -> String {
    let page = sandbox.try_report().unwrap();
    well_formed(&page).unwrap_or_else(|fault| panic!("{fault}"));
    // Nothing is loaded and nothing runs: links go to places of the page.
    for part in [
        " src", "url(", "@import", "<script", "<link", "<iframe", "xlink", " on",
    ] {
        let tags = page.split('<').filter_map(|tag| tag.split_once('>'));
        let found = tags
            .map(|(tag, _)| format!("<{tag}"))
            .find(|tag| tag.contains(part));
        assert_eq!(found, None, "{part}");
    }
    let style = section(&page, "<style>", "</style>");
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert_eq!(
        page.matches("href=\"").count(),
        page.matches("href=\"#").count()
    );
    page
}

fn section<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start}"));
    rest.split_once(end).unwrap().0
}

fn part<'a>(page: &'a str, id: &str) -> &'a str {
    section(page, &format!("<section id=\"{id}\">"), "</section>")
}
