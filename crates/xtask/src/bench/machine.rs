//! Where, when and from what a result came.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::root;

/// Taken down before the work starts, which is load itself.
pub(super) struct Circumstances {
    text: String,
}

impl Circumstances {
    pub(super) fn now() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown").to_owned();
        let date = said("date", &["-u", "+%Y-%m-%d"]);
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        let changed = match said("git", &["status", "--porcelain", "--untracked-files=no"]).as_str()
        {
            "" => "",
            _ => " with changes",
        };
        let mut text = format!(
            "{}, {cores} cores, load {load} before the start; ",
            processor()
        );
        let _ = write!(text, "{date}, commit {commit}{changed}.");
        Self { text }
    }

    /// One line of Markdown, and the command as it was typed.
    pub(super) fn markdown(&self, more: &str) -> String {
        let command = command(std::env::args().skip(1));
        format!(
            "{} {more}\n\n```sh\ncargo xtask {command}\n```\n",
            self.text
        )
    }
}

/// Without what says nothing to others: where the result goes, and where a built trainer lies here.
fn command(mut arguments: impl Iterator<Item = String>) -> String {
    let mut told = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--doc" => {}
            "--trainer" => drop(arguments.next()),
            _ => told.push(argument),
        }
    }
    told.join(" ")
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim());
    name.unwrap_or("unknown processor").to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_without_places_of_this_machine() {
        let typed = "bench train --doc --rounds 2 --trainer somewhere/trainer --shape distilbert";
        let told = command(typed.split(' ').map(String::from));
        assert_eq!(told, "bench train --rounds 2 --shape distilbert");
    }
}
