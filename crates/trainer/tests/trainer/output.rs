//! Standard output and standard error that cannot be written: full, closed, or a terminal that obeys control characters.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::Sandbox;

const TRAIN: &[&str] = &[
    "--config=config.toml",
    "train.max_steps=3",
    "eval.max_eval_samples=2",
];

fn trainer(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(arguments).current_dir(sandbox.path("."));
    command
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads.
fn closed() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

/// A sandbox with a run, and the arguments of every command that prints results.
fn commands() -> (Sandbox, Vec<Vec<&'static str>>) {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["train.max_steps=1", "eval.max_eval_samples=2"]);
    let ids = sandbox.json("run/eval/predictions.json");
    sandbox.write("predictions.json", &ids.to_string());
    let score = ["--dataset=dev.json", "--predictions=predictions.json"];
    let predict = ["--model=encoder", "--question=What?", "--context=This."];
    let evaluate = ["--model=encoder", "--dataset=dev.json"];
    let with = |name, rest: &[&'static str]| [&[name], rest].concat();
    let predict_all = |format| {
        with(
            "predict",
            &["--model=encoder", "--dataset=dev.json", format],
        )
    };
    let inspect = ["--dataset=dev.json", "--tokenizer=encoder"];
    let commands = vec![
        vec!["--help"],
        vec!["--version"],
        vec!["devices"],
        vec!["devices", "--json"],
        with("score", &score),
        [&with("score", &score)[..], &["--json"]].concat(),
        with("predict", &predict),
        [&with("predict", &predict)[..], &["--json"]].concat(),
        predict_all("--format=jsonl"),
        predict_all("--format=csv"),
        predict_all("--format=squad"),
        predict_all("--format=evaluate"),
        predict_all("--pipeline"),
        with("evaluate", &evaluate),
        with("inspect", &inspect),
        vec!["report", "run"],
        vec!["fetch", "model", "encoder"],
    ];
    (sandbox, commands)
}

#[test]
#[cfg(target_os = "linux")]
fn results_that_cannot_be_written_are_one_line_and_exit_2() {
    let (sandbox, commands) = commands();
    for arguments in commands {
        let mut command = trainer(&sandbox, &arguments);
        let output = command.stdout(full()).stderr(Stdio::piped());
        let output = output.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(
            last.starts_with("error: standard output: No space left"),
            "{arguments:?} {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_quiet() {
    let (sandbox, commands) = commands();
    for arguments in commands {
        let mut command = trainer(&sandbox, &arguments);
        let output = command.stdout(closed()).stderr(Stdio::piped());
        let output = output.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {stderr}");
        let wrong = ["panicked", "error", "pipe"];
        assert!(!wrong.iter().any(|word| stderr.contains(word)), "{stderr}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn errors_that_cannot_be_written_keep_their_exit_code() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["--config=none.toml"][..],
        &["--no-such-option"],
        &["score", "--dataset=none", "--predictions=none"],
    ] {
        for stream in [Stdio::from(full()), Stdio::from(closed())] {
            let status = trainer(&sandbox, arguments).stderr(stream).status();
            assert_eq!(status.unwrap().code(), Some(2), "{arguments:?}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn progress_and_logs_that_cannot_be_written_do_not_stop_a_run() {
    let sandbox = Sandbox::new();
    sandbox.train("whole", &TRAIN[1..]);
    for (run, stream) in [
        ("full", Stdio::from(full())),
        ("closed", Stdio::from(closed())),
    ] {
        let run_dir = format!("--run-dir={run}");
        let mut command = trainer(&sandbox, &[TRAIN, &[&run_dir]].concat());
        // Whatever is logged cannot be written.
        let status = command.env("RUST_LOG", "trace").stderr(stream).status();
        assert_eq!(status.unwrap().code(), Some(0), "{run}");
        assert!(sandbox.weights("whole") == sandbox.weights(run), "{run}");
    }
}

#[test]
fn the_log_level_selects_warnings() {
    let sandbox = Sandbox::new();
    let id = &sandbox.json("dev.json")["data"][0]["paragraphs"][0]["qas"][0]["id"];
    sandbox.write(
        "one.json",
        &serde_json::json!({ id.as_str().unwrap(): "" }).to_string(),
    );
    let score = ["score", "--dataset=dev.json", "--predictions=one.json"];
    for (level, is_shown) in [("info", true), ("warn", true), ("error", false)] {
        let output = trainer(&sandbox, &score).env("RUST_LOG", level).output();
        let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
        let warning = "warning: 7 questions have no prediction";
        assert_eq!(stderr.contains(warning), is_shown, "{level}: {stderr}");
    }
}

/// `trainer … 2>&1 | head -1`
#[test]
#[cfg(unix)]
fn a_reader_that_leaves_after_one_line_does_not_stop_a_run() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = trainer(&sandbox, &[TRAIN, &["--run-dir=run"]].concat());
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(sandbox.path("run/model/model.safetensors").is_file());
}

/// A text that would set a terminal's title.
#[test]
#[ignore = "needs util-linux's script"]
#[cfg(target_os = "linux")]
fn control_characters_are_escaped_on_a_terminal_alone() {
    let sandbox = Sandbox::new();
    let context = "\u{1b}]0;owned\u{7} \u{9b}2J";
    sandbox.write("context.txt", context);
    let binary = env!("CARGO_BIN_EXE_trainer");
    let predict =
        "predict --model=encoder --question=What --context-file=context.txt --must-answer";
    for (arguments, escaped) in [
        (predict, "\\u009b"),
        (
            "inspect --dataset=no\u{1b}file --tokenizer=encoder",
            "no\\u001bfile",
        ),
    ] {
        let line = format!("{binary} {arguments}");
        let mut command = Command::new("script");
        let output = command.args(["-qec", &line, "/dev/null"]);
        let output = output.current_dir(sandbox.path(".")).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains(escaped), "{shown:?}");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{shown:?}");
    }
    let predicted = sandbox.command(&predict.split(' ').collect::<Vec<_>>());
    assert!(predicted.stdout.contains('\u{9b}'), "{predicted:?}");
}
