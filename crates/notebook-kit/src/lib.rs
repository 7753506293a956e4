//! What the notebooks import.
//!
//! A notebook's first cell is
//!
//! ```text
//! :dep notebook-kit = { path = "../crates/notebook-kit" }
//! use notebook_kit::prelude::*;
//! ```
//!
//! after which every crate of this workspace is there through one shared library, with plots, tables, and what a
//! notebook shows of their values. It needs no other dependency: a second one would make Cargo compile Burn again.

mod attention;
mod curves;
mod data;
mod display;
mod guarded;
mod highlight;
mod measure;
mod mistakes;
mod plot;
mod progress;
mod ranks;
mod scores;
mod table;
mod thresholds;
mod trained;
mod values;

pub use attention::AttentionMaps;
pub use curves::{RunCurves, lowest};
pub use data::{
    ENCODER, datasets, finished, fresh_run_dir, model_folder, quickstart, root, sample, squad_file,
};
pub use display::{Html, RichDisplay, Svg, side_by_side};
pub use highlight::{Mark, highlight, highlight_answer, show_window};
pub use measure::{Measured, measure, padded};
pub use mistakes::{Mistake, labelled_range, right_labels};
pub use plot::{Bars, Lines, heat_map, histogram};
pub use progress::PlainLines;
pub use ranks::{RanksRun, train_by_ranks};
pub use table::{Table, decimals};
pub use thresholds::{AtThreshold, scored, surest_mistake, threshold_curve};
pub use trained::{device, fine_tuning, trained_model};

pub use values::num_params;

pub use {bert_qa, burn, fused_ops, qa_metrics, serde_json, squad_data, trainer};

/// Everything that the notebooks name.
pub mod prelude {
    pub use crate::*;

    pub use bert_qa::{
        BertConfig, BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained,
        QuestionAnswerer, span_loss,
    };
    pub use burn::tensor::{Device, Distribution, Tensor};
    pub use fused_ops::{Activation, CuSeqlens};
    pub use qa_metrics::{exact_match, f1, max_exact_match, max_f1, normalize_answer};
    pub use squad_data::{
        AnswerOptions, Dataset, Example, Feature, FeatureOptions, PackedBatch, Prediction,
        QaTokenizer, batches, inspect, make_features,
    };
    pub use trainer::{
        AnswerConfig, Config, FeatureConfig, FeaturizedDataset, Outcome, StopFlag, Trainer,
        by_answer_length, by_context_length, by_question_word, evaluate, with_threads,
    };
}
