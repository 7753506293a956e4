use std::path::PathBuf;

use qa_metrics::Metric;
use serde::{Deserialize, Serialize};
use squad_data::OnBadAnswer;

/// `[train]`: data, batches, optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Files of questions or folders of them, read one after the other as one dataset, in any form that datasets/README.md
    /// lists. Required.
    pub files: Vec<PathBuf>,
    /// What happens to a question with answers of which none stands in its context: `error`, `skip`, or `repair` (take the
    /// nearest occurrence, in the context's spelling; skip it if there is none).
    pub on_bad_answer: OnBadAnswer,
    /// Put the file's name before each id. For several files that share ids.
    pub unique_ids: bool,
    /// Use only questions that have an answer.
    pub answerable_only: bool,
    /// Use only the first N questions, after `answerable_only`. 0: all.
    pub max_train_samples: usize,
    /// Train on this random share of the questions, at least 0 and less than 1, and evaluate on the rest instead of on
    /// `eval.file`. 0: train on all.
    pub train_fraction: f64,
    /// Number of passes over the training questions.
    pub num_train_epochs: u32,
    /// Maximum number of optimizer steps; also the schedule's length. 0: no limit.
    pub max_steps: u32,
    /// Features per batch and process.
    pub per_device_train_batch_size: usize,
    /// If not 0, a batch has as many features as fit into this number of tokens per process, instead of
    /// `per_device_train_batch_size`.
    pub max_tokens_per_batch: usize,
    /// Number of batches whose gradients make one optimizer step.
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate of the schedule.
    pub learning_rate: f64,
    /// Learning-rate schedule after the warm-up: `linear`, `cosine` or `constant` (transformers' `constant_with_warmup`).
    pub lr_scheduler_type: LrSchedulerType,
    /// Share of all optimizer steps in which the learning rate rises linearly from 0; rounded down to whole steps.
    pub warmup_ratio: f64,
    /// Each layer's learning rate is this factor times that of the layer above; the span head has the whole rate, the
    /// embeddings the lowest. 1: the same rate for all.
    pub layerwise_lr_decay: f64,
    /// Freeze the embeddings.
    pub freeze_embeddings: bool,
    /// Freeze the first N encoder layers. ALBERT's layers that share parameters count as one.
    pub freeze_layers: usize,
    /// AdamW's weight decay; biases and LayerNorms do not decay.
    pub weight_decay: f64,
    /// AdamW's decay rate of the first moment.
    pub adam_beta1: f64,
    /// AdamW's decay rate of the second moment.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// Maximum global norm of the gradient; larger gradients are clipped. 0: no clipping.
    pub max_grad_norm: f64,
    /// Use dropout, with the probabilities of the model's `config.json`.
    pub dropout: bool,
    /// Seed of the new span head, of the order of features, of dropout and of `train_fraction`.
    pub seed: u64,
    /// Stop after N evaluations in a row without a better `eval.metric_for_best_model`. 0: never.
    pub early_stopping_patience: u32,
}

/// `[eval]`: evaluation during training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// The file or folder of the evaluation set, in any form. Required without `train.train_fraction`.
    pub file: PathBuf,
    /// As `train.on_bad_answer` for the evaluation set, and `keep`: score with the texts of answers that are not in their
    /// context.
    pub on_bad_answer: OnBadAnswer,
    /// Use only the first N questions. 0: all.
    pub max_eval_samples: usize,
    /// Evaluate every N epochs. 0: only at the end.
    pub every_epochs: u32,
    /// Also evaluate every N optimizer steps. 0: never.
    pub every_steps: u32,
    /// How answers are scored: `squad`, `mlqa:LANG` (`ar`, `de`, `en`, `es`, `hi`, `vi`, `zh`), `korquad`, `cmrc` or `drcd`.
    pub metric: Metric,
    /// The figure by which evaluations are compared, for example `f1`, `exact`, `best_f1` or `loss` (lower is better), also
    /// with transformers' `eval_` in front; the best model is kept in `best/`. Empty: no comparison.
    pub metric_for_best_model: String,
    /// Make the best model the run's result instead of the last one.
    pub load_best_model_at_end: bool,
}

/// `[checkpoints]`: what is saved during the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Write a checkpoint every N epochs. 0: never.
    pub every_epochs: u32,
    /// Also write a checkpoint every N optimizer steps. 0: never.
    pub every_steps: u32,
    /// Number of checkpoints to keep; older ones are removed.
    pub save_total_limit: usize,
    /// Save the model alone every N epochs as `checkpoints/checkpoint-EPOCH-LOSS`, with the evaluation loss; such
    /// folders are never removed. 0: never.
    pub export_every_epochs: u32,
}

/// Where the model's initial weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Load them from the source.
    Pretrained,
    /// Draw them from `train.seed`; the source gives configuration and tokenizer.
    Random,
}

/// Learning-rate schedule after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrSchedulerType {
    /// Falls linearly to 0.
    Linear,
    /// Falls to 0 as half a cosine wave.
    Cosine,
    /// Stays at the peak: transformers' `constant_with_warmup`.
    Constant,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            on_bad_answer: OnBadAnswer::Error,
            unique_ids: false,
            answerable_only: false,
            max_train_samples: 0,
            train_fraction: 0.0,
            num_train_epochs: 2,
            max_steps: 0,
            per_device_train_batch_size: 8,
            max_tokens_per_batch: 0,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            lr_scheduler_type: LrSchedulerType::Linear,
            warmup_ratio: 0.1,
            layerwise_lr_decay: 1.0,
            freeze_embeddings: false,
            freeze_layers: 0,
            weight_decay: 0.01,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            dropout: true,
            seed: 0,
            early_stopping_patience: 0,
        }
    }
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            on_bad_answer: OnBadAnswer::Keep,
            max_eval_samples: 0,
            every_epochs: 1,
            every_steps: 0,
            metric: Metric::Squad,
            metric_for_best_model: String::new(),
            load_best_model_at_end: false,
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            every_steps: 0,
            save_total_limit: 1,
            export_every_epochs: 0,
        }
    }
}
