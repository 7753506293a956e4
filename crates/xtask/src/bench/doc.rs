//! Results in documents, each between two marks of its name.

use std::fs;

use crate::root;

/// Prints a result, and puts it into its place in `docs/performance.md` where that is asked for.
pub(super) fn publish(name: &str, result: &str, into_doc: bool) -> Result<(), String> {
    publish_in("docs/performance.md", name, result, into_doc)
}

/// The same for another document.
pub(super) fn publish_in(
    document: &str,
    name: &str,
    result: &str,
    into_doc: bool,
) -> Result<(), String> {
    println!("{result}");
    if !into_doc {
        return Ok(());
    }
    let path = root().join(document);
    let text = fs::read_to_string(&path).map_err(|error| format!("{document}: {error}"))?;
    let text = replaced(&text, name, result)
        .ok_or(format!("{document} has no place {}", marks(name)[0]))?;
    let partial = path.with_extension("md.partial");
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path));
    written.map_err(|error| format!("{document}: {error}"))
}

fn marks(name: &str) -> [String; 2] {
    [
        format!("<!-- bench {name} -->"),
        format!("<!-- end {name} -->"),
    ]
}

fn replaced(text: &str, name: &str, result: &str) -> Option<String> {
    let [begin, end] = marks(name);
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", result.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_takes_the_place_of_the_one_before() {
        let text = "x\n<!-- bench a -->\nold\n<!-- end a -->\n<!-- bench b -->\n<!-- end b -->\n";
        let new = "x\n<!-- bench a -->\nnew\n<!-- end a -->\n<!-- bench b -->\n<!-- end b -->\n";
        assert_eq!(replaced(text, "a", "new\n").as_deref(), Some(new));
        assert_eq!(replaced(new, "a", "new").as_deref(), Some(new));
        assert_eq!(replaced(text, "c", "new"), None);
    }

    #[test]
    fn every_race_has_its_place() {
        let text = fs::read_to_string(root().join("docs/performance.md")).unwrap();
        for name in [
            "train-minilm",
            "train-distilbert",
            "train-bert-base",
            "answer-minilm",
            "answer-distilbert",
            "answer-bert-base",
            "scaling",
            "ops",
        ] {
            assert!(replaced(&text, name, "").is_some(), "{name}");
        }
        let text = fs::read_to_string(root().join("docs/distributed.md")).unwrap();
        for name in ["ranks", "speedup", "model"] {
            assert!(replaced(&text, name, "").is_some(), "{name}");
        }
    }
}
