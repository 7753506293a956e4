//! What may stand in a file of a model folder in place of its content.

/// What a file of a model folder is if it begins like this and is not itself, and what to do.
pub fn instead_of_file(start: &[u8]) -> Option<&'static str> {
    let start: Vec<u8> = start
        .trim_ascii_start()
        .iter()
        .take(64)
        .map(u8::to_ascii_lowercase)
        .collect();
    let begins = |words: &[&str]| words.iter().any(|word| start.starts_with(word.as_bytes()));
    if start.is_empty() {
        Some("empty: download it again")
    } else if begins(&["version https://git-lfs"]) {
        Some(
            "a Git LFS pointer, not the file itself: run `git lfs pull` in its folder, or download the file",
        )
    } else if begins(&["<!doctype", "<html", "<?xml"]) {
        Some("a web page: download the file itself")
    } else if begins(&[
        "entry not found",
        "repository not found",
        "not found",
        "invalid username or password",
        "access to ",
        "{\"error\"",
    ]) {
        Some(
            "a server's message, not the file itself: check its address and whether you have access, and download it again",
        )
    } else if start.starts_with(b"\x1f\x8b") {
        Some("compressed with gzip: unpack it")
    } else {
        None
    }
}

/// What is wrong with the text of a JSON file of a model folder that `serde_json` refuses, and what to do.
pub fn json_problem(text: &str, error: &serde_json::Error) -> String {
    if let Some(problem) = instead_of_file(text.as_bytes()) {
        return problem.to_owned();
    }
    if error.is_data() {
        return format!("not the JSON that belongs here: {error}");
    }
    let advice = if error.is_eof() {
        "is the download complete?"
    } else {
        advice(text, error)
    };
    format!("not JSON: {error}; {advice}")
}

/// What to do, by what stands where the reader stopped.
fn advice(text: &str, error: &serde_json::Error) -> &'static str {
    let line = text.lines().nth(error.line().saturating_sub(1));
    let line = line.unwrap_or_default().as_bytes();
    let at = line.get(error.column().saturating_sub(1)..);
    let begins = |words: &[&str]| {
        at.is_some_and(|at| words.iter().any(|word| at.starts_with(word.as_bytes())))
    };
    if begins(&["NaN", "Infinity"]) {
        "Python writes NaN and Infinity, which JSON does not have: remove this key"
    } else if begins(&["//", "/*", "#"]) {
        "JSON has no comments: remove this one"
    } else if begins(&["'", "None", "True", "False"]) {
        "a Python literal: write the file with json.dump"
    } else if error.to_string().starts_with("trailing comma") {
        "remove the comma in front of this place"
    } else {
        "correct it, or download it again"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn what_is_no_json_is_named() {
        for (text, part) in [
            ("", "empty"),
            (" \n", "empty"),
            (
                "version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            ("\n<!DOCTYPE html><html>", "a web page"),
            ("Entry not found", "a server's message"),
            ("{\"a\": ", "is the download complete?"),
            ("{\"a\": NaN}", "column 7; Python writes NaN"),
            ("{\"a\": Infinity}", "Python writes NaN"),
            ("{\"a\": -Infinity}", "Python writes NaN"),
            ("{\"a\": 1,\n}", "remove the comma"),
            ("{\n // my model\n\"a\": 1}", "no comments"),
            ("{'a': 1}", "a Python literal"),
            ("{\"a\": None}", "a Python literal"),
            ("{\"a\" 1}", "correct it"),
            (
                "[]",
                "not the JSON that belongs here: invalid type: sequence",
            ),
        ] {
            let error = serde_json::from_str::<Map<String, Value>>(text).unwrap_err();
            let problem = json_problem(text, &error);
            assert!(problem.contains(part), "{text}: {problem}");
            assert!(!problem.contains('\n'), "{text}: {problem}");
        }
    }
}
