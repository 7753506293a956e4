//! `trainer predict --dataset`: its answers are those of `evaluate`, in every form, in parts and after a kill.

use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use crate::pointer_model;
use crate::support::{Finished, Sandbox, wait_for};

/// Questions that are answered together.
const CHUNK: usize = 256;

fn predict(sandbox: &Sandbox, more: &[&str]) -> Finished {
    let arguments = ["predict", "--model=encoder", "--threads=1"];
    sandbox.command(&[&arguments, more].concat())
}

fn done(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout, "");
}

/// Rows of questions about different contexts, without answers.
fn write_rows(sandbox: &Sandbox, name: &str, count: usize) {
    let row = |id: usize| {
        json!({"id": format!("q{id}"), "question": format!("What is {id}?"),
            "context": format!("Of {id} the {} is known, but not who said so.", id * 7 % 31),
            "answers": {"text": [], "answer_start": []}})
        .to_string()
    };
    let rows: Vec<String> = (0..count).map(row).collect();
    sandbox.write(name, &(rows.join("\n") + "\n"));
}

#[test]
fn questions_without_an_id_are_counted() {
    let sandbox = Sandbox::new();
    let row = |id: &str| format!("{{{id}\"question\": \"What?\", \"context\": \"A mill.\"}}\n");
    let rows = [row("\"guid\": \"g1\", "), row(""), row("")].concat();
    sandbox.write("rows.jsonl", &rows);
    let of_file = ["--dataset=rows.jsonl"];
    let model = ["predict", "--model=encoder", "--threads=1", "--dataset=-"];
    for finished in [
        predict(&sandbox, &of_file),
        predict(&sandbox, &[of_file[0], "--out=out.jsonl"]),
        predict(&sandbox, &[of_file[0], "--pipeline"]),
        predict(
            &sandbox,
            &[of_file[0], "--pipeline", "--out=pipeline.jsonl"],
        ),
        sandbox.command_with_input(&model, rows.as_bytes()),
    ] {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let expected = "warning: 2 questions without an id: the number in the file";
        assert_eq!(finished.stderr.matches(expected).count(), 1, "{finished:?}");
    }
    let ids: Vec<Value> = (sandbox.text("out.jsonl").lines())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].take())
        .collect();
    assert_eq!(ids, ["g1", "1", "2"]);
}

/// As a Python dict the answers would be one less.
#[test]
fn an_id_that_occurs_again_is_a_mistake_where_answers_go_by_id() {
    let sandbox = Sandbox::new();
    let row = |id: &str| {
        format!("{{\"id\": \"{id}\", \"question\": \"What?\", \"context\": \"A mill.\"}}\n")
    };
    sandbox.write("rows.jsonl", &["q1", "q2", "q1"].map(row).concat());
    let dataset = "--dataset=rows.jsonl";
    for arguments in [
        &[dataset, "--out=out.json"][..],
        &[dataset, "--format=squad"],
    ] {
        predict(&sandbox, arguments).mistake(&["rows.jsonl", "\"q1\" occurs twice", "jsonl"]);
        assert!(!sandbox.path("out.json").exists());
    }
    for format in ["jsonl", "csv", "evaluate"] {
        let arguments = [dataset, "--out=out", "--format", format];
        done(&predict(&sandbox, &arguments));
        assert_eq!(sandbox.text("out").matches("q1").count(), 2, "{format}");
    }
}

