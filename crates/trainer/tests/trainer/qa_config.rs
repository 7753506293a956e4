//! `qa_config.json`: how a model was trained to answer, and what was fitted after training.

#[cfg(unix)]
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

use serde_json::{Value, json};

use crate::pointer_model;
use crate::support::Sandbox;
#[cfg(unix)]
use crate::support::workspace;
use test_support::TinyModel;

/// Questions about distinct contexts of letters and words; every third has no answer if `with_unanswerable`.
fn questions(count: usize, with_unanswerable: bool) -> String {
    let paragraph = |index: usize| {
        let context =
            format!("The {index} men of the mill ground {index} sacks of rye in the year.");
        let answers = if with_unanswerable && index.is_multiple_of(3) {
            json!([])
        } else {
            json!([{ "text": format!("{index} sacks"), "answer_start": context.find("sacks").unwrap() - index.to_string().len() - 1 }])
        };
        json!({
            "context": context,
            "qas": [{ "id": index.to_string(), "question": "What did the men grind?", "answers": answers }],
        })
    };
    let paragraphs: Vec<Value> = (0..count).map(paragraph).collect();
    json!({ "data": [{ "paragraphs": paragraphs }] }).to_string()
}

#[test]
fn a_trained_model_answers_as_it_was_evaluated() {
    let sandbox = Sandbox::new();
    let settings = [
        "train.max_steps=2",
        "features.max_seq_length=64",
        "features.doc_stride=16",
        "answers.max_answer_length=4",
        "answers.n_best_size=7",
        "eval.every_epochs=0",
    ];
    let trained = sandbox.train("run", &settings);
    assert_eq!(trained.metrics["calibration"], Value::Null);
    let expected = json!({
        "max_seq_length": 64, "doc_stride": 16, "stride": "overlap", "max_query_length": 0, "n_best_size": 7,
        "max_answer_length": 4, "allow_no_answer": true, "null_score_diff_threshold": 0.0, "temperature": 1.0,
    });
    assert_eq!(sandbox.json("run/model/qa_config.json"), expected);

    let evaluate = |model: &str, more: &[&str]| {
        let arguments = ["evaluate", "--model", model, "--dataset=dev.json", "--json"];
        sandbox.command(&[&arguments, more].concat()).json()
    };
    let scores =
        |found: &Value| [&found["exact"], &found["f1"], &found["features"]].map(Value::clone);
    let by_default = evaluate("run/model", &[]);
    assert_eq!(by_default["f1"], trained.metrics["eval"]["f1"]);
    let explicit = [
        "--max-seq-length=64",
        "--doc-stride=16",
        "--max-answer-length=4",
        "--n-best-size=7",
    ];
    assert_eq!(
        scores(&evaluate("run/model", &explicit)),
        scores(&by_default)
    );
    // The control: without the file features are longer, so there are fewer.
    std::fs::remove_file(sandbox.path("run/model/qa_config.json")).unwrap();
    assert_ne!(
        evaluate("run/model", &[])["features"],
        by_default["features"]
    );
}

