//! SQuAD files to features and packed batches; logits back to answers.
//!
//! Data flows through five functions:
//!
//! 1. [`Dataset::read`] reads and checks a file of questions.
//! 2. [`make_features`] tokenizes the questions, cuts long contexts into overlapping features and labels them.
//! 3. [`batches`], or a [`BatchSampler`] whose position can be saved, chooses the features of each batch. A [`Shard`] is
//!    one rank's share of them.
//! 4. [`PackedBatch::new`] concatenates the features of a batch.
//! 5. [`extract_answers`] finds the best answer of each question in the model's [`SpanLogits`].
//!
//! [`PredictedAnswers`] reads the predictions of other tools, [`inspect`] counts what a dataset becomes under a tokenizer.
//!
//! Features, labels and answers are those of Hugging Face's question-answering examples; [`make_features`] and
//! [`extract_answers`] list the differences. Positions in a context count Unicode code points ("characters"), as SQuAD
//! does. Positions in a feature count tokens. Neither counts bytes.
//!
//! The crate makes vectors on the host and knows neither tensors nor models. The feature `burn` adds Burn's traits for
//! data loaders, the feature `parquet` reads Parquet files. The crate does not print and reads neither the environment
//! nor the clock. Wrong input is an [`Error`], never a panic.
//!
//! ```
//! use squad_data::{Dataset, FeatureOptions, PackedBatch, QaTokenizer, Shuffle, batches, make_features};
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
mod memory;
mod overlap;
mod read;
mod varint;
mod write;

pub use answers::{
    AnswerOptions, Margins, NoAnswerProbabilities, PipelineAnswer, PipelineOptions,
    PredictedAnswers, Prediction, SpanAnswer, SpanLogits, extract_answers, pipeline_answers,
};
pub use batching::{
    BatchSampler, BatchSize, PackedBatch, SamplerState, Shard, Shuffle, batches, batches_by_tokens,
};
#[cfg(feature = "burn")]
pub use batching::{FeatureDataset, PackedBatcher, TensorBatch};
pub use dataset::Dataset;
pub use error::{Error, counted, plain_types};
pub use example::{Example, Gold, GoldAnswer};
pub use features::{
    Encoding, Feature, FeatureOptions, FeatureStats, LabelAnswer, LongQuestions, LostAnswer,
    LostReason, PairTemplate, QaTokenizer, Reach, StrideKind, TOKENIZER_THREAD, UnreachedAnswer,
    inspect, instead_of_file, json_problem, make_features, make_features_with_progress, reach,
};
pub use memory::{memory_limit, readable_size};
pub use overlap::{Overlap, SharedContext, overlap};
#[cfg(feature = "parquet")]
pub use read::PARQUET_THREAD;
pub use read::{Flaw, FlawKind, Flaws, OnBadAnswer, ReadOptions};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
