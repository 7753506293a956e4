//! Logits to answers, and files of answers.

mod options;
mod pipeline;
mod prediction;
mod read;
mod search;

pub use options::AnswerOptions;
pub use pipeline::{PipelineAnswer, PipelineOptions, pipeline_answers};
pub use prediction::{Margins, Prediction, SpanAnswer};
pub use read::{NoAnswerProbabilities, PredictedAnswers};
pub use search::{SpanLogits, extract_answers};