#[test]
fn a_temperature_and_a_threshold_are_fitted_and_used() {
    let sandbox = Sandbox::new();
    sandbox.write("many.json", &questions(420, true));
    let eval = format!("eval.file={}", sandbox.path("many.json").display());
    let settings = ["train.max_steps=2", "eval.every_epochs=0", &eval];
    let trained = sandbox.train("run", &settings);
    let fitted = &trained.metrics["calibration"];
    let number = |key: &str| fitted[key].as_f64().unwrap();
    assert_eq!(number("fitted_on") + number("measured_on"), 420.0);
    assert!(number("fitted_on") > 150.0 && number("measured_on") > 150.0);
    assert!(number("ece") <= number("ece_before"), "{fitted}");
    let saved = sandbox.json("run/model/qa_config.json");
    for key in ["temperature", "null_score_diff_threshold"] {
        // The file has the shortest digits of an f32, the metrics those of an f64.
        let saved = saved[key].as_f64().unwrap();
        assert_eq!(saved as f32, number(key) as f32);
    }
    // The run's own answers are those of its configuration.
    assert_eq!(trained.metrics["eval"]["null_score_diff_threshold"], 0.0);

    let evaluate = |more: &[&str]| {
        let arguments = [
            "evaluate",
            "--model=run/model",
            "--dataset=many.json",
            "--json",
        ];
        sandbox.command(&[&arguments, more].concat()).json()
    };
    let threshold = |found: &Value| found["null_score_diff_threshold"].as_f64().unwrap();
    assert_eq!(
        threshold(&evaluate(&[])),
        number("null_score_diff_threshold")
    );
    assert_eq!(
        threshold(&evaluate(&["--null-score-diff-threshold=0.5"])),
        0.5
    );

    let predict = |more: &[&str]| {
        let arguments = [
            "predict",
            "--model=run/model",
            "--question=What?",
            "--context=Five sacks of rye.",
            "--json",
        ];
        sandbox.command(&[&arguments, more].concat()).json()["probability"].clone()
    };
    assert_ne!(predict(&[]), predict(&["--temperature=20"]));

    let page = sandbox.command(&["report", "run"]);
    assert_eq!(page.code, Some(0), "{page:?}");
    let page = sandbox.text("run/report.html");
    for part in [
        "id=\"confidence\"",
        "Reliability",
        "expected calibration error",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_model_that_always_answers_does_so_for_files_too() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    // The model finds neither of its two words: "no answer" has the highest score.
    let row = r#"{"id": "1", "question": "Who?", "context": "Ane Holm built the mill."}"#;
    sandbox.write("one.jsonl", row);
    let answers = |allowed: bool, more: &[&str]| {
        let config = format!("{{\"allow_no_answer\": {allowed}}}");
        sandbox.write("pointer/qa_config.json", &config);
        let file = [
            "predict",
            "--model=pointer",
            "--dataset=one.jsonl",
            "--format=squad",
        ];
        let one = [
            "predict",
            "--model=pointer",
            "--json",
            "--question=Who?",
            "--context=Ane Holm built the mill.",
        ];
        let of_file = sandbox.command(&[&file, more].concat()).json()["1"].clone();
        assert_eq!(
            sandbox.command(&[&one, more].concat()).json()["answer"],
            of_file
        );
        of_file
    };
    assert_eq!(answers(true, &[]), "");
    assert_ne!(answers(false, &[]), "");
    assert_eq!(answers(false, &["--null-score-diff-threshold=0"]), "");
}

#[test]
fn a_bad_qa_config_is_one_line() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let file = "pointer/qa_config.json";
    for (text, part) in [
        ("{\"temperature\": 0}", "temperature"),
        ("{\"temperature\": 1e999}", "line 1"),
        ("{\"max_seq_length\": 100000}", "384 positions"),
        ("{\"max_seq_length\": 9, \"doc_stride\": 9}", "doc_stride"),
        ("{\"unknown\": 1}", "unknown"),
        ("[1", "line 1"),
        ("", "line 1"),
    ] {
        sandbox.write(file, text);
        for arguments in [
            &["predict", "--question=a", "--context=b"][..],
            &["evaluate", "--dataset=dev.json"],
            &["predict", "--dataset=dev.json", "--out=answers.jsonl"],
            &["predict", "--dataset=dev.json", "--pipeline"],
        ] {
            let arguments = [arguments, &["--model=pointer"]].concat();
            sandbox
                .command(&arguments)
                .mistake(&["qa_config.json", part]);
        }
        assert!(!sandbox.path("answers.jsonl").exists());
    }
}