#[test]
#[cfg(unix)]
fn what_must_not_be_overwritten_or_cannot_be_read_twice_is_refused_at_once() {
    use std::os::unix::fs::symlink;
    let sandbox = Sandbox::new();
    let before = sandbox.text("dev.json");
    symlink("dev.json", sandbox.path("link.json")).unwrap();
    symlink("/dev/null", sandbox.path("null.json")).unwrap();
    for out in ["dev.json", "link.json"] {
        let out = format!("--out={out}");
        let arguments = ["predict", "--model=encoder", "--dataset=dev.json", &out];
        sandbox
            .command(&arguments)
            .mistake(&["is the dataset itself"]);
    }
    let fix = ["inspect", "--dataset=link.json", "--fix=dev.json"];
    sandbox
        .command(&fix)
        .mistake(&["dev.json: is the dataset itself"]);
    for out in ["out.jsonl.gz", "out.PARQUET"] {
        let out = format!("--out={out}");
        let arguments = ["predict", "--model=encoder", "--dataset=dev.json", &out];
        sandbox
            .command(&arguments)
            .mistake(&["is written as plain text"]);
    }
    assert_eq!(sandbox.text("dev.json"), before);
    for arguments in [
        &[
            "predict",
            "--model=encoder",
            "--dataset=dev.json",
            "--out=null.json",
        ][..],
        &["inspect", "--dataset=dev.json", "--fix=null.json"],
    ] {
        sandbox
            .command(arguments)
            .mistake(&["null.json: is a device or a pipe"]);
    }
    for arguments in [
        &["predict", "--model=encoder", "--dataset=/dev/stdin"][..],
        &["inspect", "--dataset=/dev/stdin", "--fix=out.json"],
    ] {
        let child = sandbox.start_with_input(arguments);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("has to be read twice"), "{stderr}");
    }
    assert_eq!(
        sandbox
            .files(".")
            .iter()
            .filter(|name| name.contains("partial"))
            .count(),
        0
    );
}

#[test]
fn predictions_n_best_and_null_odds_are_those_of_evaluate() {
    let sandbox = Sandbox::new();
    for dataset in ["--dataset=dev.json", "--dataset=eight.json"] {
        for more in [
            &[][..],
            &[
                "--n-best-size=3",
                "--null-score-diff-threshold=-1",
                "--max-seq-length=64",
                "--doc-stride=16",
            ],
        ] {
            let arguments = [
                "evaluate",
                "--model=encoder",
                "--threads=1",
                "--out=evaluated",
                "--json",
                dataset,
            ];
            sandbox.command(&[&arguments, more].concat()).json();
            done(&predict(
                &sandbox,
                &[&["--out=answers.json", dataset], more].concat(),
            ));
            for (ours, theirs) in [
                ("answers.json", "predictions.json"),
                ("answers.nbest.json", "nbest.json"),
                ("answers.null_odds.json", "null_odds.json"),
            ] {
                assert_eq!(
                    sandbox.text(ours),
                    sandbox.text(&format!("evaluated/{theirs}")),
                    "{ours}"
                );
            }
        }
    }
    // The control: another option gives other answers.
    done(&predict(
        &sandbox,
        &["--dataset=dev.json", "--out=must.json", "--must-answer"],
    ));
    assert!(
        !sandbox
            .json("must.json")
            .as_object()
            .unwrap()
            .values()
            .any(|text| text == "")
    );
    let left = sandbox.files("");
    assert!(
        !left
            .iter()
            .any(|name| name.contains("partial") || name.contains(".writing")),
        "{left:?}"
    );
}

