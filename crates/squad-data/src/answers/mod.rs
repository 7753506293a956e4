//! Logits to answers.

mod options;
mod search;

pub use options::{AnswerOptions, Prediction, SpanAnswer, SpanLogits};
pub use search::extract_answers;
