//! The workspace's own chores: `cargo xtask check`, `tidy`, `fuzz`, `faults`, `soak` and `notebooks`.

mod arguments;
#[cfg(unix)]
mod faults;
mod features;
mod fuzz;
mod notebooks;
mod soak;
mod tidy;
mod tiny;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let complaints = match arguments.first().map(String::as_str) {
        Some("check") => features::complaints(),
        Some("tidy") => tidy::complaints(),
        #[cfg(unix)]
        Some("faults") => return exit(faults::run(&arguments[1..])),
        Some("fuzz") => return exit(fuzz::run(&arguments[1..])),
        Some("soak") => return exit(soak::run(&arguments[1..])),
        Some("notebooks") => return notebooks::run(&arguments[1..]),
        _ => {
            complain(
                "cargo xtask check       the documented commands share one build of Burn\n\
                 cargo xtask tidy        the invariants of ARCHITECTURE.md hold\n\
                 cargo xtask fuzz        fuzzes every parser of foreign data\n\
                 cargo xtask faults      runs under faults end in the same bits when resumed\n\
                 cargo xtask soak        the memory of a long run does not grow\n\
                 cargo xtask notebooks   the notebooks: setup, lab, run, render, check, sync",
            );
            return ExitCode::from(2);
        }
    };
    match complaints.as_slice() {
        [] => ExitCode::SUCCESS,
        complaints => {
            complain(&complaints.join("\n"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line on standard output; a reader that has gone loses it.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// As [`print_line`], on standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The workspace's root.
fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = crates.and_then(Path::parent);
    root.expect("two folders above this crate").to_owned()
}

/// Cargo's target folder.
fn target_folder() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    folder.unwrap_or_else(|| root().join("target"))
}

/// The exit code of a check: whether it passed, or a message for the user.
fn exit(passed: Result<bool, String>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            complain(&format!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

/// The lines of `cargo tree`, each in the form of `format`.
fn cargo_tree(arguments: &str, format: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix=none", "--format", format])
        .args(arguments.split(' '))
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree {arguments}: {error}");
    let text = String::from_utf8_lossy(&output.stdout);
    // The mark says that a package was listed before.
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.map(String::from).collect()
}
