//! SQuAD texts, nested or flat, turned into examples.

use serde::de::DeserializeSeed;
use serde_path_to_error::Track;

use crate::error::{Error, one_line};
use crate::read::builder::Builder;
use crate::read::json::{TopLevel, Value};
use crate::read::raw::Place;
use crate::read::text::{Position, Text};

/// Gives a text's questions to the builder: those of one document, or of rows. Returns the document's version.
pub(crate) fn parse(
    text: &mut Text<'_>,
    builder: &mut Builder<'_>,
) -> Result<Option<String>, Error> {
    if !text.skip_space()? {
        return Err(Error::Empty {
            file: text.name().to_owned(),
            problem: "the file is empty",
        });
    }
    let mut only_row = false;
    loop {
        let start = text.position();
        match value(text, start, Value { builder, only_row })? {
            TopLevel::Row(row) => builder.row(Place::Line(start.lines + 1), row)?,
            TopLevel::Document { .. } if text.skip_space()? => {
                let Position { lines, bytes, .. } = text.position();
                return Err(Error::Json {
                    file: text.name().to_owned(),
                    line: lines + 1,
                    column: bytes + 1,
                    problem: "trailing characters".to_owned(),
                });
            }
            TopLevel::Document { version } => return Ok(version),
        }
        if !text.skip_space()? {
            return Ok(None);
        }
        only_row = true;
    }
}

/// Reads one value, which begins at `start`.
fn value(text: &mut Text<'_>, start: Position, expected: Value<'_, '_>) -> Result<TopLevel, Error> {
    let Value { builder, only_row } = expected;
    let mut track = Track::new();
    let mut json = serde_json::Deserializer::from_reader(&mut *text);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = Value {
        builder: &mut *builder,
        only_row,
    }
    .deserialize(tracked);
    read.map_err(|error| {
        // What stopped the deserializer knows more than its own error does.
        let cause = builder.fault.take().or_else(|| text.take_fault());
        cause.unwrap_or_else(|| json_error(text.name(), start, one_line(&track.path()), &error))
    })
}

fn json_error(file: &str, start: Position, path: String, error: &serde_json::Error) -> Error {
    let file = file.to_owned();
    // The deserializer counts from where the value begins.
    let line = start.lines + error.line().max(1);
    let column = match error.line() {
        0 | 1 => start.bytes + error.column().max(1),
        _ => error.column().max(1),
    };
    let message = one_line(error);
    let mut problem = match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    };
    // Valid JSON, but no SQuAD file is nested like that; the limit keeps the stack from overflowing.
    let too_deep = problem == "recursion limit exceeded";
    if too_deep {
        problem = "lists and objects are nested too deeply".to_owned();
    }
    if error.is_data() || too_deep {
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
    use crate::example::Example;

    fn read(bytes: &[u8]) -> Result<(Vec<Example>, Option<String>), Error> {
        let mut builder = Builder::new("f.json");
        let version = parse(&mut Text::from_bytes("f.json", bytes)?, &mut builder)?;
        Ok((builder.finish()?, version))
    }

    fn message(bytes: impl AsRef<[u8]>) -> String {
        let message = read(bytes.as_ref()).map(|_| ()).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    fn file(qas: &str) -> String {
        format!(
            r#"{{"version":"v2.0","data":[{{"title":"T","paragraphs":[{{"context":"Zoë 🙂 ate a pie.","qas":[{qas}]}}]}}]}}"#
        )
    }

    fn qa(answer: &str, start: &str) -> String {
        file(&format!(
            r#"{{"id":"q1","question":"What?","answers":[{{"text":"{answer}","answer_start":{start}}}]}}"#
        ))
    }

    #[test]
    fn answers_are_counted_in_characters() {
        let (examples, version) = read(qa("a pie", "10").as_bytes()).unwrap();
        assert_eq!(version.as_deref(), Some("v2.0"));
        let answer = &examples[0].answers[0];
        assert_eq!(examples[0].slice(answer.char_range()), Some("a pie"));
    }

    #[test]
    fn nothing_to_ask() {
        assert!(message(r#"{"data":[]}"#).contains("no question"));
        let blank =
            r#"{"data":[{"paragraphs":[{"context":" ","qas":[{"id":"a","question":"?"}]}]}]}"#;
        assert!(message(blank).contains("data[0].paragraphs[0]: the context is empty"));
    }

    #[test]
    fn an_answer_elsewhere_is_located() {
        let message = message(qa("a pie", "9"));
        assert!(
            message.contains("question \"q1\"") && message.contains("occurs at character 10"),
            "{message}"
        );
        assert!(
            message.contains(r#"at answer_start 9 stands " a pi""#),
            "{message}"
        );
    }

    #[test]
    fn bad_starts() {
        for start in ["-1", "17", "4000000000", "9223372036854775807"] {
            assert!(message(qa("pie", start)).contains("outside its context"));
        }
        for start in ["1.5", "\"3\"", "null", "9223372036854775808"] {
            let message = message(qa("pie", start));
            assert!(
                message
                    .contains("at data[0].paragraphs[0].qas[0].answers[0].answer_start: invalid"),
                "{message}"
            );
        }
        assert!(message(qa("tart", "3")).contains("does not occur"));
        assert!(message(qa("pie. And more", "12")).contains("stands \"pie.\""));
    }

    #[test]
    fn contradictions() {
        let impossible = r#"{"id":"q","question":"?","is_impossible":true,"answers":[{"text":"pie","answer_start":12}]}"#;
        assert!(message(file(impossible)).contains("is_impossible is true"));
        assert!(
            message(file(
                r#"{"id":"q","question":"?","is_impossible":false,"answers":[]}"#
            ))
            .contains("is false")
        );
        assert!(message(file(r#"{"id":"q","question":"?"}"#)).contains("no `answers`"));
        assert!(
            message(file(r#"{"id":"q","question":" \t","answers":[]}"#))
                .contains("question is empty")
        );
        let twice = r#"{"id":"q","question":"?","answers":[]}"#;
        assert!(message(file(&format!("{twice},{twice}"))).contains("occurs twice"));
    }

    #[test]
    fn byte_order_mark_and_windows_line_ends() {
        let text = format!("\u{feff}{}", qa("pie", "12").replace(",\"", ",\r\n\"")).into_bytes();
        assert_eq!(read(&text).unwrap().0.len(), 1);
    }

    #[test]
    fn files_without_content() {
        assert!(message("").contains("the file is empty"));
        assert!(message(" \r\n").contains("the file is empty"));
    }

    #[test]
    fn other_shapes_are_placed() {
        assert!(message("[1]").contains("line 1, column 1, at the top level: "));
        assert!(message("{}").contains("missing field `data`"));
        let number = message("{\"data\":[\n{\"paragraphs\":[{\"context\":3}]}]}");
        assert!(
            number.contains("line 2, column 28, at data[0].paragraphs[0].context: "),
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
