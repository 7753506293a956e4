//! `cargo xtask notebooks`: sets up, runs and checks the notebooks.

mod example;
mod home;
mod ipynb;
mod setup;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{complain, print_line, root};
use home::Home;
use ipynb::Notebook;

const USAGE: &str = "\
cargo xtask notebooks setup            installs what the notebooks need into the user's cache folder
cargo xtask notebooks lab              opens them in JupyterLab
cargo xtask notebooks run [NAME…]      runs them in one kernel; fails on any error, panic or missing end;
                                       --quick trains on less, --timings prints how long each cell took,
                                       --check checks afterwards, in the same kernel
cargo xtask notebooks render [NAME…]   the same, and writes them as HTML to target/notebooks
cargo xtask notebooks check            a failing cell, a restart and a wrong folder do what they should
cargo xtask notebooks sync             strips outputs, and writes the cells into notebook-kit's example";

/// Runs a subcommand and prints its errors, one line each.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let (name, rest) = match arguments.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("", arguments),
    };
    let done = match name {
        "setup" => setup::setup(),
        "lab" => lab(rest),
        "run" => execute(rest).map(drop),
        "render" => render(rest),
        "check" => check(),
        "sync" => sync(),
        _ => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Complaints of `cargo xtask tidy` about the notebooks in git.
pub(crate) fn complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    match read_all() {
        Ok(notebooks) => {
            complaints.extend(notebooks.iter().flat_map(Notebook::complaints));
            complaints.extend(example::complaints(&notebooks));
        }
        Err(message) => complaints.push(message),
    }
    complaints
}

fn folder() -> PathBuf {
    root().join("notebooks")
}

/// All notebooks, sorted by name.
fn read_all() -> Result<Vec<Notebook>, String> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "ipynb"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Notebook::read(path)).collect()
}

fn sync() -> Result<(), String> {
    let notebooks = read_all()?;
    notebooks.iter().try_for_each(Notebook::strip)?;
    example::write(&read_all()?)
}

/// The paths of the named notebooks, or of all if no name is given.
fn chosen(names: &[&String]) -> Result<Vec<PathBuf>, String> {
    let all = read_all()?;
    if names.is_empty() {
        return Ok(all.into_iter().map(|notebook| notebook.path).collect());
    }
    let path = |name: &&String| {
        let wanted = name.trim_end_matches(".ipynb");
        let found = all
            .iter()
            .find(|notebook| notebook.name().starts_with(wanted));
        found.map(|notebook| notebook.path.clone()).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(Notebook::name).collect();
            format!("no notebook {name} (there is: {})", names.join(", "))
        })
    };
    names.iter().map(path).collect()
}

/// The path of the first notebook.
fn first() -> Result<PathBuf, String> {
    let mut notebooks = chosen(&[])?.into_iter();
    notebooks
        .next()
        .ok_or_else(|| "there is no notebook".into())
}

/// Runs notebooks and returns the paths of the copies with outputs. Arguments that begin with `--` go to `run.py`.
fn execute(arguments: &[String]) -> Result<Vec<PathBuf>, String> {
    let (mut options, names): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|a| a.starts_with("--"));
    let given = options.len();
    options.retain(|option| *option != "--quick");
    let is_quick = options.len() < given;
    let paths = chosen(&names)?;
    let out = root().join("target/notebooks");
    let mut command = Home::find()?.python("run.py")?;
    command.arg("--out").arg(&out).args(options).args(&paths);
    if is_quick {
        command.env("NOTEBOOKS_QUICK", "1");
    }
    succeed(&mut command)?;
    Ok(paths
        .iter()
        .filter_map(|path| Some(out.join(path.file_name()?)))
        .collect())
}

fn render(arguments: &[String]) -> Result<(), String> {
    let executed = execute(arguments)?;
    let mut command = Home::find()?.jupyter()?;
    command
        .args(["nbconvert", "--to=html", "--log-level=WARN"])
        .args(&executed);
    succeed(&mut command)?;
    for path in executed {
        print_line(&path.with_extension("html").display().to_string());
    }
    Ok(())
}

fn check() -> Result<(), String> {
    succeed(Home::find()?.python("check_kernel.py")?.arg(first()?))
}

fn lab(arguments: &[String]) -> Result<(), String> {
    let mut command = Home::find()?.jupyter()?;
    let mut directory = OsString::from("--ServerApp.root_dir=");
    directory.push(folder());
    succeed(
        command
            .arg("lab")
            .arg(directory)
            .args(arguments)
            .current_dir(folder()),
    )
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = Path::new(command.get_program()).display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program}: {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
