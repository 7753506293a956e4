//! SQuAD's JSON, v1.1 and v2.0, as it stands in a file.
//!
//! Format: Rajpurkar et al. 2016 (v1.1) and 2018 (v2.0), <https://rajpurkar.github.io/SQuAD-explorer/>.

use serde::Deserialize;

use crate::error::{Error, one_line};

#[derive(Deserialize)]
#[serde(expecting = "an object with `data`, a list of articles")]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) version: serde_json::Value,
    pub(crate) data: Vec<Article>,
}

#[derive(Deserialize)]
#[serde(expecting = "an article: an object with `title` and `paragraphs`")]
pub(crate) struct Article {
    #[serde(default)]
    pub(crate) title: Option<String>,
    pub(crate) paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
#[serde(expecting = "a paragraph: an object with `context` and `qas`")]
pub(crate) struct Paragraph {
    pub(crate) context: String,
    pub(crate) qas: Vec<Question>,
}

#[derive(Deserialize)]
#[serde(expecting = "a question: an object with `id`, `question` and `answers`")]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) question: String,
    pub(crate) answers: Option<Vec<RawAnswer>>,
    pub(crate) is_impossible: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "an answer: an object with `text` and `answer_start`")]
pub(crate) struct RawAnswer {
    pub(crate) text: String,
    pub(crate) answer_start: i64,
}

/// Parses a file; `file` is what messages call it.
pub(crate) fn deserialize(file: &str, bytes: &[u8]) -> Result<Document, Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text =
        std::str::from_utf8(bytes).map_err(|error| not_utf8(file, bytes, error.valid_up_to()))?;
    if text.trim().is_empty() {
        return Err(Error::Empty {
            file: file.to_owned(),
            problem: "the file is empty",
        });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let document = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        json_error(file, path, error.inner())
    })?;
    json.end()
        .map_err(|error| json_error(file, ".".to_owned(), &error))?;
    Ok(document)
}

fn not_utf8(file: &str, bytes: &[u8], valid_up_to: usize) -> Error {
    let valid = &bytes[..valid_up_to];
    let line_start = valid
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |newline| newline + 1);
    Error::NotUtf8 {
        file: file.to_owned(),
        line: valid.iter().filter(|&&byte| byte == b'\n').count() + 1,
        column: String::from_utf8_lossy(&valid[line_start..])
            .chars()
            .count()
            + 1,
    }
}

fn json_error(file: &str, path: String, error: &serde_json::Error) -> Error {
    let (file, line, column) = (file.to_owned(), error.line(), error.column());
    let message = one_line(error);
    let problem = match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    };
    if error.is_data() {
        let path = if path == "." {
            "the top level".to_owned()
        } else {
            path
        };
        Error::Shape {
            file,
            line,
            column,
            path,
            problem,
        }
    } else {
        Error::Json {
            file,
            line,
            column,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: impl AsRef<[u8]>) -> String {
        let message = deserialize("f.json", bytes.as_ref())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn files_without_content() {
        assert!(message("").contains("the file is empty"));
        assert!(message(" \r\n").contains("the file is empty"));
    }

    #[test]
    fn other_shapes_are_placed() {
        assert!(message("[1]").contains("line 1, column 3, at the top level: "));
        assert!(message("{}").contains("missing field `data`"));
        let number = message("{\"data\":[\n{\"paragraphs\":[{\"context\":3}]}]}");
        assert!(
            number.contains("line 2, column 27, at data[0].paragraphs[0].context: "),
            "{number}"
        );
        let long = message(format!("{{\"data\":[\"{}\"]}}", "long ".repeat(1_000_000)));
        assert!(long.len() < 500, "{}", long.len());
    }

    #[test]
    fn what_is_not_json_is_placed() {
        assert!(message("{\"data\":[] trailing").contains("line 1, column 12: not valid JSON"));
        assert!(message("{\"data\":[]} trailing").contains("line 1, column 13: not valid JSON"));
        assert!(message("{\"data\":[\n").contains("not valid JSON: EOF"));
        assert!(message(b"{\"data\":\n \"\xc3\x28\"").contains("line 2, column 3: not UTF-8"));
        assert!(message(b"\0\0\0").contains("line 1, column 1"));
        assert!(message("{\"data\":[{\"title\":\"\0\"}]}").contains("control character"));
    }
}
