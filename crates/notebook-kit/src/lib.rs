//! Everything that the notebooks import.
//!
//! The first cell of a notebook is
//!
//! ```text
//! :dep notebook-kit = { path = "../crates/notebook-kit" }
//! use notebook_kit::prelude::*;
//! ```
//!
//! It makes every crate of this workspace available through one shared library, with plots, tables, and rich output of
//! their values. A notebook must not have a second `:dep`: Cargo would compile Burn again.

mod attention;
mod data;
mod display;
mod highlight;
mod measure;
mod mistakes;
mod ranks;
mod runs;
mod thresholds;
mod values;

pub use attention::AttentionMaps;
pub use data::{
    ENCODER, datasets, finished, fresh_run_dir, model_folder, quickstart, root, sample, squad_file,
};
pub use display::{Html, RichDisplay, Table, decimals, side_by_side};
pub use highlight::{Mark, highlight, highlight_answer, show_feature};
pub use measure::{Measured, measure, padded};
pub use mistakes::{Mistake, labelled_range, right_labels};
pub use plots::{Bars, Lines, Svg, heat_map, histogram};
pub use ranks::{RanksRun, train_by_ranks};
pub use runs::{PlainLines, RunCurves, device, fine_tuning, lowest, trained_model};
pub use thresholds::{AtThreshold, most_probable_mistake, scored, threshold_curve};
pub use values::num_params;

// evcxr writes the types of variables with the names of these crates.
pub use {
    bert_qa, burn, fused_ops, plots, process_group, qa_metrics, report, run_log, serde_json,
    squad_data, trainer,
};

/// What the notebooks use, and what a reader's own cells may need.
pub mod prelude {
    pub use crate::*;

    pub use bert_qa::{
        BertConfig, BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained,
        QuestionAnswerer, span_loss,
    };
    pub use burn::tensor::{Device, Distribution, Tensor};
    pub use fused_ops::{Activation, CuSeqlens};
    pub use qa_metrics::{Metric, exact_match, f1, max_exact_match, max_f1, normalize_answer};
    pub use report::{by_answer_length, by_context_length, by_question_word};
    pub use squad_data::{
        AnswerOptions, Dataset, Example, Feature, FeatureOptions, PackedBatch, Prediction,
        QaTokenizer, batches, inspect, make_features,
    };
    pub use trainer::{
        AnswerConfig, Config, FeatureConfig, FeaturizedDataset, Outcome, StopFlag, Trainer,
        evaluate, with_threads,
    };
}
