//! A SQuAD document checked and turned into examples.

use std::collections::HashSet;
use std::sync::Arc;

use crate::chars::CharIndex;
use crate::document::{Paragraph, Question, RawAnswer, deserialize};
use crate::error::{Error, quote};
use crate::example::{Answer, Example};

/// The examples of a file in file order, and its version.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<(Vec<Example>, Option<String>), Error> {
    let document = deserialize(file, bytes)?;
    let version = match document.version {
        serde_json::Value::Null => None,
        serde_json::Value::String(version) => Some(version),
        other => Some(other.to_string()),
    };
    let mut reader = Reader {
        file,
        seen: HashSet::new(),
        examples: Vec::new(),
    };
    for (a, article) in document.data.into_iter().enumerate() {
        let title: Arc<str> = article.title.unwrap_or_default().into();
        for (p, paragraph) in article.paragraphs.into_iter().enumerate() {
            reader.paragraph(&title, paragraph, || format!("data[{a}].paragraphs[{p}]"))?;
        }
    }
    match reader.examples.is_empty() {
        true => Err(Error::Empty {
            file: file.to_owned(),
            problem: "no question in it",
        }),
        false => Ok((reader.examples, version)),
    }
}

struct Reader<'a> {
    file: &'a str,
    seen: HashSet<String>,
    examples: Vec<Example>,
}

impl Reader<'_> {
    fn paragraph(
        &mut self,
        title: &Arc<str>,
        paragraph: Paragraph,
        path: impl Fn() -> String,
    ) -> Result<(), Error> {
        if paragraph.qas.is_empty() {
            return Ok(());
        }
        let wrong = |problem: &str| Error::Paragraph {
            file: self.file.to_owned(),
            path: path(),
            problem: problem.to_owned(),
        };
        if paragraph.context.trim().is_empty() {
            return Err(wrong(
                "the context is empty, so nothing in it can be answered; drop the paragraph",
            ));
        }
        if u32::try_from(paragraph.context.len()).is_err() {
            return Err(wrong(
                "the context is longer than 4 GiB; split it into paragraphs",
            ));
        }
        let context: Arc<str> = paragraph.context.into();
        let index = CharIndex::new(&context);
        for question in paragraph.qas {
            let example = self.question(title, &context, &index, question)?;
            self.examples.push(example);
        }
        Ok(())
    }

    fn question(
        &mut self,
        title: &Arc<str>,
        context: &Arc<str>,
        index: &CharIndex<'_>,
        raw: Question,
    ) -> Result<Example, Error> {
        let Question {
            id,
            question,
            answers,
            is_impossible,
        } = raw;
        if !self.seen.insert(id.clone()) {
            return Err(Error::DuplicateId {
                id,
                first: self.file.to_owned(),
                second: self.file.to_owned(),
            });
        }
        if question.trim().is_empty() {
            return Err(self.wrong(id, "the question is empty; drop it"));
        }
        let answers = match (answers, is_impossible) {
            (Some(answers), Some(true)) if !answers.is_empty() => {
                return Err(self.wrong(
                    id,
                    "is_impossible is true but answers are given; correct one of the two",
                ));
            }
            (Some(answers), Some(false)) if answers.is_empty() => {
                return Err(self.wrong(
                    id,
                    "is_impossible is false but no answer is given; correct one of the two",
                ));
            }
            (None, Some(true)) => Vec::new(),
            (None, _) => {
                return Err(self.wrong(
                    id,
                    "no `answers`; give a list, empty where is_impossible is true",
                ));
            }
            (Some(answers), _) => answers,
        };
        let is_impossible = answers.is_empty();
        let answers = answers
            .into_iter()
            .map(|raw| self.answer(&id, context, index, raw))
            .collect::<Result<_, _>>()?;
        Ok(Example {
            id,
            title: title.clone(),
            context: context.clone(),
            question,
            answers,
            is_impossible,
        })
    }

    fn answer(
        &self,
        id: &str,
        context: &str,
        index: &CharIndex<'_>,
        raw: RawAnswer,
    ) -> Result<Answer, Error> {
        let RawAnswer { text, answer_start } = raw;
        if text.trim().is_empty() {
            return Err(self.wrong(
                id.to_owned(),
                &format!("an answer's text is {}; drop that answer", quote(&text)),
            ));
        }
        let start = usize::try_from(answer_start)
            .ok()
            .filter(|&start| start < index.len());
        let found = start.and_then(|start| {
            let end = start.saturating_add(text.chars().count()).min(index.len());
            index.slice(start..end)
        });
        match (start, found) {
            (Some(start), Some(found)) if found == text => Ok(Answer { text, start }),
            (_, found) => Err(Error::AnswerMismatch {
                file: self.file.to_owned(),
                id: id.to_owned(),
                start: answer_start,
                found: found.map(str::to_owned),
                elsewhere: context
                    .match_indices(&text)
                    .map(|(byte, _)| index.char_at(byte))
                    .min_by_key(|&at| (at as i64).abs_diff(answer_start)),
                text,
            }),
        }
    }

    fn wrong(&self, id: String, problem: &str) -> Error {
        Error::Question {
            file: self.file.to_owned(),
            id,
            problem: problem.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(qas: &str) -> String {
        format!(
            r#"{{"version":"v2.0","data":[{{"title":"T","paragraphs":[{{"context":"Zoë 🙂 ate a pie.","qas":[{qas}]}}]}}]}}"#
        )
    }

    fn message(bytes: impl AsRef<[u8]>) -> String {
        let message = parse("f.json", bytes.as_ref())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    fn qa(answer: &str, start: &str) -> String {
        file(&format!(
            r#"{{"id":"q1","question":"What?","answers":[{{"text":"{answer}","answer_start":{start}}}]}}"#
        ))
    }

    #[test]
    fn answers_are_counted_in_characters() {
        let (examples, version) = parse("f.json", qa("a pie", "10").as_bytes()).unwrap();
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
        assert_eq!(parse("f.json", &text).unwrap().0.len(), 1);
    }
}
