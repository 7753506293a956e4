//! Examples to features: tokenizing, cutting contexts, labels, counts.

mod added_token;
mod charsmap;
mod feature;
mod labels;
mod make;
mod model_file;
mod options;
mod pair_template;
mod reach;
mod sentencepiece;
mod stats;
mod tokenizer;
mod tokenizer_folder;
mod tokenizer_json;
mod windows;

pub use feature::Feature;
pub use make::{make_features, make_features_with_progress};
pub use model_file::{instead_of_file, json_problem};
pub use options::{FeatureOptions, LabelAnswer, LongQuestions, StrideKind};
pub use pair_template::PairTemplate;
pub use reach::{Reach, UnreachedAnswer, reach};
pub use stats::{FeatureStats, LostAnswer, LostReason, inspect};
pub use tokenizer::{Encoding, QaTokenizer, TOKENIZER_THREAD};
