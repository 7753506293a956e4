//! Features: examples tokenized, cut into windows and labelled.

pub(crate) mod feature;
mod labels;
mod make;
mod options;
mod stats;
mod tokenizer;

pub use feature::Feature;
pub use make::{make_features, make_features_watched};
pub use options::{StrideKind, WindowOptions};
pub use stats::{FeatureStats, LostAnswer, LostReason, inspect};
pub use tokenizer::{QaTokenizer, Tokens};
