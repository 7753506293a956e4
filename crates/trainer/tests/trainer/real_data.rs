//! The command on real SQuAD files, which are not in the repository.

use std::path::{Path, PathBuf};

use crate::support::{Sandbox, skip};

/// A file of the shared data as an argument, or nothing after saying so aloud.
pub(crate) fn shared(path: &str) -> Option<String> {
    let root = std::env::var_os("SQUAD_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let file = root.join(path);
    match file.is_file() {
        true => Some(
            std::path::absolute(file)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        ),
        false => {
            skip(&format!(
                "{path} is neither below $SQUAD_DATA nor in ../shared/data"
            ));
            None
        }
    }
}

#[test]
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
        let (Some(dataset), Some(predictions)) = (shared(dataset), shared(predictions)) else {
            return;
        };
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
fn inspect_counts_the_windows_that_hugging_face_makes() {
    let sandbox = Sandbox::new();
    for (dataset, tokenizer, questions, features) in [
        ("squad/dev-v1.1.json", "bert-base-uncased", 10_570, 10_784),
        ("squad/dev-v2.0.json", "bert-base-cased", 11_873, 12_199),
    ] {
        let (Some(dataset), Some(tokenizer)) = (
            shared(dataset),
            shared(&format!("vocab/{tokenizer}-tokenizer.json")),
        ) else {
            return;
        };
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
