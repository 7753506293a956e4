//! Data files as the command meets them: wrong ones are exit 2 and one line, odd but right ones work.

use serde_json::{Value, json};

use crate::support::{Finished, Sandbox, workspace};

fn inspect(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> Finished {
    std::fs::write(sandbox.path(name), bytes).unwrap();
    sandbox.command(&[
        "inspect",
        "--json",
        "--tokenizer=encoder",
        "--dataset",
        name,
    ])
}

/// Reads the file as `evaluate` does, before it answers.
fn evaluate(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> Finished {
    std::fs::write(sandbox.path(name), bytes).unwrap();
    let arguments = [
        "evaluate",
        "--model=encoder",
        "--on-bad-answer=error",
        "--dataset",
    ];
    sandbox.command(&[&arguments[..], &[name]].concat())
}

fn document(context: &str, questions: Value) -> String {
    json!({"data": [{"paragraphs": [{"context": context, "qas": questions}]}]}).to_string()
}

fn question(id: &str, start: i64) -> Value {
    json!({"id": id, "question": "Who?", "answers": [{"text": "Bo", "answer_start": start}]})
}

/// A gzip file that stores its bytes as they are.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let crc = !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    });
    let length = u16::try_from(bytes.len()).unwrap();
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(bytes);
    file.extend(crc.to_le_bytes());
    file.extend(u32::from(length).to_le_bytes());
    file
}

#[test]
fn invalid_values_are_one_line() {
    let sandbox = Sandbox::new();
    let one = |start: i64| document("Bo ran.", json!([question("q1", start)]));
    let nested = format!("{{\"version\": {}", "[".repeat(100_000));
    for (text, parts) in [
        (one(-1), &["\"q1\"", "answer_start -1", "outside"][..]),
        (
            one(i64::MAX),
            &["\"q1\"", "answer_start 9223372036854775807"],
        ),
        (
            one(0).replace("start\":0", "start\":1e30"),
            &["line 1", "answer_start", "1e+30"],
        ),
        (
            one(0).replace("start\":0", "start\":9223372036854775808"),
            &["\"q1\"", "answer_start"],
        ),
        (
            one(0).replace("Who?", " "),
            &["\"q1\"", "question is empty"],
        ),
        (
            document(" ", json!([question("q1", 0)])),
            &["data[0].paragraphs[0]", "context is empty"],
        ),
        (
            document("Bo ran.", json!([question("q1", 0), question("q1", 0)])),
            &["\"q1\"", "twice"],
        ),
        (nested, &["line 1", "at version", "nested too deeply"]),
    ] {
        evaluate(&sandbox, "wrong.json", text.as_bytes())
            .mistake(&[&["wrong.json"], parts].concat());
    }
    let good = one(0);
    let not_utf8 = [good.as_bytes(), b"\n \xff"].concat();
    inspect(&sandbox, "wrong.json", &not_utf8).mistake(&[
        "wrong.json",
        "line 2",
        "column 2",
        "UTF-8",
    ]);
    assert_eq!(
        inspect(&sandbox, "good.json", good.as_bytes()).json()["questions"],
        1
    );
}

#[test]
fn a_tokenizer_without_special_tokens() {
    let sandbox = Sandbox::new();
    let mut json = sandbox.json("encoder/tokenizer.json");
    json["post_processor"] = serde_json::Value::Null;
    sandbox.write("tokenizer.json", &json.to_string());
    let arguments = [
        "inspect",
        "--dataset=dev.json",
        "--tokenizer=tokenizer.json",
    ];
    sandbox
        .command(&arguments)
        .mistake(&["tokenizer.json", "post_processor"]);
}

#[test]
fn unusual_texts_are_valid() {
    let sandbox = Sandbox::new();
    for context in ["\0\0Bo\0 ran.", "🙂 e\u{301}Bo ran.", "No\r\nBo ran."] {
        let start = context[..context.find("Bo").unwrap()].chars().count();
        let text = document(context, json!([question("q1", start as i64)]));
        let text = format!("\u{feff}{}", text.replace(",\"", ",\r\n\""));
        let stats = inspect(&sandbox, "odd.json", text.as_bytes()).json();
        assert_eq!(
            (&stats["questions"], &stats["labelled"]),
            (&1.into(), &1.into())
        );
    }
}

/// 300 MB in 2 MB, a context or a Parquet file, where a process may have 1 GB.
#[test]
#[cfg(target_os = "linux")]
fn a_small_file_that_unpacks_to_much_is_refused() {
    let json = r#"{"data": [{"title": "t", "paragraphs": [{"context": ""#;
    let mut bombs = vec![("bomb.json.gz", json)];
    if cfg!(feature = "parquet") {
        bombs.push(("bomb.parquet.gz", "PAR1"));
    }
    for (name, start) in bombs {
        let sandbox = Sandbox::new();
        sandbox.write("start", start);
        let script = "(cat start; head -c 300000000 /dev/zero | tr '\\0' a) | gzip -1 > $1
            ulimit -v 1000000
            exec \"$0\" inspect --dataset=$1 --tokenizer=encoder";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_trainer"), name]);
        let finished = sandbox.finish(&mut command);
        assert!(sandbox.path(name).metadata().unwrap().len() < 2_000_000);
        finished.mistake(&[name, "244.1 MiB", "memory"]);
    }
}

/// As above: a page that is compressed, and texts that are stored once for many rows or for many answers of one row.
#[test]
#[cfg(all(target_os = "linux", feature = "parquet"))]
fn a_small_parquet_file_that_unpacks_to_much_is_refused() {
    let sandbox = Sandbox::new();
    for name in ["page-bomb", "dictionary-bomb", "list-bomb"] {
        let fixture = format!("crates/trainer/tests/fixtures/{name}.parquet");
        let fixture = crate::support::workspace(&fixture);
        assert!(fixture.metadata().unwrap().len() < 50_000, "{name}");
        let script = "ulimit -v 1000000; exec \"$0\" inspect --dataset=\"$1\" --tokenizer=encoder";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_trainer")]);
        let finished = sandbox.finish(command.arg(&fixture));
        finished.mistake(&[name, "244.1 MiB", "memory"]);
    }
}

/// Editors of some systems put it before every text file.
#[test]
fn a_byte_order_mark_is_read_everywhere() {
    let sandbox = Sandbox::new();
    let mark = |name: &str| {
        let text = sandbox.text(name);
        sandbox.write(name, &format!("\u{feff}{text}"));
    };
    for name in [
        "config.toml",
        "train.json",
        "dev.json",
        "encoder/config.json",
        "encoder/tokenizer.json",
    ] {
        mark(name);
    }
    let train = ["--config=config.toml", "--run-dir=run", "train.max_steps=2"];
    let trained = sandbox.command(&train);
    assert_eq!(trained.code, Some(0), "{trained:?}");
    for name in [
        "run/config.toml",
        "run/metrics.jsonl",
        "run/metrics.json",
        "run/eval/predictions.json",
        "run/eval/nbest.json",
        "run/eval/null_odds.json",
        "run/model/config.json",
        "run/model/tokenizer.json",
        "run/model/tokenizer_config.json",
    ] {
        mark(name);
    }
    sandbox.write("context.txt", "\u{feff}Bo ran.");
    let manifest =
        std::fs::read_to_string(workspace("crates/trainer/src/fetch/manifest.toml")).unwrap();
    sandbox.write("manifest.toml", &format!("\u{feff}{manifest}"));
    for arguments in [
        "report run",
        "evaluate --model=run/model --dataset=dev.json",
        "score --dataset=dev.json --predictions=run/eval/predictions.json --na-probs=run/eval/null_odds.json",
        "predict --model=run/model --question=Who? --context-file=context.txt --must-answer",
        "--resume=run",
    ] {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let finished = sandbox.command(&arguments);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!finished.stdout.contains('\u{feff}'), "{finished:?}");
    }
    let fetch = ["fetch", "dataset", "nothing", "--manifest=manifest.toml"];
    let fetched = sandbox.command(&fetch);
    fetched.mistake(&["squad1"]);
}

