//! The workspace's own chores: `cargo xtask check`, `tidy` and `notebooks`.

mod features;
mod notebooks;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let complaints = match arguments.first().map(String::as_str) {
        Some("check") => features::complaints(),
        Some("tidy") => tidy::complaints(),
        Some("notebooks") => return notebooks::run(&arguments[1..]),
        _ => {
            eprintln!(
                "cargo xtask check       the documented commands share one build of Burn\n\
                 cargo xtask tidy        the invariants of ARCHITECTURE.md hold\n\
                 cargo xtask notebooks   the notebooks: setup, lab, run, render, check, sync"
            );
            return ExitCode::from(2);
        }
    };
    match complaints.as_slice() {
        [] => ExitCode::SUCCESS,
        complaints => {
            eprintln!("{}", complaints.join("\n"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root.
fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = crates.and_then(Path::parent);
    root.expect("two folders above this crate").to_owned()
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
