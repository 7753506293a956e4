//! `trainer predict` with a model whose answers are known.

use serde_json::Value;

use crate::pointer_model;
use crate::support::{Finished, Sandbox};

const ANSWER: &str = "quagga – of “old” Zanzibar";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    sandbox
}

fn predict(sandbox: &Sandbox, context: &str, more: &[&str]) -> Finished {
    sandbox.write("context.txt", context);
    let arguments = [
        "predict",
        "--model=pointer",
        "--question= What? ",
        "--context-file=context.txt",
    ];
    sandbox.command(&[&arguments, more].concat())
}

fn offsets(entry: &Value) -> (usize, usize) {
    let offset = |index: usize| entry["offsets"][index].as_u64().unwrap() as usize;
    (offset(0), offset(1))
}

fn slice(text: &str, (start, end): (usize, usize)) -> String {
    text.chars().skip(start).take(end - start).collect()
}

/// Thousands of tokens, the answer late among them, and before it characters of one to four bytes.
#[test]
fn an_answer_late_in_a_long_text_has_its_character_offsets() {
    let sandbox = sandbox();
    let before = "Zoë saß am Fluß 🌊, 日本 entlang. ".repeat(400);
    let context = format!("{before}The {ANSWER}! {}", "Ende gut. ".repeat(200));
    let start = (before.clone() + "The ").chars().count();
    let found = predict(&sandbox, &context, &["--json", "--top-k=5"]).json();
    assert_eq!(found["answer"], ANSWER);
    assert_eq!(offsets(&found), (start, start + ANSWER.chars().count()));
    // The control: bytes would be other numbers.
    assert_ne!(start, before.len() + "The ".len());
    // 4 + 4 for the span, 2 sqrt(8) for `[CLS]`; LayerNorm's epsilon and f32 leave 1e-4.
    let figure = |key: &str| found[key].as_f64().unwrap();
    assert!((figure("score") - 8.0).abs() < 1e-4, "{found}");
    assert!(
        (figure("null_score") - 32_f64.sqrt()).abs() < 1e-4,
        "{found}"
    );
    assert!(
        (figure("null_odds") - (32_f64.sqrt() - 8.0)).abs() < 1e-4,
        "{found}"
    );
    assert!((0.5..1.0).contains(&figure("probability")), "{found}");

    let answers = found["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 5);
    for entry in answers {
        assert_eq!(entry["text"], slice(&context, offsets(entry)), "{entry}");
        let sum = entry["start_logit"].as_f64().unwrap() + entry["end_logit"].as_f64().unwrap();
        assert!(
            (sum - entry["score"].as_f64().unwrap()).abs() < 1e-5,
            "{entry}"
        );
    }
    for key in ["score", "probability", "offsets"] {
        assert_eq!(found[key], answers[0][key]);
    }
    let tokens = [
        "inspect",
        "--json",
        "--tokenizer=pointer",
        "--dataset=long.json",
    ];
    let qa = r#"[{"id": "q", "question": "What?", "answers": []}]"#;
    let long = format!(
        r#"{{"data": [{{"paragraphs": [{{"context": {}, "qas": {qa}}}]}}]}}"#,
        Value::from(context)
    );
    sandbox.write("long.json", &long);
    assert!(
        sandbox.command(&tokens).json()["features"]
            .as_u64()
            .unwrap()
            > 20
    );
}

#[test]
fn a_span_of_several_features_is_listed_once() {
    let sandbox = sandbox();
    let context = format!(
        "{} {ANSWER} {}",
        "eins zwei ".repeat(20),
        "drei ".repeat(40)
    );
    let more = [
        "--json",
        "--top-k=9",
        "--max-seq-length=60",
        "--doc-stride=45",
    ];
    let found = predict(&sandbox, &context, &more).json();
    let mut spans: Vec<_> = found["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(offsets)
        .collect();
    assert_eq!(slice(&context, spans[0]), ANSWER);
    let count = spans.len();
    assert!(count > 3, "{found}");
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), count, "{found}");
}

#[test]
fn the_threshold_and_must_answer_decide_on_no_answer() {
    let sandbox = sandbox();
    let (with, without) = (format!("The {ANSWER}."), "Nothing of the kind.".to_owned());
    for (context, more, answered) in [
        (&with, &[][..], true),
        (&without, &[], false),
        (&with, &["--null-score-diff-threshold=-3"], false),
        (&without, &["--null-score-diff-threshold", "6"], true),
        (&without, &["--must-answer"], true),
    ] {
        let more = [more, &["--json", "--top-k=3", "--threads=1"]].concat();
        let found = predict(&sandbox, context, &more).json();
        let answers = found["answers"].as_array().unwrap();
        let given = found["answer"].as_str().unwrap();
        assert_eq!(!given.is_empty(), answered, "{more:?}: {found}");
        assert_eq!(answers[0]["text"], given, "the answer comes first: {found}");
        assert_eq!(given, slice(context, offsets(&found)));
        let nothing = answers.iter().filter(|entry| entry["text"] == "").count();
        assert_eq!(
            nothing,
            usize::from(!more.contains(&"--must-answer")),
            "{found}"
        );
    }
    let line = predict(&sandbox, &without, &[]).stdout;
    assert!(
        line.contains("(no answer)  [0..0]") && line.lines().count() == 1,
        "{line}"
    );
    let line = predict(&sandbox, &with, &[]).stdout;
    assert!(
        line.contains(&format!("   8.000  {ANSWER}  [4..30]")),
        "{line}"
    );
}

#[test]
fn predict_reads_standard_input() {
    let sandbox = sandbox();
    let context = format!("Über the {ANSWER}.");
    let ask = |bytes: &[u8]| {
        let arguments = [
            "predict",
            "--model=pointer",
            "--question=What?",
            "--context-file=-",
            "--json",
        ];
        sandbox.command_with_input(&arguments, bytes)
    };
    let from_file = predict(&sandbox, &context, &["--json"]);
    assert_eq!(ask(context.as_bytes()).stdout, from_file.stdout);
    assert_eq!(from_file.json()["answer"], ANSWER);
    ask(b"").mistake(&["the context is empty"]);
    for bytes in [&b"\xff"[..], b"\xff\xfea"] {
        ask(bytes).mistake(&["standard input", "UTF-8"]);
    }
}

#[test]
fn invalid_options_are_one_line() {
    let sandbox = sandbox();
    for (argument, parts) in [
        ("--n-best-size=0", ["n_best_size", "0"]),
        ("--max-answer-length=0", ["max_answer_length", "0"]),
        (
            "--null-score-diff-threshold=NaN",
            ["null_score_diff_threshold", "NaN"],
        ),
    ] {
        predict(&sandbox, "A text.", &[argument]).mistake(&parts);
        let arguments = [
            "evaluate",
            "--model=pointer",
            "--dataset=dev.json",
            argument,
        ];
        sandbox.command(&arguments).mistake(&parts);
    }
    for argument in ["--top-k=0", "--must-answer --null-score-diff-threshold=1"] {
        let arguments: Vec<_> = argument.split(' ').collect();
        let finished = predict(&sandbox, "A text.", &arguments);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(2), ""),
            "{finished:?}"
        );
    }
}