#[test]
fn every_format_holds_the_same_answers_and_can_be_scored() {
    let sandbox = Sandbox::new();
    for (out, format) in [
        ("squad", "squad"),
        ("x.jsonl", "jsonl"),
        ("list.json", "evaluate"),
        ("x.csv", "csv"),
    ] {
        done(&predict(
            &sandbox,
            &["--dataset=dev.json", "--out", out, "--format", format],
        ));
    }
    let answers = sandbox.json("squad");
    let lines = sandbox.json_lines("x.jsonl");
    let (list, odds) = (
        sandbox.json("list.json"),
        sandbox.json("squad.null_odds.json"),
    );
    let (list, n_best) = (list.as_array().unwrap(), sandbox.json("squad.nbest.json"));
    assert_eq!(lines.len(), 8);
    assert_eq!(list.len(), 8);
    for (line, entry) in lines.iter().zip(list) {
        let id = line["id"].as_str().unwrap();
        assert_eq!(line["prediction_text"], answers[id]);
        assert_eq!(line["null_odds"], odds[id]);
        assert_eq!(line["n_best"], n_best[id]);
        assert_eq!(entry.as_object().unwrap().len(), 3);
        for key in ["id", "prediction_text", "no_answer_probability"] {
            assert_eq!(entry[key], line[key]);
        }
        let null = n_best[id]
            .as_array()
            .unwrap()
            .iter()
            .find(|span| span["text"] == "")
            .unwrap();
        assert_eq!(line["no_answer_probability"], null["probability"]);
    }
    let score = |name: &str| -> Value {
        let arguments = [
            "score",
            "--dataset=dev.json",
            "--json",
            "--predictions",
            name,
        ];
        sandbox.command(&arguments).json()["f1"].clone()
    };
    assert_eq!(
        [
            score("x.jsonl"),
            score("list.json"),
            score("squad.nbest.json")
        ],
        [0; 3].map(|_| score("squad"))
    );
    // A table: a header, then a row for each question.
    let table = sandbox.text("x.csv");
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert_eq!(
        rows[0],
        "id,prediction_text,probability,start,end,no_answer_probability,null_odds"
    );
    assert_eq!((rows.len(), rows[9]), (10, ""));
    for (row, line) in rows[1..9].iter().zip(&lines) {
        assert!(row.starts_with(line["id"].as_str().unwrap()), "{row}");
        assert!(row.ends_with(&line["null_odds"].to_string()), "{row}");
    }
    // Without a file: on standard output.
    let printed = predict(&sandbox, &["--dataset=dev.json"]);
    assert_eq!(printed.stdout, sandbox.text("x.jsonl"));
    let printed = predict(&sandbox, &["--dataset=dev.json", "--format=squad"]);
    assert_eq!(printed.stdout, sandbox.text("squad"));
}

/// Names that differ behind a dot have n-best lists of their own.
#[test]
fn files_beside_the_answers_are_named_after_them() {
    let sandbox = Sandbox::new();
    for out in ["minilm-0.5", "minilm-0.9"] {
        let out = format!("--out={out}");
        done(&predict(
            &sandbox,
            &["--dataset=dev.json", "--format=squad", &out],
        ));
    }
    let files = sandbox.files("");
    let files: Vec<_> = files
        .iter()
        .filter(|name| name.starts_with("minilm"))
        .collect();
    let names = ["", ".nbest.json", ".null_odds.json"];
    let expected = ["5", "9"].map(|end| names.map(|name| format!("minilm-0.{end}{name}")));
    assert_eq!(files, expected.iter().flatten().collect::<Vec<_>>());
}

#[test]
fn a_table_quotes_commas_quotes_and_line_ends() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let row = json!({"id": "a,b", "question": "?", "context": "the quagga, \"old\"\nzanzibar.", "answers": {"text": [], "answer_start": []}});
    sandbox.write("row.jsonl", &row.to_string());
    let arguments = [
        "predict",
        "--model=pointer",
        "--dataset=row.jsonl",
        "--out=x.csv",
    ];
    done(&sandbox.command(&arguments));
    let table = sandbox.text("x.csv");
    assert!(
        table.contains("\r\n\"a,b\",\"quagga, \"\"old\"\"\nzanzibar\",0."),
        "{table}"
    );
}

