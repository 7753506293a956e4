//! Logits to answers, and files of answers.

mod options;
mod pipeline;
mod read;
mod search;

pub use options::{AnswerOptions, Margins, Prediction, SpanAnswer, SpanLogits};
pub use pipeline::{PipelineAnswer, PipelineOptions, pipeline_answers};
pub use read::{NoAnswerProbabilities, PredictedAnswers};
pub use search::extract_answers;
