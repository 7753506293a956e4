//! Notebook files as git has them: without outputs, with short cells.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(super) struct Notebook {
    pub(super) path: PathBuf,
    content: Value,
}

const MOST_LINES: usize = 15;
const LONGEST_LINE: usize = 100;

impl Notebook {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
        Ok(Self {
            path: path.into(),
            content: serde_json::from_str(&text).map_err(|e| wrong(&e))?,
        })
    }

    /// File name without folder and extension.
    pub(super) fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// The sources of its code cells, in order.
    pub(super) fn code(&self) -> Vec<String> {
        let cells = self.content["cells"].as_array().into_iter().flatten();
        cells
            .filter(|cell| cell["cell_type"] == "code")
            .map(source)
            .collect()
    }

    /// Writes the file again without outputs and execution counts.
    pub(super) fn strip(&self) -> Result<(), String> {
        let stripped = stripped(&self.content);
        if stripped == self.content {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&stripped).expect("a notebook is plain JSON");
        atomic_fs::write_file(&self.path, as_jupyter(&text)).map_err(|e| e.to_string())
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        let name = self.name();
        let mut complaints = Vec::new();
        if stripped(&self.content) != self.content {
            complaints.push(format!("{name}: has outputs: cargo xtask notebooks sync"));
        }
        let code = self.code();
        for (number, cell) in (1..).zip(&code) {
            let lines = cell.lines().count();
            if lines > MOST_LINES {
                complaints.push(format!(
                    "{name}: cell {number} has {lines} lines, more than {MOST_LINES}"
                ));
            }
            if cell.lines().any(|line| line.chars().count() > LONGEST_LINE) {
                complaints.push(format!(
                    "{name}: cell {number} has a line over {LONGEST_LINE} characters"
                ));
            }
        }
        let dependencies = code
            .iter()
            .flat_map(|cell| cell.lines())
            .filter(|line| line.starts_with(":dep"));
        if dependencies.count() != 1
            || !code
                .first()
                .is_some_and(|cell| cell.starts_with(":dep notebook-kit"))
        {
            complaints.push(format!(
                "{name}: not exactly one `:dep`, of notebook-kit, in its first cell"
            ));
        }
        if code
            .last()
            .is_none_or(|cell| !cell.contains(&format!("finished(\"{name}\")")))
        {
            complaints.push(format!(
                "{name}: its last cell does not call finished(\"{name}\")"
            ));
        }
        complaints
    }
}

/// JSON as Jupyter writes it, indented by one space.
fn as_jupyter(text: &str) -> String {
    let line = |line: &str| {
        let content = line.trim_start();
        format!(
            "{}{content}\n",
            " ".repeat((line.len() - content.len()) / 2)
        )
    };
    text.lines().map(line).collect()
}

fn source(cell: &Value) -> String {
    match &cell["source"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().into(),
    }
}

/// The content that git keeps: sources and the kernel's name.
fn stripped(content: &Value) -> Value {
    let mut content = content.clone();
    for cell in content["cells"].as_array_mut().into_iter().flatten() {
        cell["metadata"] = json!({});
        if cell["cell_type"] == "code" {
            cell["outputs"] = json!([]);
            cell["execution_count"] = Value::Null;
        }
    }
    content["metadata"] = json!({
        "kernelspec": { "display_name": "Rust (squad-burn)", "language": "rust", "name": "squad-burn" },
        "language_info": { "file_extension": ".rs", "mimetype": "text/rust", "name": "Rust" },
    });
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(cells: Value) -> Notebook {
        let content = json!({ "cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5 });
        Notebook {
            path: "n/01-data.ipynb".into(),
            content: stripped(&content),
        }
    }

    fn code(source: &str) -> Value {
        json!({ "cell_type": "code", "source": source, "outputs": [], "metadata": {}, "execution_count": null })
    }

    const FIRST: &str = ":dep notebook-kit = { path = \"../crates/notebook-kit\" }";

    #[test]
    fn a_valid_notebook_has_no_complaints() {
        let notebook = notebook(json!([code(FIRST), code("finished(\"01-data\");")]));
        assert_eq!(notebook.complaints(), [""; 0]);
        assert_eq!(notebook.code().len(), 2);
    }

    #[test]
    fn json_is_formatted_as_jupyter_does() {
        let text = serde_json::to_string_pretty(&json!({ "a": [{ "b": "  two" }] })).unwrap();
        assert_eq!(
            as_jupyter(&text),
            "{\n \"a\": [\n  {\n   \"b\": \"  two\"\n  }\n ]\n}\n"
        );
    }

    #[test]
    fn each_rule_is_checked() {
        let end = || code("finished(\"01-data\");");
        for (cells, complaint) in [
            (
                json!([code(FIRST), code(&"a;\n".repeat(16)), end()]),
                "16 lines",
            ),
            (
                json!([code(FIRST), code(&"a".repeat(101)), end()]),
                "over 100",
            ),
            (json!([code("let a = 1;"), end()]), "`:dep`"),
            (
                json!([code(FIRST), code(":dep serde = \"1\""), end()]),
                "`:dep`",
            ),
            (json!([code(FIRST), code("finished(\"02\");")]), "last cell"),
        ] {
            let complaints = notebook(cells).complaints();
            assert!(
                complaints.len() == 1 && complaints[0].contains(complaint),
                "{complaints:?}"
            );
        }
        let mut executed = notebook(json!([code(FIRST), end()]));
        executed.content["cells"][0]["outputs"] = json!([{ "output_type": "stream" }]);
        assert!(executed.complaints()[0].contains("has outputs"));
    }
}
