//! The JSON of a request.

use std::sync::Arc;

use serde::Deserialize;
use squad_data::{Example, plain_types};

/// Maximum number of answers for a question.
const MAX_TOP_K: usize = 20;
/// Default number of answers for a question.
const TOP_K: usize = 3;

/// A request: questions about one text.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `context` and `questions`"
)]
struct AnswerRequest {
    context: String,
    questions: Vec<String>,
    #[serde(default = "top_k")]
    top_k: usize,
}

impl AnswerRequest {
    /// A request without its byte order mark, which clients that send a file may leave there; else what is wrong, and in which
    /// field.
    fn parse(body: &[u8]) -> Result<Self, String> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if body.trim_ascii().is_empty() {
            return Err(
                "the body: empty; expected an object with `context` and `questions`".into(),
            );
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let request = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let problem = plain_types(error.inner());
            match error.path().to_string().as_str() {
                "." => format!("the body: {problem}"),
                field => format!("the body: {field}: {problem}"),
            }
        })?;
        json.end().map_err(|error| format!("the body: {error}"))?;
        Ok(request)
    }
}

fn top_k() -> usize {
    TOP_K
}

/// Questions of a valid request.
#[derive(Debug)]
pub(super) struct Questions {
    pub(super) examples: Vec<Example>,
    pub(super) top_k: usize,
    /// Characters that the model reads: those of the text and of the question, for each question.
    pub(super) characters: usize,
}

/// Why a request is refused: a status and a message.
type Refusal = (u16, String);

impl Questions {
    /// Checks a request's body.
    pub(super) fn parse(
        body: &[u8],
        max_questions: usize,
        max_characters: usize,
    ) -> Result<Self, Refusal> {
        let AnswerRequest {
            context,
            questions,
            top_k,
        } = AnswerRequest::parse(body).map_err(|message| (400, message))?;
        if context.trim().is_empty() {
            return Err((422, "the context is empty".into()));
        }
        if questions.is_empty() {
            return Err((422, "there is no question".into()));
        }
        if questions.len() > max_questions {
            let count = questions.len();
            return Err((
                413,
                format!("{count} questions, at most {max_questions} are taken"),
            ));
        }
        if let Some(index) = questions
            .iter()
            .position(|question| question.trim().is_empty())
        {
            return Err((422, format!("questions[{index}] is empty")));
        }
        if !(1..=MAX_TOP_K).contains(&top_k) {
            return Err((
                422,
                format!("top_k is {top_k}, and may be 1 to {MAX_TOP_K}"),
            ));
        }
        let context_characters = context.chars().count();
        let characters = questions
            .iter()
            .map(|question| question.chars().count() + context_characters)
            .sum();
        if characters > max_characters {
            return Err((
                413,
                format!(
                    "{characters} characters in all pairs of question and text, at most {max_characters} are taken"
                ),
            ));
        }
        let context: Arc<str> = context.into();
        let numbered = questions.into_iter().enumerate();
        let examples = numbered
            .map(|(index, question)| {
                Example::new(
                    format!("questions[{index}]"),
                    question,
                    Arc::clone(&context),
                )
            })
            .collect();
        Ok(Self {
            examples,
            top_k,
            characters,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> String {
        let (status, message) = Questions::parse(body, 8, 100).unwrap_err();
        assert_eq!(status, 400);
        message
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_request() {
        let body = b"\xef\xbb\xbf{\"context\": \"c\", \"questions\": [\"q\"]}";
        assert_eq!(Questions::parse(body, 8, 100).unwrap().examples.len(), 1);
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (body, part) in [
            (
                r#"{"context": "c", "questions": "q"}"#,
                "the body: questions: invalid type",
            ),
            (
                r#"{"context": "c", "questions": ["q", 3]}"#,
                "the body: questions[1]: invalid",
            ),
            (
                r#"{"context": "c", "questions": ["q"], "top_k": "3"}"#,
                "the body: top_k: invalid type: string \"3\", expected a whole number from 0",
            ),
            (
                r#"{"context": "c", "question": "q"}"#,
                "unknown field `question`",
            ),
            (
                r#"{"context": "c", "questions": ["q"]} x"#,
                "trailing characters",
            ),
            ("", "the body: empty; expected an object with `context`"),
            ("null", "expected an object with `context`"),
        ] {
            let message = message(body.as_bytes());
            assert!(message.contains(part), "{message}");
        }
    }
}
