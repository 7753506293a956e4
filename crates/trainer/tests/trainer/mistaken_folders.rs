//! A user's mistake about folders: models that cannot be loaded, runs that cannot be written.

use std::path::Path;
use std::process::Command;

use crate::mistakes::train;
use crate::support::{Finished, Sandbox};
use test_support::TinyModel;

#[test]
fn a_bad_model_folder_is_one_line() {
    let sandbox = Sandbox::new();
    let all = ["config.json", "tokenizer.json", "model.safetensors"];
    for missing in all {
        let folder = format!("without-{missing}");
        std::fs::create_dir(sandbox.path(&folder)).unwrap();
        for file in all.iter().filter(|file| **file != missing) {
            let from = sandbox.path("encoder").join(file);
            std::fs::copy(from, sandbox.path(&folder).join(file)).unwrap();
        }
        let source = format!("model.source={}", sandbox.path(&folder).display());
        train(&sandbox, &[&source]).mistake(&[&folder, missing]);
        let model = format!("--model={folder}");
        let evaluated = sandbox.command(&["evaluate", &model, "--dataset=dev.json", "--out=out"]);
        evaluated.mistake(&[&folder, missing]);
        assert!(!sandbox.path("out").exists());
    }
    // A run, whose model is a folder in it.
    std::fs::create_dir_all(sandbox.path("finished/model")).unwrap();
    let config = sandbox.path("encoder/config.json");
    std::fs::copy(config, sandbox.path("finished/model/config.json")).unwrap();
    let evaluated = sandbox.command(&["evaluate", "--model=finished", "--dataset=dev.json"]);
    evaluated.mistake(&["finished", "give its folder \"model\" instead"]);
    train(&sandbox, &["model.source=./none"]).mistake(&["./none", "no such folder"]);
    train(&sandbox, &["model.source=wheel:none"]).mistake(&["wheel:none"]);

    let weights = sandbox.path("encoder/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    // Cut off, without a header, a text.
    for bytes in [&bytes[..bytes.len() / 2], b"0123", b"weights!{\"a\""] {
        std::fs::write(&weights, bytes).unwrap();
        train(&sandbox, &[]).mistake(&["model.safetensors"]);
    }
    sandbox.write("encoder/config.json", "{");
    train(&sandbox, &[]).mistake(&["encoder/config.json"]);
    sandbox.write("encoder/config.json", r#"{"model_type": "gpt2"}"#);
    train(&sandbox, &[]).mistake(&["encoder/config.json", "gpt2"]);
}

#[test]
fn model_files_that_do_not_match_are_one_line() {
    let wide = Sandbox::with_model(&TinyModel {
        hidden_size: 64,
        ..TinyModel::default()
    });
    let sandbox = Sandbox::new();
    let copy = |file: &str| {
        std::fs::copy(
            wide.path("encoder").join(file),
            sandbox.path("encoder").join(file),
        )
        .unwrap();
    };
    copy("model.safetensors");
    train(&sandbox, &[]).mistake(&["model.safetensors", "shape", "64", "32"]);

    let deep = Sandbox::with_model(&TinyModel {
        num_hidden_layers: 2,
        ..TinyModel::default()
    });
    let config = std::fs::read_to_string(deep.path("encoder/config.json")).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("encoder/config.json", &config);
    train(&sandbox, &[]).mistake(&["model.safetensors", "encoder.layer.1."]);

    let small = Sandbox::with_model(&TinyModel {
        missing_rows: 3,
        ..TinyModel::default()
    });
    train(&small, &[]).mistake(&["tokenizer.json", "do not belong together"]);

    let short = TinyModel {
        max_position_embeddings: 100,
        ..TinyModel::default()
    };
    let short = Sandbox::with_model(&short);
    let arguments = [
        "evaluate",
        "--model=encoder",
        "--dataset=dev.json",
        "--max-seq-length=384",
    ];
    let evaluated = short.command(&arguments);
    evaluated.mistake(&["max_seq_length 384", "100 positions"]);
}

#[test]
fn a_bad_run_folder_is_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "in the way");
    let run = |dir: &str| sandbox.command(&["--config=config.toml", "--run-dir", dir]);
    run("file").mistake(&["file", "run folder"]);
    run("file/run").mistake(&["file/run", "run folder"]);
    std::fs::create_dir(sandbox.path("used")).unwrap();
    sandbox.write("used/config.toml", "");
    run("used").mistake(&["used", "already holds a run"]);
    assert_eq!(sandbox.files("used"), ["config.toml"]);
    assert_eq!(sandbox.text("file"), "in the way");
    // `/proc` takes no files, not even from root.
    if Path::new("/proc/self").exists() {
        run("/proc").mistake(&["/proc", "run folder"]);
        run("/proc/run").mistake(&["/proc/run", "run folder"]);
    }
    let out = [
        "evaluate",
        "--model=encoder",
        "--dataset=dev.json",
        "--out=file/out",
    ];
    let evaluated = sandbox.command(&out);
    assert_eq!(evaluated.code, Some(2), "{evaluated:?}");
    assert!(evaluated.stderr.ends_with('\n') && evaluated.stderr.contains("error: file/out: "));
}

/// No file may grow beyond `blocks` of 512 bytes: for the writer the same as a full disk.
fn with_little_space(sandbox: &Sandbox, blocks: u32, arguments: &[&str]) -> Finished {
    let script = format!("ulimit -f {blocks}; exec \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_trainer")])
        .args(arguments);
    sandbox.finish(&mut command)
}

#[test]
#[cfg(unix)]
fn a_full_disk_leaves_no_incomplete_file() {
    let sandbox = Sandbox::new();
    let arguments = [
        "--config=config.toml",
        "--run-dir=run",
        "eval.max_eval_samples=1",
        "train.per_device_train_batch_size=1",
    ];
    with_little_space(&sandbox, 0, &arguments).mistake(&["run: cannot write into the run folder"]);
    assert!(!sandbox.path("run").exists());

    // Room for all but the model.
    let finished = with_little_space(&sandbox, 60, &arguments);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let last = finished.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: cannot write ") && last.contains("/run/"),
        "{finished:?}"
    );
    let files = sandbox.files("run");
    let names: Vec<_> = files
        .iter()
        .map(|name| name.split('/').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [".lock", "config.toml", "metrics.jsonl", "tensorboard"],
        "{files:?}"
    );

    // Events take more room than anything else in these steps: they cost a warning, then the run
    // ends where its own figures find no room.
    let arguments = arguments.map(|argument| argument.replace("=run", "=events"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let finished = with_little_space(
        &sandbox,
        8,
        &[&arguments[..], &["train.num_train_epochs=3"]].concat(),
    );
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(
        finished
            .stderr
            .matches("TensorBoard events cannot be")
            .count(),
        1,
        "{finished:?}"
    );
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
    let last = finished.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: events/metrics.jsonl"),
        "{finished:?}"
    );
}