#[test]
fn a_model_of_few_positions_has_features_that_fit() {
    let sandbox = Sandbox::with_model(&TinyModel {
        max_position_embeddings: 100,
        ..TinyModel::default()
    });
    let predict = |more: &[&str]| {
        let arguments = ["predict", "--model=encoder", "--question=Who?"];
        let context = ["--context=Ane Holm built the mill."];
        sandbox.command(&[&arguments, &context[..], more].concat())
    };
    let found = predict(&[]);
    assert_eq!(found.code, Some(0), "{found:?}");
    let notices = found
        .stderr
        .lines()
        .filter(|line| line.contains("max_seq_length 100"));
    assert_eq!(notices.count(), 1, "{found:?}");
    let given = predict(&["--max-seq-length=64", "--doc-stride=16"]);
    assert!(!given.stderr.contains("max_seq_length"), "{given:?}");
    predict(&["--max-seq-length=101", "--doc-stride=16"]).mistake(&["101", "100 positions"]);
}

#[test]
fn predict_pipeline_answers_as_the_pipeline_does() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let predict = |more: &[&str]| {
        let arguments = ["predict", "--model=pointer", "--pipeline"];
        sandbox.command(&[&arguments, more].concat())
    };
    let one = [
        "--question=What?",
        "--context=The quagga of zanzibar sleeps.",
    ];
    let found = predict(&[&one[..], &["--json", "--top-k=3"]].concat()).json();
    let answers = found["answers"].as_array().unwrap();
    assert_eq!(
        (answers.len(), &answers[0]["answer"]),
        (3, &json!("quagga of zanzibar"))
    );
    assert_eq!(
        (&answers[0]["start"], &answers[0]["end"]),
        (&json!(4), &json!(22))
    );
    let line = predict(&one).success().to_owned();
    assert!(line.contains("quagga of zanzibar  [4..22]"), "{line}");
    let short = predict(&[&one[..], &["--max-answer-len=1", "--json"]].concat()).json();
    assert_ne!(short["answers"][0]["answer"], "quagga of zanzibar");

    let all = predict(&[
        "--dataset=dev.json",
        "--top-k=2",
        "--handle-impossible-answer",
    ]);
    let written = [
        "--dataset=dev.json",
        "--top-k=2",
        "--handle-impossible-answer",
        "--out=out.jsonl",
    ];
    assert_eq!(predict(&written).success(), "");
    assert_eq!(sandbox.text("out.jsonl"), all.success());
    let lines = sandbox.json_lines("out.jsonl");
    assert_eq!(lines.len(), 8);
    assert!(
        lines
            .iter()
            .all(|line| line["answers"].as_array().unwrap().len() == 2)
    );

    predict(&[&one[..], &["--top-k=10001"]].concat()).mistake(&["top_k", "10000"]);
    predict(&[&one[..], &["--max-answer-len=0"]].concat()).mistake(&["max_answer_len"]);
    predict(&["--dataset=-"]).mistake(&["--pipeline"]);
    let plain = [
        "predict",
        "--model=pointer",
        "--dataset=dev.json",
        "--top-k=2",
    ];
    sandbox.command(&plain).mistake(&["--pipeline"]);
}

/// The commands of docs/from-transformers.md, one shell script for each block.
#[test]
#[cfg(unix)]
fn the_commands_for_users_of_transformers_work() {
    let text = std::fs::read_to_string(workspace("docs/from-transformers.md")).unwrap();
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("my-model"));
    sandbox.write(
        "contract.txt",
        "The parties are the quagga of zanzibar and the buyer.",
    );
    let line = r#"{"question": "Who ate?", "context": "The old cat ate.", "id": "1"}"#;
    sandbox.write("questions.jsonl", &format!("{line}\n"));
    let folder = Path::new(env!("CARGO_BIN_EXE_trainer")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let blocks = text.split("```sh\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 3);
    for block in blocks {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", block]).env("PATH", &path);
        let finished = sandbox.finish(&mut command);
        assert!(!finished.success().is_empty(), "{block}");
    }
    assert_eq!(sandbox.json_lines("answers.jsonl").len(), 1);
}