#[test]
fn parts_put_together_are_the_whole_in_order() {
    let sandbox = Sandbox::new();
    write_rows(&sandbox, "rows.jsonl", 23);
    for ending in ["jsonl", "csv"] {
        let out = format!("--out=whole.{ending}");
        done(&predict(&sandbox, &["--dataset=rows.jsonl", &out]));
        let mut together = String::new();
        for part in 1..=4 {
            let (shard, name) = (format!("--shard={part}/4"), format!("part{part}.{ending}"));
            done(&predict(
                &sandbox,
                &["--dataset=rows.jsonl", &shard, "--out", &name],
            ));
            together += &sandbox.text(&name);
        }
        assert_eq!(together, sandbox.text(&format!("whole.{ending}")));
    }
    let sizes = [1, 2, 3, 4].map(|part| sandbox.text(&format!("part{part}.jsonl")).lines().count());
    assert_eq!(sizes, [5, 6, 6, 6]);
    // More parts than questions: some are empty.
    write_rows(&sandbox, "one.jsonl", 1);
    for (shard, lines) in [("1/2", 0), ("2/2", 1)] {
        done(&predict(
            &sandbox,
            &["--dataset=one.jsonl", "--out=part.jsonl", "--shard", shard],
        ));
        assert_eq!(sandbox.text("part.jsonl").lines().count(), lines);
    }
    for shard in ["0/3", "4/3", "1/0", "1", "a/b"] {
        let wrong = predict(&sandbox, &["--dataset=rows.jsonl", "--shard", shard]);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains("I from 1 to N"), "{wrong:?}");
    }
}

#[test]
fn a_part_that_is_killed_goes_on_where_it_stopped() {
    let sandbox = Sandbox::new();
    write_rows(&sandbox, "rows.jsonl", 24 * CHUNK);
    let shard = "--shard=2/2";
    done(&predict(
        &sandbox,
        &["--dataset=rows.jsonl", shard, "--out=whole.jsonl"],
    ));
    let arguments = [
        "predict",
        "--model=encoder",
        "--threads=1",
        "--dataset=rows.jsonl",
        shard,
        "--out=out.jsonl",
    ];
    let lines = |name: &str| {
        std::fs::read(sandbox.path(name))
            .map_or(0, |text| text.iter().filter(|&&byte| byte == b'\n').count())
    };
    let mut killed = sandbox.start(&arguments);
    wait_for("first answers", || lines("out.jsonl.partial") > 2 * CHUNK);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!sandbox.path("out.jsonl").exists());
    // As if it had been killed in the middle of a line, too.
    let partial = sandbox.text("out.jsonl.partial");
    sandbox.write("out.jsonl.partial", &partial[..partial.len() - 9]);
    let kept = (lines("out.jsonl.partial") - 1) / CHUNK * CHUNK;

    // Other settings are another run.
    let other = [&arguments[..], &["--n-best-size=2"]].concat();
    sandbox
        .command(&other)
        .mistake(&["out.jsonl.partial", "another answers", "remove it"]);

    let finished = sandbox.command(&arguments);
    done(&finished);
    assert!(kept >= CHUNK, "{kept}");
    assert!(
        finished
            .stderr
            .contains(&format!("{kept} answers are of an earlier run")),
        "{finished:?}"
    );
    assert_eq!(sandbox.text("out.jsonl"), sandbox.text("whole.jsonl"));
    assert!(!sandbox.path("out.jsonl.partial").exists());

    // Nothing from a damaged line on is used. What a process left that was killed at its end is removed.
    sandbox.write(".writing-out.jsonl-x", "half");
    let (end, _) = partial.match_indices('\n').nth(CHUNK + 7).unwrap();
    let damaged = format!("{}\0\0\0{}", &partial[..end - 40], &partial[end - 37..]);
    sandbox.write("out.jsonl.partial", &damaged);
    let finished = sandbox.command(&arguments);
    done(&finished);
    let kept = format!("{CHUNK} answers are of an earlier run");
    assert!(finished.stderr.contains(&kept), "{finished:?}");
    assert!(!sandbox.path(".writing-out.jsonl-x").exists());
    assert_eq!(sandbox.text("out.jsonl"), sandbox.text("whole.jsonl"));

    // The file has other questions now.
    sandbox.write("out.jsonl.partial", &partial);
    let rows = sandbox
        .text("rows.jsonl")
        .replace("\"id\":\"q", "\"id\":\"r");
    sandbox.write("rows.jsonl", &rows);
    sandbox
        .command(&arguments)
        .mistake(&["out.jsonl.partial", "another dataset"]);

    // Another model in the same folder.
    let rows = rows.replace("\"id\":\"r", "\"id\":\"q");
    sandbox.write("rows.jsonl", &rows);
    let config = sandbox.text("encoder/config.json");
    sandbox.write("encoder/config.json", &(config + " "));
    sandbox
        .command(&arguments)
        .mistake(&["out.jsonl.partial", "another model"]);
}