/// A good row and one whose answer is elsewhere.
fn rows() -> [String; 2] {
    ["q1", "q2"].map(|id| {
        let start = i32::from(id == "q2");
        let answers = json!({"text": ["Bo"], "answer_start": [start]});
        json!({"id": id, "context": "Bo ran.", "question": "Who?", "answers": answers}).to_string()
    })
}

#[test]
fn rows_and_gzip() {
    let sandbox = Sandbox::new();
    let [good, wrong] = rows();
    let packed = gzip(good.as_bytes());
    for (name, bytes) in [("rows.jsonl", good.as_bytes()), ("rows.jsonl.gz", &packed)] {
        let stats = inspect(&sandbox, name, bytes).json();
        assert_eq!(stats["questions"], 1);
        assert_eq!(stats["text_bytes"], good.len());
    }
    let lines = format!("{good}\n\n{wrong}\n");
    let parts = ["rows.jsonl", "line 3", "\"q2\"", "answer_start 1"];
    evaluate(&sandbox, "rows.jsonl", lines.as_bytes()).mistake(&parts);
    let lines = format!("{good}\n{}\n", wrong.replace("\"Who?\"", "[]"));
    let parts = ["rows.jsonl", "line 2: ", "the question is not a text"];
    inspect(&sandbox, "rows.jsonl", lines.as_bytes()).mistake(&parts);
    let cut = &packed[..packed.len() - 3];
    inspect(&sandbox, "cut.gz", cut).mistake(&["cut.gz", "gzip", "stops in the middle"]);
    let mut flipped = packed.clone();
    flipped[20] ^= 1;
    inspect(&sandbox, "bad.gz", &flipped).mistake(&["bad.gz", "gzip", "damaged"]);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet() {
    let sandbox = Sandbox::new();
    let fixture = crate::support::workspace("crates/squad-data/tests/fixtures/plain.parquet");
    let good = std::fs::read(fixture).unwrap();
    let stats = inspect(&sandbox, "good.parquet", &good).json();
    assert_eq!(
        (&stats["questions"], &stats["features"]),
        (&12.into(), &12.into())
    );
    inspect(&sandbox, "cut.parquet", &good[..good.len() / 2])
        .mistake(&["cut.parquet", "not a Parquet file"]);
    inspect(&sandbox, "none.parquet", b"").mistake(&["none.parquet", "not a Parquet file"]);

    // A byte that the decoder panics for: nothing of that may be seen.
    let panics = |bytes: &[u8]| {
        let path = sandbox.path("bad.parquet");
        std::fs::write(&path, bytes).unwrap();
        let read = squad_data::Dataset::read(&path);
        read.is_err_and(|error| error.to_string().contains("contradict each other"))
    };
    let damaged = (0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] = 0xff;
        bytes
    });
    let damaged = damaged.into_iter().find(|bytes| panics(bytes));
    let damaged = damaged.expect("some byte makes the decoder panic");
    inspect(&sandbox, "bad.parquet", &damaged).mistake(&["bad.parquet", "contradict each other"]);
}

