//! Features: examples tokenized, cut into windows and labelled.

pub(crate) mod feature;
mod labels;
mod make;
mod options;
mod stats;
mod tokenizer;

pub use feature::Feature;
pub use make::{make_features, make_features_with_progress};
pub use options::{FeatureOptions, StrideKind};
pub use stats::{FeatureStats, LostAnswer, LostReason, inspect};
pub use tokenizer::{Encoding, QaTokenizer};