#[test]
fn questions_from_standard_input_are_answered_line_by_line() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let mut child = sandbox.start_with_input(&["predict", "--model=pointer", "--dataset=-"]);
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for (number, id) in [(0, None), (1, Some("second")), (2, None), (3, None)] {
        let context = if number == 3 { "text" } else { "context" };
        let mut question =
            json!({"question": "What?", context: format!("The quagga {number} zanzibar.")});
        if let Some(id) = id {
            question["id"] = json!(id);
        }
        // The next question is not written before the answer is there.
        writeln!(input, "{question}").unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(
            answer["prediction_text"],
            format!("quagga {number} zanzibar")
        );
        assert_eq!(
            answer["id"],
            id.map_or_else(|| number.to_string(), str::to_owned)
        );
        assert_eq!(answer["offsets"][0], 4);
    }
    // A row of a data set, with its answers, and a paragraph with two questions.
    writeln!(
        input,
        "{}",
        json!({"id": "row", "title": "Q", "context": "quagga a zanzibar", "question": "?",
        "answers": {"text": ["a"], "answer_start": [7]}})
    )
    .unwrap();
    writeln!(input, "{}", json!({"context": "quagga b zanzibar", "qas": [{"id": 5, "question": "?"}, {"question": "?"}]}))
        .unwrap();
    for (id, text) in [("row", "a"), ("5", "b"), ("6", "b")] {
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["prediction_text"], format!("quagga {text} zanzibar"));
    }
    writeln!(input, "\n{{\"question\": \"What?\"}}").unwrap();
    drop(input);
    assert!(answers.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(2));

    let of_text = |text: &str, more: &[&str]| {
        let arguments = ["predict", "--model=pointer", "--dataset=-"];
        sandbox.command_with_input(&[&arguments, more].concat(), text.as_bytes())
    };
    of_text("{\"question\": \"\", \"context\": \"x\"}", &[]).mistake(&[
        "standard input",
        "line 1",
        "question is empty",
    ]);
    of_text("nonsense", &[]).mistake(&["standard input", "begins with \"nonsense\""]);
    of_text("", &["--format=squad"]).mistake(&["--format", "jsonl or csv"]);
    of_text("", &["--shard=1/2"]).mistake(&["--shard"]);
    let table = of_text(
        "{\"id\": 7, \"question\": \"?\", \"context\": \"quagga zanzibar\"}",
        &["--format=csv"],
    );
    assert!(table.stdout.contains("\r\n7,quagga zanzibar,"), "{table:?}");
    let of_csv = of_text("question,context\n?,quagga c zanzibar\n", &[]);
    assert!(of_csv.stdout.contains("quagga c zanzibar"), "{of_csv:?}");
    let wrong = of_text(
        "{\"question\": \"?\", \"context\": \"x\"}\n{\"question\": \"?\"}\n",
        &[],
    );
    assert_eq!(
        (wrong.code, wrong.stdout.lines().count()),
        (Some(2), 1),
        "{wrong:?}"
    );
    assert!(
        wrong
            .stderr
            .contains("standard input: line 2: no `context`"),
        "{wrong:?}"
    );
    assert_eq!(of_text("", &[]).code, Some(0));
}