/// Every flaw is listed with its place, and the repaired file has none.
#[test]
fn flaws_are_listed_and_repaired() {
    let sandbox = Sandbox::new();
    let text = document(
        "Bo ran. Then Bo sat.",
        json!([question("q1", 2), question("q2", 0), question("q3", 40)]),
    );
    let text = text.replace(
        "\"id\":\"q3\",\"question\":\"Who?\"",
        "\"id\":3,\"question\":\"\"",
    );
    sandbox.write("flawed.json", &text);
    let inspect =
        |arguments: &[&str]| sandbox.command(&[&["inspect", "--dataset"], arguments].concat());
    let report = inspect(&["flawed.json", "--json", "--fix=fixed.json"]).json();
    assert_eq!(
        report["flaws"]["counts"],
        json!({"start_wrong": 1, "empty_question": 1})
    );
    let first = &report["flaws"]["first"][0];
    assert_eq!(
        (&first["id"], &first["nearest_start"], &first["distance"]),
        (&json!("q1"), &json!(0), &json!(2))
    );
    assert_eq!(report["fixed"]["repaired_answers"], 1);
    let listed = inspect(&["flawed.json"]);
    let listed = listed.success();
    for part in [
        "1 x answer_start is wrong",
        "question \"q1\"",
        "the text occurs at character 0, 2 away",
        "the question is empty",
    ] {
        assert!(listed.contains(part), "{part} is not in {listed}");
    }
    let fixed = inspect(&[
        "fixed.json",
        "--json",
        "--tokenizer=encoder",
        "--against=flawed.json",
    ])
    .json();
    assert_eq!(
        (&fixed["questions"], &fixed["labelled"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(fixed["flaws"]["counts"], json!({}));
    assert_eq!(fixed["overlap"]["contexts"], 1);
}

/// A gold answer that is nowhere stops training and not an evaluation, and what is left out is counted.
#[test]
fn bad_answers_stop_training_and_not_evaluation() {
    let sandbox = Sandbox::new();
    let bad =
        json!({"id": "q2", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 3}]});
    let near = question("q3", 1);
    let text = document("Bo ran.", json!([question("q1", 0), bad, near]));
    sandbox.write("bad.json", &text);
    let evaluate = |arguments: &[&str]| {
        let evaluate = [
            "evaluate",
            "--model=encoder",
            "--dataset=bad.json",
            "--json",
        ];
        sandbox.command(&[&evaluate, arguments].concat())
    };
    let counts = |metrics: &Value| {
        [
            "questions",
            "skipped_questions",
            "repaired_answers",
            "unlocated_answers",
        ]
        .map(|key| metrics[key].as_u64().unwrap_or(0))
    };
    assert_eq!(counts(&evaluate(&[]).json()), [3, 0, 0, 2]);
    assert_eq!(
        counts(&evaluate(&["--on-bad-answer=skip"]).json()),
        [1, 2, 0, 0]
    );
    assert_eq!(
        counts(&evaluate(&["--on-bad-answer=repair"]).json()),
        [2, 1, 1, 0]
    );
    evaluate(&["--on-bad-answer=error"]).mistake(&["bad.json", "\"q2\"", "1 more question"]);
    let train = |policy: &str| {
        let policy = format!("train.on_bad_answer={policy}");
        let run = format!("--run-dir=run-{}", &policy[20..]);
        let arguments = [
            "--config=config.toml",
            &run,
            "train.files=bad.json",
            "eval.file=bad.json",
            "train.max_steps=1",
            &policy,
        ];
        sandbox.command(&arguments)
    };
    train("error").mistake(&["bad.json", "\"q2\"", "on_bad_answer"]);
    train("keep").mistake(&["train.on_bad_answer", "error, skip or repair"]);
    train("repair").success();
    let metrics: Value = serde_json::from_str(&sandbox.text("run-repair/metrics.json")).unwrap();
    assert_eq!(
        metrics["data"]["train"],
        json!({"skipped_questions": 1, "repaired_answers": 1, "unlocated_answers": 0})
    );
    assert_eq!(metrics["data"]["eval"]["unlocated_answers"], 2);
}
