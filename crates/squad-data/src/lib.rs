//! SQuAD files to examples, windows and packed batches; logits back to answers.
//!
//! The way there: [`Dataset::read`] → [`make_features`] → [`batches`] → [`PackedBatch::new`]. The way back:
//! [`SpanLogits`] of every window → [`extract_answers`]. [`inspect`] tells what a data set becomes under a tokenizer.
//!
//! Three units of length occur, and every item says which it means. Files and [`GoldAnswer`]s count Unicode code points
//! of the context ("characters"), windows count tokens, and nothing counts bytes. Windows, labels and answers are those
//! of Hugging Face's question-answering examples; the few deliberate differences stand at [`make_features`] and
//! [`extract_answers`].
//!
//! Order and position of training are a [`BatchSampler`], and a rank's part of the work is a [`Shard`].
//!
//! The crate makes vectors on the host and knows neither tensors nor models; the feature `burn` adds Burn's traits for
//! data loaders. It does not print, and reads neither the environment nor the clock. Wrong input is an [`Error`] of one
//! line, never a panic.
//!
//! ```
//! use squad_data::{Dataset, PackedBatch, QaTokenizer, Shuffle, FeatureOptions, batches, make_features};
//! # use std::path::Path;
//! # let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer.json"));
//! # let json = r#"{"data": [{"paragraphs": [{"context": "the cat ate", "qas": [
//! #     {"id": "q1", "question": "who ate?", "answers": [{"text": "the cat", "answer_start": 0}]}]}]}]}"#;
//!
//! let tokenizer = QaTokenizer::from_file(path)?;
//! let dataset = Dataset::from_json("train.json", json.as_bytes())?; // or Dataset::read(path)
//! let features = make_features(&dataset.examples, &tokenizer, &FeatureOptions::default())?;
//! for indices in batches(features.len(), 8, Some(Shuffle { seed: 0, epoch: 0 }))? {
//!     let batch = PackedBatch::new(&features, &indices);
//!     assert_eq!(batch.num_tokens(), batch.lengths.iter().sum::<usize>());
//! }
//! # Ok::<(), squad_data::Error>(())
//! ```

mod answers;
mod batching;
mod chars;
mod dataset;
mod error;
mod example;
mod features;
mod read;

pub use answers::{AnswerOptions, Prediction, SpanAnswer, SpanLogits, extract_answers};
pub use batching::{
    BatchSampler, BatchSize, PackedBatch, SamplerState, Shard, Shuffle, batches, batches_by_tokens,
};
#[cfg(feature = "burn")]
pub use batching::{FeatureDataset, PackedBatcher, TensorBatch};
pub use dataset::Dataset;
pub use error::Error;
pub use example::{Example, GoldAnswer};
pub use features::{
    Encoding, Feature, FeatureOptions, FeatureStats, LostAnswer, LostReason, QaTokenizer,
    StrideKind, inspect, make_features, make_features_with_progress,
};
#[cfg(feature = "parquet")]
pub use read::PARQUET_THREAD;