#[test]
fn a_question_that_is_too_long_has_an_empty_answer() {
    let sandbox = Sandbox::new();
    pointer_model::write(&sandbox.path("pointer"));
    let long = "what ".repeat(600);
    let row = |id: &str, question: &str| {
        json!({"id": id, "question": question, "context": "The quagga a zanzibar."}).to_string()
    };
    let rows = [row("a", "What?"), row("long", &long), row("b", "What?")];
    sandbox.write("rows.jsonl", &rows.join("\n"));
    sandbox.write("long.jsonl", &rows[1]);
    let predict = |dataset: &str, long_questions: &str| {
        let dataset = format!("--dataset={dataset}");
        let long_questions = format!("--long-questions={long_questions}");
        sandbox.command(&[
            "predict",
            "--model=pointer",
            &dataset,
            &long_questions,
            "--out=x.jsonl",
            "--json",
        ])
    };
    predict("rows.jsonl", "error").mistake(&["\"long\""]);
    for (dataset, ids) in [
        ("rows.jsonl", &["a", "long", "b"][..]),
        ("long.jsonl", &["long"]),
    ] {
        let finished = predict(dataset, "skip");
        assert!(
            finished
                .stderr
                .contains("1 question too long for a feature"),
            "{finished:?}"
        );
        assert_eq!(finished.json()["too_long"], 1);
        let records = sandbox.json_lines("x.jsonl");
        let found: Vec<&str> = records.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids);
        for record in &records {
            let is_long = record["id"] == "long";
            let text = if is_long { "" } else { "quagga a zanzibar" };
            assert_eq!(record["prediction_text"], text);
            assert_eq!(record["n_best"].as_array().unwrap().is_empty(), is_long);
        }
    }
    assert_eq!(predict("rows.jsonl", "truncate").json()["too_long"], 0);
}

#[test]
fn a_file_with_a_fault_leaves_nothing() {
    let sandbox = Sandbox::new();
    write_rows(&sandbox, "rows.jsonl", 3);
    let rows = sandbox.text("rows.jsonl").replace("What is 2?", " ");
    sandbox.write("rows.jsonl", &rows);
    predict(&sandbox, &["--dataset=rows.jsonl", "--out=x.jsonl"]).mistake(&[
        "rows.jsonl",
        "line 3",
        "question is empty",
    ]);
    predict(&sandbox, &["--dataset=none.jsonl", "--out=x.jsonl"]).mistake(&["none.jsonl"]);
    predict(&sandbox, &["--dataset=dev.json", "--out=none/x.jsonl"]).mistake(&["none/x.jsonl"]);
    predict(&sandbox, &["--dataset=dev.json", "--json"]).mistake(&["--json needs --out"]);
    predict(&sandbox, &["--dataset=dev.json", "--out=encoder"])
        .mistake(&["encoder", "is a folder"]);
    // The files beside it are looked at before the work, too.
    std::fs::create_dir(sandbox.path("x.nbest.json")).unwrap();
    predict(&sandbox, &["--dataset=dev.json", "--out=x.json"])
        .mistake(&["x.nbest.json: is a folder"]);
    std::fs::remove_dir(sandbox.path("x.nbest.json")).unwrap();
    sandbox.write("y.null_odds.json", &sandbox.text("dev.json"));
    predict(&sandbox, &["--dataset=y.null_odds.json", "--out=y.json"])
        .mistake(&["y.null_odds.json: is the dataset itself"]);
    assert!(!sandbox.files("").iter().any(|name| name.starts_with("x.")));
    let summary = predict(&sandbox, &["--dataset=dev.json", "--out=x.json", "--json"]).json();
    assert_eq!(
        (&summary["questions"], &summary["resumed"]),
        (&json!(8), &json!(0))
    );
}

/// 16 times as many questions need no more memory. Without streaming their n-best lists alone would be 20 MB.
#[test]
fn memory_does_not_grow_with_the_number_of_questions() {
    let sandbox = Sandbox::new();
    let mut peaks = Vec::new();
    for count in [2 * CHUNK, 32 * CHUNK] {
        write_rows(&sandbox, "rows.jsonl", count);
        let summary = predict(
            &sandbox,
            &["--dataset=rows.jsonl", "--out=x.json", "--json"],
        )
        .json();
        assert_eq!(summary["questions"], count);
        peaks.push(summary["peak_memory_bytes"].as_u64().unwrap());
    }
    let growth = peaks[1].saturating_sub(peaks[0]);
    assert!(growth < 8 << 20, "{peaks:?}");
}
