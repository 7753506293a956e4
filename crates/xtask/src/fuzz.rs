//! `cargo xtask fuzz`: builds the fuzz targets with coverage counters and runs them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;

use crate::arguments::Arguments;
use crate::{complain, print_line, root, target_folder};

const USAGE: &str = "\
cargo xtask fuzz [--seconds N] [--jobs N] [TARGET…]

Runs each target for N seconds (default 60), N at once (default 1); without names, all of them.
New inputs stay in target/fuzz/corpus, an input that fails is written to target/fuzz/findings.";

/// A parser that needs more than this for an input of at most `MAX_LEN` bytes has a bug.
const RSS_LIMIT_MB: u32 = 1024;
const TIMEOUT_SECONDS: u32 = 20;
const MAX_LEN: u32 = 1 << 16;

/// A folder in memory, where the system has one, and how the names of the runs' folders in it begin; a process id follows.
const MEMORY: &str = "/dev/shm";
const IN_MEMORY: &str = "squad-burn-fuzz-";

/// Whether no target found anything.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let mut arguments = Arguments::new(arguments, USAGE);
    let seconds: u32 = arguments.number("--seconds", 60)?;
    let jobs: usize = arguments.number("--jobs", 1)?;
    let mut targets = arguments.names()?;
    let fuzzer = build()?;
    let known = known_targets();
    if targets.is_empty() {
        targets = known;
    } else if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        return Err(format!(
            "no target {unknown:?} (known: {})",
            known.join(", ")
        ));
    }
    let folder = target_folder().join("fuzz");
    remove_leftovers();
    print_line(&format!(
        "{:20} {:>12} {:>8} {:>7} {:>7} {:>8}",
        "target", "executions", "seconds", "edges", "corpus", "peak MiB"
    ));
    let queue = Mutex::new(targets.into_iter());
    let findings = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(target) = next(&queue) {
                    let found = run_target(&fuzzer, &target, seconds, &folder);
                    let found = found.unwrap_or_else(|message| {
                        complain(&format!("error: {target}: {message}"));
                        true
                    });
                    *findings.lock().expect("no thread panics") += usize::from(found);
                }
            });
        }
    });
    Ok(findings.into_inner().expect("no thread panics") == 0)
}

/// Removes what runs that were killed have left in memory.
fn remove_leftovers() {
    for entry in std::fs::read_dir(MEMORY).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(IN_MEMORY));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn next(queue: &Mutex<std::vec::IntoIter<String>>) -> Option<String> {
    queue.lock().expect("no thread panics").next()
}

/// The names of the folders with seeds.
fn known_targets() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("crates/fuzz-targets/seeds"));
    let names = entries.into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Compiles libFuzzer; the folder of the library.
fn build_libfuzzer() -> Result<PathBuf, String> {
    let manifest = root().join("scripts/fuzz/libfuzzer/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--locked",
            "--message-format=json",
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_folder().join("fuzz/libfuzzer"))
        .env("CXXFLAGS", "-O2")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut folders =
        messages.filter_map(|message| Some(PathBuf::from(message["out_dir"].as_str()?)));
    let found = folders.find(|folder| folder.join("libfuzzer.a").is_file());
    found.ok_or_else(|| "libFuzzer does not compile: it needs a C++ compiler".into())
}

/// Compiles the fuzzer; dependencies are those of `cargo build --workspace`.
fn build() -> Result<PathBuf, String> {
    let libfuzzer = build_libfuzzer()?;
    let mut cargo = Command::new(env!("CARGO"));
    // What `cargo run` tells of xtask would make build scripts run again that watch these variables, as ring's does.
    for (name, _) in std::env::vars_os() {
        let is_of_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .args(["build", "--locked", "--workspace", "--bin", "fuzz"])
        .args(["--features", "fuzz-targets/libfuzzer"])
        .env(
            "RUSTC_WORKSPACE_WRAPPER",
            root().join("scripts/fuzz/rustc.sh"),
        )
        .env("LIBFUZZER_DIR", libfuzzer)
        .current_dir(root())
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err("the fuzzer does not compile".into());
    }
    Ok(target_folder().join("debug/fuzz"))
}

/// Runs one target and prints its figures; whether it found something.
fn run_target(fuzzer: &Path, target: &str, seconds: u32, folder: &Path) -> Result<bool, String> {
    let error = |e: std::io::Error| e.to_string();
    let [corpus, findings] = ["corpus", "findings"].map(|name| folder.join(name).join(target));
    // Each input is a file: in memory where the system has such a folder.
    let memory = Path::new(MEMORY);
    let temporary = if memory.is_dir() {
        memory.join(format!("{IN_MEMORY}{}", std::process::id()))
    } else {
        folder.join("tmp")
    };
    let temporary = temporary.join(target);
    // A process that was killed left its files.
    let _ = std::fs::remove_dir_all(&temporary);
    for folder in [&corpus, &findings, &temporary] {
        std::fs::create_dir_all(folder).map_err(error)?;
    }
    let log_path = folder.join(format!("{target}.log"));
    let log = File::create(&log_path).map_err(error)?;
    let started = Instant::now();
    let mut command = Command::new(fuzzer);
    command
        .arg(&corpus)
        .args(inputs(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={RSS_LIMIT_MB}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .args(["-print_final_stats=1", "-reload=0"])
        .env("FUZZ_TARGET", target)
        .env("TMPDIR", &temporary)
        .current_dir(root())
        .stdout(log.try_clone().map_err(error)?)
        .stderr(log);
    let status = command.status().map_err(error)?;
    let _ = std::fs::remove_dir_all(&temporary);
    // It is empty after the last target.
    let _ = temporary.parent().map(std::fs::remove_dir);
    let log = String::from_utf8_lossy(&std::fs::read(&log_path).map_err(error)?).into_owned();
    let stat = |name: &str| {
        let value = log.lines().rev().find_map(|line| line.strip_prefix(name));
        value.map_or("?", str::trim).to_owned()
    };
    let after = |word: &str| {
        let value = log.lines().rev().find_map(|line| line.split_once(word));
        let value = value.and_then(|(_, rest)| rest.split_whitespace().next());
        value.unwrap_or("?").to_owned()
    };
    print_line(&format!(
        "{target:20} {:>12} {:>8} {:>7} {:>7} {:>8}",
        stat("stat::number_of_executed_units:"),
        started.elapsed().as_secs(),
        after(" cov: "),
        after(" corp: "),
        stat("stat::peak_rss_mb:"),
    ));
    if !status.success() {
        complain(&format!(
            "{target}: failed ({status}): {}",
            log_path.display()
        ));
    }
    Ok(!status.success())
}

/// The committed inputs: the target's seeds and regressions.
fn inputs(target: &str) -> Vec<PathBuf> {
    let folders = ["seeds", "regressions"];
    let folders = folders.map(|name| root().join("crates/fuzz-targets").join(name).join(target));
    folders
        .into_iter()
        .filter(|folder| folder.is_dir())
        .collect()
}
