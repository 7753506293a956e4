//! What happens to a run when the world changes under it.

use std::path::Path;
use std::process::{Child, Command};

use crate::support::{Sandbox, signal, wait_for};

/// Long enough to be caught in the middle.
const LONG: &[&str] = &[
    "--config=config.toml",
    "--run-dir=run",
    "train.num_train_epochs=500",
    "eval.max_eval_samples=2",
];

/// The exit status, and the last line of standard error.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (
        output.status.code(),
        stderr.lines().last().unwrap().to_owned(),
    )
}

#[test]
fn a_removed_run_folder_ends_the_run() {
    let sandbox = Sandbox::new();
    let child = sandbox.start(LONG);
    wait_for("line", || sandbox.reports("run") >= 2);
    std::fs::remove_dir_all(sandbox.path("run")).unwrap();
    let (code, stderr) = end(child);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.starts_with("error: ") && stderr.contains("run folder is gone"),
        "{stderr}"
    );
    assert!(!sandbox.path("run").exists());
}

#[test]
fn a_running_run_does_not_need_its_dataset() {
    let sandbox = Sandbox::new();
    let child = sandbox.start(LONG);
    wait_for("line", || sandbox.reports("run") >= 2);
    for file in ["train.json", "dev.json"] {
        std::fs::rename(sandbox.path(file), sandbox.path(&format!("gone-{file}"))).unwrap();
    }
    std::fs::rename(sandbox.path("encoder"), sandbox.path("gone-encoder")).unwrap();
    let before = sandbox.reports("run");
    wait_for("further line", || sandbox.reports("run") > before + 5);
    signal(child.id(), "TERM");
    assert_eq!(end(child).0, Some(75));
    let resumed = sandbox.command(&["--resume=run"]);
    resumed.mistake(&["train.json"]);
    // The checkpoint holds model and tokenizer: the data is all that has to come back.
    for file in ["train.json", "dev.json"] {
        std::fs::rename(sandbox.path(&format!("gone-{file}")), sandbox.path(file)).unwrap();
    }
    let shorter = [
        "--resume=run",
        "--allow-config-changes",
        "train.num_train_epochs=1",
    ];
    assert_eq!(sandbox.command(&shorter).code, Some(0));
}

#[test]
fn a_second_process_cannot_use_the_run_folder() {
    let sandbox = Sandbox::new();
    let child = sandbox.start(&[LONG, &["checkpoints.every_steps=1"]].concat());
    let checkpoints = sandbox.path("run/checkpoints");
    wait_for("checkpoint", || {
        std::fs::read_dir(&checkpoints).is_ok_and(|mut entries| entries.next().is_some())
    });
    sandbox
        .command(&["--resume=run"])
        .mistake(&["run", "another process is running"]);
    signal(child.id(), "TERM");
    assert_eq!(end(child).0, Some(75));
}

/// Runs a script as root of a new mount namespace, in which it can mount file systems.
fn in_mount_namespace(sandbox: &Sandbox, script: &str) -> std::process::Output {
    std::fs::create_dir_all(sandbox.path("disk")).unwrap();
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
        .env("TRAINER", env!("CARGO_BIN_EXE_trainer"))
        .current_dir(sandbox.path("."))
        .output()
        .expect("unshare is installed")
}

/// Room for one checkpoint and a half: the second one finds no room while the first is there.
#[test]
#[ignore = "needs unprivileged user and mount namespaces"]
#[cfg(target_os = "linux")]
fn a_full_disk_keeps_the_last_checkpoint() {
    let sandbox = Sandbox::new();
    let settings = "--config=config.toml train.num_train_epochs=2 checkpoints.every_steps=2 eval.max_eval_samples=2";
    let script = format!(
        "mount -t tmpfs -o size=64m tmpfs disk
        $TRAINER {settings} train.max_steps=2 --run-dir=disk/measure
        size=$(du -sk disk/measure/checkpoints | cut -f1)
        umount disk
        mount -t tmpfs -o size=$((size + size / 2))k tmpfs disk
        code=0; $TRAINER {settings} --run-dir=disk/run 2>stderr || code=$?
        echo $code >code
        ls -A disk/run/checkpoints >kept
        mount -o remount,size=64m disk
        $TRAINER --resume=disk/run
        cp disk/run/model/model.safetensors resumed
        $TRAINER {settings} --run-dir=disk/whole
        cp disk/whole/model/model.safetensors whole"
    );
    let output = in_mount_namespace(&sandbox, &script);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sandbox.text("code").trim(), "2");
    let stderr = sandbox.text("stderr");
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: ") && last.contains("No space left on device"),
        "{stderr}"
    );
    assert_eq!(sandbox.text("kept").trim(), "step-00000002-epoch-0001");
    let numbers = |file: &str| std::fs::read(sandbox.path(file)).unwrap();
    assert!(numbers("resumed") == numbers("whole"), "the weights differ");
}

#[test]
#[ignore = "needs unprivileged user and mount namespaces"]
#[cfg(target_os = "linux")]
fn a_read_only_folder_keeps_the_last_checkpoint() {
    let sandbox = Sandbox::new();
    let script = "mount -t tmpfs tmpfs disk
        $TRAINER --config=config.toml --run-dir=disk/run train.num_train_epochs=500 eval.max_eval_samples=2 \
            checkpoints.every_steps=1 2>stderr &
        checkpoints=disk/run/checkpoints
        until ls $checkpoints 2>/dev/null | grep -q step; do sleep 0.01; done
        mount --bind $checkpoints $checkpoints
        # Refused while a checkpoint is being written.
        until mount -o remount,bind,ro $checkpoints 2>/dev/null; do sleep 0.003; done
        code=0; wait $! || code=$?
        echo $code >code
        umount $checkpoints
        $TRAINER --resume=disk/run --allow-config-changes train.num_train_epochs=1 2>resumed";
    let output = in_mount_namespace(&sandbox, script);
    assert!(
        output.status.success(),
        "{output:?} {}",
        sandbox.text("stderr")
    );
    assert_eq!(sandbox.text("code").trim(), "2");
    let stderr = sandbox.text("stderr");
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: ") && last.contains("Read-only file system"),
        "{stderr}"
    );
    let resumed = sandbox.text("resumed");
    assert!(resumed.contains("going on from"), "{resumed}");
}

/// A run does not depend on the wall clock.
#[test]
#[ignore = "needs libfaketime"]
#[cfg(target_os = "linux")]
fn a_clock_that_runs_backwards_changes_nothing() {
    let library = ["x86_64", "aarch64"]
        .map(|arch| format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1"));
    let library = library.iter().find(|path| Path::new(path).exists());
    let library = library.expect("libfaketime is installed");
    let sandbox = Sandbox::new();
    let arguments = |run| {
        [
            "--config=config.toml",
            run,
            "train.num_train_epochs=2",
            "eval.max_eval_samples=2",
        ]
    };
    let plain = sandbox.command(&arguments("--run-dir=plain"));
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    // Ten seconds back in each second, for the wall clock alone.
    command
        .args(arguments("--run-dir=backwards"))
        .env("LD_PRELOAD", library)
        .env("FAKETIME", "@2026-06-01 12:00:00 x-10")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let backwards = sandbox.finish(&mut command);
    assert_eq!(backwards.code, Some(0), "{backwards:?}");
    assert!(sandbox.weights("plain") == sandbox.weights("backwards"));
    let seconds = sandbox.json("backwards/metrics.json")["seconds"].as_f64();
    assert!(seconds.unwrap() > 0.0);
}
