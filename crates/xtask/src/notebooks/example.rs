//! Copies the notebooks' code cells into an example of notebook-kit, so that `cargo check` finds a cell that a changed interface
//! breaks.

use std::path::PathBuf;

use super::ipynb::Notebook;
use crate::root;

fn folder() -> PathBuf {
    root().join("crates/notebook-kit/examples/notebooks")
}

/// Paths and contents of the example's files.
fn files(notebooks: &[Notebook]) -> Vec<(PathBuf, String)> {
    let mut main = String::from(
        "//! The notebooks' cells, for the compiler. Arguments name the notebooks to run, such as `03`; without any, all run.\n\
         //! Made by `cargo xtask notebooks sync`.\n\
         #![allow(warnings, clippy::all, clippy::print_stdout, missing_docs)]\n\n",
    );
    let mut calls = String::new();
    let mut files = Vec::new();
    for notebook in notebooks {
        let name = notebook.name();
        let module = format!("n{}", name.replace('-', "_"));
        main.push_str(&format!("#[rustfmt::skip]\nmod {module};\n"));
        calls.push_str(&format!(
            "    if runs(\"{name}\") {{\n        {module}::cells()?;\n    }}\n"
        ));
        files.push((
            folder().join(format!("{module}.rs")),
            body(&name, &notebook.code()),
        ));
    }
    main.push_str(&format!(
        "\nfn main() -> Result<(), Box<dyn std::error::Error>> {{\n\
         \x20   let wanted: Vec<String> = std::env::args().skip(1).collect();\n\
         \x20   let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w));\n\
         {calls}    Ok(())\n}}\n"
    ));
    files.push((folder().join("main.rs"), main));
    files
}

/// One function with all cells, so that later cells see the declarations of earlier ones, as in a notebook.
fn body(name: &str, cells: &[String]) -> String {
    let mut body = format!(
        "//! `notebooks/{name}.ipynb`; made by `cargo xtask notebooks sync`.\n\n\
         pub fn cells() -> Result<(), Box<dyn std::error::Error>> {{\n"
    );
    for (number, cell) in (1..).zip(cells) {
        body.push_str(&format!("    // Cell {number}.\n"));
        let mut in_braces = false;
        for line in cell.lines().filter(|line| !line.starts_with(':')) {
            // A block that ends a cell may have a value.
            let line = match line {
                "{" => "let _ = {",
                "}" if in_braces => "};",
                line => line,
            };
            in_braces = line == "let _ = {" || in_braces && line != "};";
            body.push_str(format!("    {line}").trim_end());
            body.push('\n');
        }
        // A cell may end with the expression that it shows.
        let end = cell.trim_end().chars().last();
        if end.is_some_and(|end| !matches!(end, ';' | '}')) {
            body.truncate(body.trim_end().len());
            body.push_str(";\n");
        }
    }
    body.push_str("    Ok(())\n}\n");
    body
}

pub(super) fn write(notebooks: &[Notebook]) -> Result<(), String> {
    let folder = folder();
    let with_path = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).map_err(with_path)?;
    }
    std::fs::create_dir_all(&folder).map_err(with_path)?;
    let mut files = files(notebooks).into_iter();
    files.try_for_each(|(path, text)| std::fs::write(path, text).map_err(with_path))
}

/// The example's files that differ from the notebooks.
pub(super) fn complaints(notebooks: &[Notebook]) -> Vec<String> {
    let files = files(notebooks);
    let mut complaints = Vec::new();
    for (path, text) in &files {
        if std::fs::read_to_string(path).is_ok_and(|found| found == *text) {
            continue;
        }
        complaints.push(format!(
            "{} is not up to date: cargo xtask notebooks sync",
            path.display()
        ));
    }
    let found = std::fs::read_dir(folder()).map_or(0, Iterator::count);
    if complaints.is_empty() && found != files.len() {
        complaints.push(format!(
            "{} has files of no notebook: cargo xtask notebooks sync",
            folder().display()
        ));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_expressions_become_statements_and_evcxr_commands_are_dropped() {
        let cells = [
            ":dep notebook-kit = { path = \"x\" }\nuse notebook_kit::prelude::*;",
            "for i in 0..2 {\n    f(i);\n}",
            "a\n    .draw()",
            "{\n    a\n}",
        ];
        let text = body("01-data", &cells.map(String::from));
        let expected = "pub fn cells() -> Result<(), Box<dyn std::error::Error>> {\n    \
            // Cell 1.\n    use notebook_kit::prelude::*;\n    \
            // Cell 2.\n    for i in 0..2 {\n        f(i);\n    }\n    \
            // Cell 3.\n    a\n        .draw();\n    \
            // Cell 4.\n    let _ = {\n        a\n    };\n    Ok(())\n}\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
