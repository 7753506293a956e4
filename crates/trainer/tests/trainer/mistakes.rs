//! A user's mistake: exit 2, one line that names the file or key, nothing half-written.

use crate::support::{Finished, Sandbox};

/// Trains into the folder `run`, which a mistake must not leave behind.
pub(crate) fn train(sandbox: &Sandbox, settings: &[&str]) -> Finished {
    let arguments = [
        "--config=config.toml",
        "--run-dir=run",
        "train.num_train_epochs=1",
    ];
    let finished = sandbox.command(&[&arguments, settings].concat());
    assert!(!sandbox.path("run").exists(), "{finished:?}");
    finished
}

#[test]
fn a_setting_given_as_an_option_says_how_it_is_written() {
    let sandbox = Sandbox::new();
    for (arguments, name) in [
        (
            &["--config=config.toml", "--learning_rate", "3e-5"][..],
            "train.learning_rate",
        ),
        (&["train", "--learning-rate=3e-5"], "train.learning_rate"),
        (&["--doc_stride=64"], "features.doc_stride"),
        (&["train", "--train.seed=3"], "train.seed"),
    ] {
        let expected = format!("settings are written without --, as {name}=VALUE");
        sandbox.command(arguments).mistake(&[&expected]);
    }
    let other = sandbox.command(&["evaluate", "--seed=3"]);
    assert!(!other.stderr.contains("settings are"), "{other:?}");
    sandbox
        .command(&["trian"])
        .mistake(&["trian", "no command has this name"]);
}

/// Nothing that the user has is replaced by a run's results.
#[test]
fn a_folder_with_a_model_is_no_run_folder() {
    let sandbox = Sandbox::new();
    sandbox.copy("encoder", "project/model");
    let before = sandbox.weights("project");
    let arguments = [
        "--config=config.toml",
        "--run-dir=project",
        "model.source=project/model",
    ];
    let refused = sandbox.command(&arguments);
    refused.mistake(&["project: holds model, which the run would replace"]);
    assert_eq!(sandbox.weights("project"), before);
}

#[test]
fn an_output_needs_its_folder_and_is_none_of_the_inputs() {
    let sandbox = Sandbox::new();
    let predict = [
        "predict",
        "--model=encoder",
        "--dataset=dev.json",
        "--out=none/a.jsonl",
    ];
    let inspect = ["inspect", "--dataset=dev.json", "--fix=none/a.jsonl"];
    for arguments in [&predict[..], &inspect] {
        let expected = "none/a.jsonl: there is no folder none: make it first";
        sandbox.command(arguments).mistake(&[expected]);
    }
    let dev = sandbox.text("dev.json");
    std::fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.write("run/config.toml", &sandbox.text("config.toml"));
    sandbox.write("run/metrics.jsonl", "");
    let report = sandbox.command(&["report", "run", "--out=dev.json"]);
    report.mistake(&["dev.json: is the dataset itself"]);
    for (out, part) in [
        ("run/config.toml", "is a file of the run"),
        ("run/metrics.jsonl", "is a file of the run"),
        ("run", "is a folder; name a file"),
    ] {
        let report = sandbox.command(&["report", "run", "--out", out]);
        report.mistake(&[out, part]);
    }
    assert_eq!(sandbox.text("dev.json"), dev);
}

