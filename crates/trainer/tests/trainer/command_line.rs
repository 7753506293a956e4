//! What scripts depend on: one JSON object on standard output, its keys, and nothing else there.

use std::process::Command;

use serde_json::Value;

use crate::support::{Sandbox, workspace};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn score_prints_the_official_keys_of_either_version() {
    let sandbox = Sandbox::new();
    let dev = sandbox.json("dev.json");
    let ids = questions(&dev).map(|question| question["id"].as_str().unwrap().to_owned());
    let empty: Value = ids
        .map(|id| (id, Value::from("")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    sandbox.write("empty.json", &empty.to_string());
    let score = sandbox
        .command(&[
            "score",
            "--dataset=dev.json",
            "--predictions=empty.json",
            "--json",
        ])
        .json();
    assert_eq!(
        keys(&score),
        [
            "HasAns_exact",
            "HasAns_f1",
            "HasAns_total",
            "NoAns_exact",
            "NoAns_f1",
            "NoAns_total",
            "exact",
            "f1",
            "total"
        ]
    );
    assert_eq!(
        (&score["NoAns_exact"], &score["HasAns_exact"]),
        (&100.0.into(), &0.0.into())
    );

    let odds: serde_json::Map<_, _> = empty
        .as_object()
        .unwrap()
        .keys()
        .map(|id| (id.clone(), Value::from(0.5)))
        .collect();
    sandbox.write("odds.json", &Value::from(odds).to_string());
    let arguments = [
        "--dataset=dev.json",
        "--predictions=empty.json",
        "--na-probs=odds.json",
    ];
    let score = sandbox
        .command(&[&["score", "--json"], &arguments[..]].concat())
        .json();
    for key in [
        "best_exact",
        "best_exact_thresh",
        "best_f1",
        "best_f1_thresh",
    ] {
        assert!(score[key].is_number(), "{key} in {score}");
    }

    let eight = sandbox.json("eight.json");
    let gold = questions(&eight).map(|q| {
        (
            q["id"].as_str().unwrap().to_owned(),
            q["answers"][0]["text"].clone(),
        )
    });
    let gold: serde_json::Map<_, _> = gold.skip(2).collect();
    sandbox.write("gold.json", &Value::from(gold).to_string());
    let scored = sandbox.command(&[
        "score",
        "--dataset=eight.json",
        "--predictions=gold.json",
        "--json",
    ]);
    assert_eq!(keys(&scored.json()), ["exact_match", "f1", "num_missing"]);
    assert_eq!(scored.json()["exact_match"], 75.0);
    assert_eq!(scored.json()["num_missing"], 2);
    let warning =
        "warning: 2 questions have no prediction: counted as wrong, as in the official script\n";
    assert_eq!(scored.stderr, warning);
    // Odds say nothing there; a threshold without odds says nothing anywhere.
    let mut arguments = vec!["score", "--dataset=eight.json", "--predictions=gold.json"];
    arguments.push("--na-probs=odds.json");
    let with_odds = sandbox.command(&arguments);
    assert_eq!(with_odds.code, Some(0), "{with_odds:?}");
    assert!(
        with_odds.stderr.contains("--na-probs changes nothing"),
        "{with_odds:?}"
    );
    arguments[3] = "--na-prob-thresh=0";
    assert_eq!(sandbox.command(&arguments).code, Some(2));
}

fn questions(dataset: &Value) -> impl Iterator<Item = &Value> {
    dataset["data"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|article| {
            let paragraphs = article["paragraphs"].as_array().unwrap();
            paragraphs
                .iter()
                .flat_map(|paragraph| paragraph["qas"].as_array().unwrap())
        })
}

#[test]
fn inspect_prints_the_documented_keys() {
    let sandbox = Sandbox::new();
    let dataset = workspace("datasets/sample/dev.json");
    let dataset = dataset.to_str().unwrap();
    let arguments = [
        "inspect",
        "--json",
        "--tokenizer=encoder",
        "--dataset",
        dataset,
    ];
    let whole = sandbox.command(&arguments).json();
    for key in [
        "questions",
        "features",
        "mean_length",
        "max_length",
        "answerable",
        "unanswerable",
        "labelled",
    ] {
        assert!(whole[key].is_number(), "{key} in {whole}");
    }
    let count = |value: &Value, key: &str| value[key].as_u64().unwrap();
    assert_eq!(count(&whole, "questions"), 120);
    assert_eq!(
        count(&whole, "answerable") + count(&whole, "unanswerable"),
        120
    );
    assert_eq!(count(&whole, "labelled"), count(&whole, "answerable"));
    let cut = ["--max-seq-length=64", "--doc-stride=16"];
    let cut = sandbox.command(&[&arguments[..], &cut].concat()).json();
    assert_eq!(count(&cut, "max_length"), 64);
    assert!(count(&cut, "features") > count(&whole, "features"));
}

#[test]
fn predict_answers_with_slices_of_the_context() {
    let sandbox = Sandbox::new();
    sandbox.train(
        "run",
        &["train.num_train_epochs=1", "eval.max_eval_samples=1"],
    );
    let context = "Zoë walked 12 km over the “old” bridge, twice.";
    sandbox.write("context.txt", context);
    let arguments = [
        "predict",
        "--model=run/model",
        "--question",
        " How far? ",
        "--top-k=3",
    ];
    let given = sandbox.command(&[&arguments[..], &["--json", "--context", context]].concat());
    let prediction = given.json();
    let shape = [
        "answer",
        "answers",
        "null_odds",
        "null_score",
        "offsets",
        "probability",
        "score",
    ];
    assert_eq!(keys(&prediction), shape);
    assert_eq!(given.stderr, "");
    assert_eq!(prediction["answers"].as_array().unwrap().len(), 3);
    let from_file = ["--json", "--context-file=context.txt"];
    let from_file = sandbox.command(&[&arguments[..], &from_file].concat());
    assert_eq!(from_file.stdout, given.stdout);
    let plain = sandbox.command(&[&arguments[..], &["--context", context]].concat());
    assert_eq!(
        (plain.code, plain.stdout.lines().count()),
        (Some(0), 3),
        "{plain:?}"
    );
    let answer = prediction["answer"].as_str().unwrap();
    assert!(context.contains(answer), "{answer:?}");
    for line in plain
        .stdout
        .lines()
        .filter(|line| !line.contains("(no answer)"))
    {
        // Probability, score, text, range: 6 and 8 columns, two spaces between.
        let text = line[18..].rsplit_once("  [").unwrap().0;
        assert!(context.contains(text), "{line}");
    }
}

#[test]
fn a_run_prints_three_answers_and_the_next_commands() {
    let sandbox = Sandbox::new();
    let run = sandbox.command(&["--config=config.toml", "train.num_train_epochs=1"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout.matches("\n  Q: ").count(), 3, "{}", run.stdout);
    for part in [
        "features/s",
        "peak memory",
        "predict --model runs/config/model",
        "tensorboard",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
    }
    for part in [
        "results go to runs/config",
        "newly initialized: qa_outputs.bias",
        "epoch 1/1",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    // Another run gets a folder of its own.
    let again = sandbox.command(&["train", "--config=config.toml", "train.num_train_epochs=1"]);
    assert!(
        again.stderr.contains("results go to runs/config-2"),
        "{again:?}"
    );
}

/// As `cargo run` and as a program of its own.
#[test]
fn commands_to_try_next_call_the_program_as_it_was_called() {
    let sandbox = Sandbox::new();
    let run = |run: &str, is_cargo: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.args([
            "--config=config.toml",
            "--run-dir",
            run,
            "train.max_steps=1",
        ]);
        if is_cargo {
            command.env("CARGO_MANIFEST_DIR", ".");
        } else {
            command.env_remove("CARGO_MANIFEST_DIR");
        }
        sandbox.finish(&mut command).success().to_owned()
    };
    let by_cargo = run("by-cargo", true);
    let expected = "  cargo run -p trainer -- predict --model by-cargo/model ";
    assert!(by_cargo.contains(expected), "{by_cargo}");
    let alone = run("alone", false);
    let expected = format!(
        "{} predict --model alone/model ",
        env!("CARGO_BIN_EXE_trainer")
    );
    assert!(alone.contains(&expected), "{alone}");
    assert!(!alone.contains("cargo run"), "{alone}");
}

/// No shell does it behind an equals sign.
#[test]
#[cfg(unix)]
fn a_tilde_is_the_home_folder_in_paths_and_settings() {
    let sandbox = Sandbox::new();
    let home = sandbox.path("home");
    std::fs::create_dir(&home).unwrap();
    for name in ["train.json", "dev.json"] {
        std::fs::rename(sandbox.path(name), home.join(name)).unwrap();
    }
    sandbox.copy("encoder", "home/encoder");
    sandbox.write(
        "home/config.toml",
        "model.source = \"~/encoder\"\neval.file = \"~/dev.json\"\n",
    );
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        sandbox.finish(command.args(arguments).env("HOME", &home))
    };
    let settings = ["train.files=~/train.json", "train.max_steps=1"];
    let folders = ["--config=~/config.toml", "--run-dir=~/run"];
    run(&[&folders[..], &settings].concat()).success();
    assert!(!sandbox.path("~").exists());
    let config = sandbox.text("home/run/config.toml");
    assert!(!config.contains('~'), "{config}");
    let score = run(&[
        "evaluate",
        "--model=~/run/model",
        "--dataset=~/dev.json",
        "--json",
    ]);
    assert_eq!(score.json()["total"], 8);
}

#[test]
fn a_question_and_a_text_may_begin_with_a_dash() {
    let sandbox = Sandbox::new();
    let asked = ["--question", "-x?", "--context", "- Ane built it."];
    let predict =
        sandbox.command(&[&["predict", "--model=encoder", "--must-answer"], &asked[..]].concat());
    predict.success();
}

#[test]
fn texts_in_utf_16_are_read() {
    let sandbox = Sandbox::new();
    let utf16 = |text: &str| -> Vec<u8> {
        let units = format!("\u{feff}{text}");
        units.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    std::fs::write(sandbox.path("text.txt"), utf16("Ane Holm built it.")).unwrap();
    let arguments = [
        "predict",
        "--model=encoder",
        "--question=Who?",
        "--must-answer",
    ];
    let [plain, file] = ["--context=Ane Holm built it.", "--context-file=text.txt"]
        .map(|text| sandbox.command(&[&arguments[..], &[text]].concat()));
    assert_eq!(file.success(), plain.success());
    let config = utf16(&sandbox.text("config.toml"));
    std::fs::write(sandbox.path("windows.toml"), config).unwrap();
    let settings = [
        "--config=windows.toml",
        "--run-dir=run",
        "train.max_steps=1",
    ];
    sandbox.command(&settings).success();
}

#[test]
fn commands_to_try_next_can_be_pasted() {
    let sandbox = Sandbox::new();
    let arguments = [
        "--config=config.toml",
        "--run-dir=it's a run",
        "train.max_steps=1",
    ];
    let run = sandbox.command(&arguments);
    let part = r"predict --model 'it'\''s a run/model' ";
    assert!(run.success().contains(part), "{run:?}");
}

#[test]
fn more_frozen_layers_than_there_are_is_a_warning() {
    let sandbox = Sandbox::new();
    let run = |layers: &str| {
        let settings = [
            "train.max_steps=1",
            &format!("train.freeze_layers={layers}"),
        ];
        sandbox.command(&[&["--config=config.toml"], &settings[..]].concat())
    };
    let warning = "warning: train.freeze_layers is 8, but the model has 1: all of them are frozen";
    assert!(run("8").stderr.contains(warning));
    assert!(!run("1").stderr.contains("warning: train.freeze"));
}
