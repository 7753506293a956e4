//! The command on real SQuAD files, which are not in the repository.

use std::path::Path;

use serde_json::{Map, Value};
use squad_data::Dataset;

use crate::support::{Sandbox, workspace};

/// A file of the shared data, as an argument.
pub(crate) fn shared(path: &str) -> String {
    let path = std::path::absolute(test_support::shared_data(path)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs the shared data: SQuAD, predictions and tokenizers"]
fn published_predictions_get_their_published_scores() {
    let sandbox = Sandbox::new();
    for (dataset, predictions, expected) in [
        (
            "squad/dev-v1.1.json",
            "reference-predictions/electra-small-v1.1-dev.json",
            &[
                ("exact_match", 77.34153263954589),
                ("f1", 85.41516355385885),
            ][..],
        ),
        (
            "squad/dev-v2.0.json",
            "reference-predictions/bert-single-google-v2.0-dev.json",
            &[
                ("exact", 78.74168280973637),
                ("f1", 81.77528052374723),
                ("total", 11873.0),
                ("HasAns_exact", 74.10593792172739),
                ("HasAns_f1", 80.18183293833508),
                ("HasAns_total", 5928.0),
                ("NoAns_exact", 83.36417157275021),
                ("NoAns_f1", 83.36417157275021),
                ("NoAns_total", 5945.0),
            ],
        ),
    ] {
        let (dataset, predictions) = (shared(dataset), shared(predictions));
        let arguments = [
            "score",
            "--dataset",
            &dataset,
            "--predictions",
            &predictions,
            "--json",
        ];
        let scores = sandbox.command(&arguments).json();
        for (key, value) in expected {
            assert_eq!(scores[key].as_f64(), Some(*value), "{key} in {scores}");
        }
        assert_eq!(
            scores.as_object().unwrap().len(),
            expected.len(),
            "{scores}"
        );
    }
}

#[test]
#[ignore = "needs the shared data: SQuAD, predictions and tokenizers"]
fn inspect_counts_the_features_that_hugging_face_makes() {
    let sandbox = Sandbox::new();
    for (dataset, tokenizer, questions, features) in [
        ("squad/dev-v1.1.json", "bert-base-uncased", 10_570, 10_784),
        ("squad/dev-v2.0.json", "bert-base-cased", 11_873, 12_199),
    ] {
        let (dataset, tokenizer) = (
            shared(dataset),
            shared(&format!("vocab/{tokenizer}-tokenizer.json")),
        );
        let arguments = [
            "inspect",
            "--dataset",
            &dataset,
            "--tokenizer",
            &tokenizer,
            "--json",
        ];
        let stats = sandbox.command(&arguments).json();
        assert_eq!(
            (&stats["questions"], &stats["features"]),
            (&questions.into(), &features.into())
        );
        assert_eq!(stats["max_length"], 384);
    }
}

/// The figures of `qa-metrics`' fixture, through files and the command.
#[test]
#[ignore = "needs the shared data: SQuAD, predictions and tokenizers"]
fn missing_and_extra_predictions_count_as_in_the_official_scripts() {
    let sandbox = Sandbox::new();
    let fixture = workspace("crates/qa-metrics/tests/fixtures/real.json");
    let fixture: Value = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    for (dataset, predictions, cases) in [
        (
            "squad/dev-v1.1.json",
            "reference-predictions/electra-small-v1.1-dev.json",
            &[("v1, every third missing", None)][..],
        ),
        (
            "squad/dev-v2.0.json",
            "reference-predictions/bert-single-google-v2.0-dev.json",
            &[
                ("v2, every third missing", None),
                (
                    "v2, every third missing, odds by 1 over 1.0",
                    Some((1, "1")),
                ),
                (
                    "v2, every third missing, odds by 100 over 0.0",
                    Some((100, "0")),
                ),
            ],
        ),
    ] {
        let (dataset, predictions) = (shared(dataset), shared(predictions));
        let examples = Dataset::read(Path::new(&dataset)).unwrap().examples;
        let published: Map<String, Value> =
            serde_json::from_slice(&std::fs::read(predictions).unwrap()).unwrap();
        let kept = examples
            .iter()
            .enumerate()
            .filter(|(place, _)| place % 3 != 0);
        let mut kept: Map<_, _> = kept
            .map(|(_, e)| (e.id.clone(), published[&e.id].clone()))
            .collect();
        kept.insert("of no question".into(), "x".into());
        sandbox.write("predictions.json", &Value::from(kept).to_string());
        for (name, odds) in cases {
            let mut arguments = vec![
                "score",
                "--predictions=predictions.json",
                "--json",
                "--dataset",
                &dataset,
            ];
            if let Some((step, threshold)) = odds {
                let value = |i: usize| (i * 7919 % 10007 / step) as f64 - (2500 / step) as f64;
                let line = |(i, e): (usize, &squad_data::Example)| {
                    format!("{:?}: {}", e.id, value(i) / 4096.0)
                };
                let lines: Vec<_> = examples.iter().enumerate().map(line).collect();
                sandbox.write("odds.json", &format!("{{{}}}", lines.join(",\n")));
                arguments.extend(["--na-probs=odds.json", "--na-prob-thresh", threshold]);
            }
            let scored = sandbox.command(&arguments);
            let (scores, expected) = (scored.json(), fixture[name].as_object().unwrap());
            // The script's figures, and two counts.
            let count = scores.as_object().unwrap().len();
            assert_eq!(count, expected.len() + 2, "{name}");
            for (key, value) in expected {
                let value: f64 = value.as_str().unwrap().parse().unwrap();
                assert_eq!(scores[key].as_f64(), Some(value), "{name}: {key}");
            }
            let missing = examples.len().div_ceil(3);
            assert_eq!(scores["num_missing"], missing, "{name}");
            assert_eq!(scores["num_extra"], 1, "{name}");
            for part in [
                format!("{missing} questions have no prediction"),
                "1 prediction is of no".into(),
            ] {
                assert!(
                    scored.stderr.contains(&part),
                    "{part} is not in {}",
                    scored.stderr
                );
            }
        }
    }
}