#[test]
fn answerable_only_is_named_where_it_leaves_nothing() {
    let sandbox = Sandbox::new();
    let question = r#"{"id": "a", "question": "Who?", "is_impossible": true, "answers": []}"#;
    let paragraph = format!(r#"{{"context": "A text.", "qas": [{question}]}}"#);
    let text = format!(r#"{{"version": "v2.0", "data": [{{"paragraphs": [{paragraph}]}}]}}"#);
    sandbox.write("none.json", &text);
    let arguments = [
        "--config=config.toml",
        "--run-dir=run",
        "train.files=none.json",
        "train.answerable_only=true",
    ];
    let expected = "train.answerable_only leaves none of 1 question";
    sandbox
        .command(&arguments)
        .mistake(&["none.json", expected]);
    assert!(!sandbox.path("run").exists());
}

#[test]
fn a_file_of_a_model_is_not_its_folder() {
    let sandbox = Sandbox::new();
    for file in ["encoder/config.json", "./encoder/model.safetensors"] {
        let arguments = ["evaluate", "--dataset=dev.json", "--model", file];
        sandbox
            .command(&arguments)
            .mistake(&[file, "is a file: name the folder"]);
    }
}

fn dataset(context: &str, qas: &str) -> String {
    format!(r#"{{"data": [{{"paragraphs": [{{"context": "{context}", "qas": [{qas}]}}]}}]}}"#)
}

#[test]
fn configuration_errors_are_one_line() {
    let sandbox = Sandbox::new();
    sandbox
        .command(&["--config=none.toml"])
        .mistake(&["none.toml", "configs/"]);
    sandbox.write("broken.toml", "[train]\nnum_train_epochs = 1\nseed = = 2\n");
    sandbox
        .command(&["--config=broken.toml"])
        .mistake(&["broken.toml", "line 3"]);
    train(&sandbox, &["run.device=cuda:7"]).mistake(&["cuda:7", "ndarray"]);
    train(&sandbox, &["--device=cuda:7"]).mistake(&["cuda:7", "ndarray"]);
    train(&sandbox, &["run.threads=1025"]).mistake(&["run.threads", "1024"]);
    let timeout = ["distributed.ddp_timeout=0"];
    train(&sandbox, &timeout).mistake(&["distributed.ddp_timeout"]);
    let threads = "--threads=1000000000000";
    let predict = ["predict", "--model=encoder", "--question=a", "--context=b"];
    let predict = [&predict[..], &[threads]].concat();
    sandbox
        .command(&predict)
        .mistake(&["1000000000000", "1024"]);
    train(&sandbox, &["train.num_train_epochs=0"]).mistake(&["train.num_train_epochs"]);
    train(&sandbox, &["train.max_train_samples=-1"]).mistake(&["train.max_train_samples"]);
    let too_long = ["features.max_seq_length=385"];
    train(&sandbox, &too_long).mistake(&["max_seq_length 385", "384 positions"]);
    let overlap = ["features.max_seq_length=100"];
    train(&sandbox, &overlap).mistake(&["doc_stride = 128"]);
}

#[test]
fn all_configuration_errors_are_listed() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "wrong.toml",
        "[train]\nepoch = 3\nper_device_train_batch_size = \"8\"\n[modell]\nsource = \"x\"\n",
    );
    let finished = sandbox.command(&["--config=wrong.toml", "train.lr=1", "--run-dir=run"]);
    assert_eq!(
        (finished.code, finished.stdout.as_str()),
        (Some(2), ""),
        "{finished:?}"
    );
    for part in [
        "train.epoch (did you mean train.num_train_epochs?)",
        "train.per_device_train_batch_size",
        "modell",
        "train.lr",
        "train.files",
        "eval.file",
    ] {
        assert!(
            finished.stderr.contains(part),
            "{part} is not in {}",
            finished.stderr
        );
    }
    assert_eq!(finished.stderr.lines().count(), 6, "{}", finished.stderr);
    assert!(!sandbox.path("run").exists());
}

#[test]
fn dataset_errors_are_one_line() {
    let sandbox = Sandbox::new();
    let question =
        r#"{"id": "q7", "question": "Who?", "answers": [{"text": "Bo", "answer_start": 1}]}"#;
    let shape = r#"{"id": "q1", "question": 5, "answers": []}"#;
    for (name, text, parts) in [
        (
            "text.json",
            "no JSON".to_owned(),
            &["text.json", "begins with \"no JSON\""][..],
        ),
        (
            "cut.json",
            dataset("a", "").replace("]}]}", ""),
            &["cut.json"],
        ),
        (
            "shape.json",
            dataset("a", shape),
            &["data[0].paragraphs[0].qas[0].question"],
        ),
        ("list.json", "[1, 2]".to_owned(), &["list.json", "line 1"]),
        ("empty.json", dataset("a", ""), &["empty.json"]),
    ] {
        sandbox.write(name, &text);
        let files = format!("train.files={name}");
        train(&sandbox, &[&files]).mistake(parts);
        let file = format!("eval.file={name}");
        train(&sandbox, &[&file]).mistake(parts);
        let inspected = sandbox.command(&["inspect", "--tokenizer=encoder", "--dataset", name]);
        inspected.mistake(parts);
        let evaluated = sandbox.command(&["evaluate", "--model=encoder", "--dataset", name]);
        evaluated.mistake(parts);
    }
    sandbox.write("answer.json", &dataset("Bo ran.", question));
    let parts = ["answer.json", "\"q7\"", "\"Bo\""];
    train(&sandbox, &["train.files=answer.json"]).mistake(&parts);
    let strict = ["eval.file=answer.json", "eval.on_bad_answer=error"];
    train(&sandbox, &strict).mistake(&parts);
    sandbox.write(
        "open.json",
        &dataset(
            "Bo ran.",
            r#"{"id": "q7", "question": "Who?", "answers": []}"#,
        ),
    );
    train(&sandbox, &["train.files=open.json"]).mistake(&["open.json", "\"q7\"", "no gold answer"]);
    train(&sandbox, &["eval.file=open.json"]).mistake(&["open.json", "predict --dataset"]);
    train(&sandbox, &["train.files=none.json"]).mistake(&["none.json"]);
    train(&sandbox, &["train.files=train.json,train.json"]).mistake(&["train.json", "twice"]);
    // A question that leaves no room for its context, found before the first step.
    let long = "what ".repeat(400);
    let long = format!(r#"{{"id": "q8", "question": "{long}", "is_impossible": true}}"#);
    sandbox.write("long.json", &dataset("Bo ran.", &long));
    train(&sandbox, &["train.files=long.json"]).mistake(&["\"q8\"", "400 tokens"]);
}

#[test]
fn errors_of_score_predict_and_inspect_are_one_line() {
    let sandbox = Sandbox::new();
    let score = |predictions: &str| {
        let path = sandbox.write("predictions.json", predictions);
        let path = path.to_str().unwrap().to_owned();
        sandbox.command(&[
            "score",
            "--dataset=dev.json",
            "--predictions",
            &path,
            "--json",
        ])
    };
    score("{\"a\": true}").mistake(&["predictions.json", "line 1", "\"a\"", "expected {"]);
    score("[]").mistake(&["predictions.json", "no question"]);
    score("{\"a\"").mistake(&["predictions.json", "line 1"]);
    score("").mistake(&["predictions.json"]);
    score("{}").mistake(&["predictions.json", "no question"]);
    let arguments = ["score", "--dataset=dev.json", "--predictions=none.json"];
    sandbox.command(&arguments).mistake(&["none.json"]);

    let predict = |question: &str, context: &str| {
        let arguments = [
            "predict",
            "--model=run",
            "--question",
            question,
            "--context",
            context,
        ];
        sandbox.command(&arguments)
    };
    std::fs::rename(sandbox.path("encoder"), sandbox.path("run")).unwrap();
    predict("", "A text.").mistake(&["question"]);
    predict(" \n", "A text.").mistake(&["question"]);
    predict("Who?", "").mistake(&["context"]);
    let long = "who ".repeat(500);
    predict(&long, "A text.").mistake(&["500 tokens"]);
    for pipeline in [&[][..], &["--pipeline"]] {
        let skip = ["predict", "--model=run", "--long-questions=skip"];
        let asked = ["--context=A text.", "--question", &long];
        sandbox
            .command(&[&skip[..], &asked, pipeline].concat())
            .mistake(&["500 tokens"]);
    }
    let arguments = [
        "predict",
        "--model=run",
        "--question=Who?",
        "--context-file=none.txt",
    ];
    sandbox.command(&arguments).mistake(&["none.txt"]);

    let inspect = |arguments: &[&str]| {
        sandbox.command(
            &[
                &["inspect", "--tokenizer=run", "--dataset=dev.json"],
                arguments,
            ]
            .concat(),
        )
    };
    inspect(&["--doc-stride=400"]).mistake(&["doc_stride = 400"]);
    inspect(&["--max-seq-length=3"]).mistake(&["max_seq_length = 3"]);
    let arguments = ["inspect", "--dataset=dev.json", "--tokenizer=dev.json"];
    sandbox
        .command(&arguments)
        .mistake(&["dev.json", "not a tokenizer.json"]);
    sandbox
        .command(&["inspect", "--dataset=dev.json", "--tokenizer=none"])
        .mistake(&["none"]);
}
