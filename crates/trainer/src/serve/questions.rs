//! The JSON of a request.

use std::sync::Arc;

use serde::Deserialize;
use squad_data::Example;

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
        let request: AnswerRequest =
            serde_json::from_slice(body).map_err(|e| (400, format!("the body: {e}")))?;
        let AnswerRequest {
            context,
            questions,
            top_k,
        } = request;
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
