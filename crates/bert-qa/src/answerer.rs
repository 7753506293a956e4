use burn::tensor::Device;
use squad_data::{
    AnswerOptions, Example, Feature, PackedBatch, Prediction, QaTokenizer, SpanLogits,
    WindowOptions, batches_by_tokens, extract_answers, make_features,
};

use crate::{BertForQuestionAnswering, Error, PackedInput};

/// Tokens in one forward pass of evaluation: enough to keep every core busy, little enough that
/// the hidden states stay small beside the weights.
const EVALUATION_TOKENS: usize = 4096;

/// Start and end logits of every window, computed without dropout, in the order of `features`.
///
/// `done` is told after each batch how many windows are finished.
pub fn predict_logits(
    model: &BertForQuestionAnswering,
    features: &[Feature],
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> Vec<[Vec<f32>; 2]> {
    let mut logits = vec![[Vec::new(), Vec::new()]; features.len()];
    let lengths: Vec<usize> = features.iter().map(Feature::len).collect();
    let mut finished = 0;
    for indices in batches_by_tokens(&lengths, EVALUATION_TOKENS) {
        let batch = PackedBatch::new(features, &indices);
        let input = PackedInput::new(&batch, device);
        let output = model.forward(&input, None).into_data();
        // The model's output is `[tokens, 2]` in row-major order: start, end, start, end, …
        let values: Vec<f32> = output.iter::<f32>().collect();
        for (index, range) in indices.iter().zip(input.lengths.ranges()) {
            let pairs = &values[2 * range.start..2 * range.end];
            logits[*index] =
                [0, 1].map(|side| pairs.iter().skip(side).step_by(2).copied().collect());
        }
        finished += indices.len();
        done(finished);
    }
    logits
}

/// Answers questions about texts with a trained model.
#[derive(Debug)]
pub struct QuestionAnswerer {
    model: BertForQuestionAnswering,
    tokenizer: QaTokenizer,
    windows: WindowOptions,
    answers: AnswerOptions,
    device: Device,
}

impl QuestionAnswerer {
    /// An answerer on `device`, where the model already is; the device has no autodiff.
    pub fn new(
        model: BertForQuestionAnswering,
        tokenizer: QaTokenizer,
        windows: WindowOptions,
        answers: AnswerOptions,
        device: Device,
    ) -> Self {
        Self {
            model,
            tokenizer,
            windows,
            answers,
            device,
        }
    }

    /// Answers one question about one text, of any length.
    ///
    /// # Errors
    /// If the question does not fit a window, one of the two is empty, or windows are longer than
    /// the model's positions.
    pub fn answer(&self, question: &str, context: &str) -> Result<Prediction, Error> {
        for (part, text) in [("question", question), ("context", context)] {
            if text.trim().is_empty() {
                let message = format!("its {part} is empty");
                return Err(Error::Question {
                    id: "question".into(),
                    message,
                });
            }
        }
        let example = Example::new("question", question, context);
        let mut predictions = self.answer_all(std::slice::from_ref(&example))?;
        Ok(predictions.swap_remove(0))
    }

    /// Answers many questions, in their order.
    ///
    /// # Errors
    /// If a question does not fit a window, with its id; if windows are longer than the model's
    /// positions.
    pub fn answer_all(&self, examples: &[Example]) -> Result<Vec<Prediction>, Error> {
        let positions = self.model.max_position_embeddings();
        if self.windows.max_seq_length > positions {
            return Err(Error::Data(squad_data::Error::Option {
                option: "max_seq_length",
                value: self.windows.max_seq_length.to_string(),
                problem: format!("the model has {positions} positions"),
            }));
        }
        let features = make_features(examples, &self.tokenizer, &self.windows)?;
        let logits = predict_logits(&self.model, &features, &self.device, &mut |_| {});
        let spans: Vec<_> = logits
            .iter()
            .map(|[start, end]| SpanLogits { start, end })
            .collect();
        Ok(extract_answers(examples, &features, &spans, &self.answers)?)
    }
}
