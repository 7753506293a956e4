use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// SQuAD files, read one after the other.
    pub files: Vec<PathBuf>,
    /// Keep only questions that have an answer.
    pub answerable_only: bool,
    /// Keep only the first so many questions (after `answerable_only`); 0 keeps all.
    pub max_train_samples: usize,
    /// Train on this share of the questions, drawn at random from `seed`, and score on the rest
    /// instead of on `eval.file`; 0 does not divide them.
    pub train_fraction: f64,
    /// Passes over the training questions.
    pub num_train_epochs: u32,
    /// Stop after so many optimizer steps, which the schedule then ends at; 0 is all epochs.
    pub max_steps: u32,
    /// Windows in a batch.
    pub per_device_train_batch_size: usize,
    /// If not 0, batches are as many windows as have so many tokens together, whatever `per_device_train_batch_size`.
    pub max_tokens_per_batch: usize,
    /// Batches whose gradients make one optimizer step.
    pub gradient_accumulation_steps: usize,
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// How the rate goes on after the warm-up.
    pub lr_scheduler_type: LrSchedulerType,
    /// The share of all steps in which the rate rises linearly from 0.
    pub warmup_ratio: f64,
    /// The rate of each layer as a share of the next higher one's; the head has the whole rate.
    pub layerwise_lr_decay: f64,
    /// Leave the embeddings as they are.
    pub freeze_embeddings: bool,
    /// Leave the first so many encoder layers as they are.
    pub freeze_layers: usize,
    /// AdamW's decoupled decay, not applied to biases and LayerNorm.
    pub weight_decay: f64,
    /// AdamW's first decay rate.
    pub adam_beta1: f64,
    /// AdamW's second decay rate.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// The gradient's global norm is clipped to this; 0 does not clip.
    pub max_grad_norm: f64,
    /// Whether the model's dropout is on.
    pub dropout: bool,
    /// Governs the new span head, the order of windows, dropout and `train_fraction`.
    pub seed: u64,
    /// Stop after so many evaluations in a row that bring no better
    /// `eval.metric_for_best_model`; 0 never stops early.
    pub early_stopping_patience: u32,
}

/// `[eval]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// A SQuAD file to be scored.
    pub file: PathBuf,
    /// Keep only the first so many questions; 0 keeps all.
    pub max_eval_samples: usize,
    /// Score after every so many epochs; 0 only after the last.
    pub every_epochs: u32,
    /// Score besides after every so many optimizer steps; 0 does not.
    pub every_steps: u32,
    /// The figure of an evaluation by which models are compared; empty compares none.
    pub metric_for_best_model: String,
    /// Whether the run's model is the best one instead of the last.
    pub load_best_model_at_end: bool,
}

/// `[checkpoints]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Write what a run needs to be resumed after every so many epochs; 0 does not.
    pub every_epochs: u32,
    /// The same after every so many optimizer steps; 0 does not.
    pub every_steps: u32,
    /// How many of these are kept.
    pub save_total_limit: usize,
    /// Save the model alone after every so many epochs, for good, as
    /// `checkpoint-EPOCH-VALIDATION_LOSS`; 0 does not.
    pub export_every_epochs: u32,
}

/// Where a model's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// From the source.
    Pretrained,
    /// Drawn from the seed: the source gives its shape and tokenizer only.
    Random,
}

/// What the learning rate does after the warm-up; the names are those of Hugging Face's Trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrSchedulerType {
    /// Falls linearly to 0.
    Linear,
    /// Falls to 0 as half a wave of the cosine.
    Cosine,
    /// Stays.
    Constant,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
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
            max_eval_samples: 0,
            every_epochs: 1,
            every_steps: 0,
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
