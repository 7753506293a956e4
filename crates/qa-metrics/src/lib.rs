//! Exact match and F1 for extractive question answering.
//!
//! - **One answer**: [`exact_match`] and [`f1`] compare a prediction with a gold answer, [`max_exact_match`] and
//!   [`max_f1`] with several. Texts are normalized by [`normalize_answer`].
//! - **A dataset**: [`score_v1`], [`score_v2`] and [`score_v2_with_na_probs`] give the scores of SQuAD's official
//!   evaluation scripts v1.1 and v2.0, equal to the last digit, and the score of each question.
//! - **Other languages**: a [`Metric`] names the official script of MLQA, KorQuAD 1.0, CMRC 2018 or DRCD. Its scores are
//!   equal to the last digit, too.
//! - **Token spans**: [`span_exact_match`] and [`span_f1`] compare positions. The feature `tensor` has the same as Burn
//!   tensor operations (`SpanMetrics`), cheap enough for every batch. These are *not* the official scores, which compare
//!   texts of whole questions.
//!
//! ```
//! use qa_metrics::{Metric, Question, exact_match, f1, score_v2};
//! use std::collections::HashMap;
//!
//! assert!(exact_match("the Eiffel Tower!", "Eiffel tower"));
//! assert_eq!(f1("Eiffel Tower in Paris", "Eiffel Tower"), 2.0 / 3.0);
//!
//! let questions = [
//!     Question { id: "q1", answers: vec!["Eiffel Tower", "the tower"] },
//!     Question { id: "q2", answers: vec![] }, // has no answer
//! ];
//! let predictions = HashMap::from([
//!     ("q1".to_owned(), "Eiffel Tower in Paris".to_owned()),
//!     ("q2".to_owned(), String::new()), // an empty prediction means "no answer"
//! ]);
//! let scores = score_v2(&questions, &predictions, Metric::Squad)?.scores;
//! assert_eq!((scores.exact, scores.total), (50.0, 2));
//! # Ok::<(), qa_metrics::Error>(())
//! ```
//!
//! # Differences from the official scripts
//!
//! The scripts are Python: a word character (`\w`) is a letter or number of any script, and `str.split` also splits at
//! `U+001C` to `U+001F`. This crate does the same. Two things can differ:
//!
//! - The two sides may have different versions of Unicode's tables, so a new letter may not be a letter for one of them.
//! - From Python 3.12 on, `sum` of floats compensates rounding errors, so the last digit of the v2.0 script's averages
//!   depends on the version of Python. This crate adds in order without compensation, as Python up to 3.11 does.
//!
//! The script of CMRC 2018 uses NLTK's `word_tokenize` for what is not Chinese. Its rules here are those of NLTK 3.10 and its
//! English sentence model; another version may split such text differently.
//!
//! # Serialization
//!
//! The crate reads no files. Scores serialize to the official scripts' keys ([`ScoresV1`], [`ScoresV2`]), and [`NaProbs`]
//! deserializes in the order of its file, because a best threshold can depend on that order.
#![warn(missing_docs)]

mod answer_scores;
mod cmrc;
mod error;
mod korquad;
mod metric;
mod mlqa;
mod na_probs;
mod normalize;
mod python;
mod scores;
mod span;
#[cfg(feature = "tensor")]
mod span_tensor;
mod threshold;
mod v1;
mod v2;

pub use answer_scores::{exact_match, f1, max_exact_match, max_f1};
pub use error::Error;
pub use metric::Metric;
pub use mlqa::MlqaLanguage;
pub use na_probs::{DEFAULT_NA_PROB_THRESH, NaProbs};
pub use normalize::normalize_answer;
pub use scores::{
    BestThresholds, DatasetScores, Question, QuestionScore, ScoresV1, ScoresV2, SubsetScores,
};
pub use span::{span_exact_match, span_f1};
#[cfg(feature = "tensor")]
pub use span_tensor::{SpanMetrics, SpanScores, TokenSpans, span_sums};
pub use v1::score_v1;
pub use v2::{score_v2, score_v2_with_na_probs};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
