//! Examples to features: tokenizing, cutting contexts, labels, counts.

mod feature;
mod labels;
mod make;
mod options;
mod pair_template;
mod stats;
mod tokenizer;
mod windows;

pub use feature::Feature;
pub use make::{make_features, make_features_with_progress};
pub use options::{FeatureOptions, StrideKind};
pub use pair_template::PairTemplate;
pub use stats::{FeatureStats, LostAnswer, LostReason, inspect};
pub use tokenizer::{Encoding, QaTokenizer};
