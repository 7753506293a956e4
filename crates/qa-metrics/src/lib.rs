//! Exact match and F1 for extractive question answering.
//!
//! Three things, each usable alone:
//!
//! - **One answer**: [`exact_match`] and [`f1`] of a prediction against a gold answer, [`max_exact_match`] and [`max_f1`]
//!   against several, all on text normalised by [`normalize_answer`].
//! - **A data set**: [`score_v1`], [`score_v2`] and [`score_v2_with_na_probs`] give the figures of SQuAD's official evaluation
//!   scripts (v1.1 and v2.0), equal to the last digit, and the score of every question beside them.
//! - **Token spans**: [`span_exact_match`] and [`span_f1`] on positions; with the feature `tensor` the same as Burn tensor
//!   operations, which stay on the device until they are read once (`SpanMetrics`). They are cheap enough for every
//!   validation batch, and they are *not* the official figures: those are on text and over whole questions.
//!
//! ```
//! use qa_metrics::{Question, exact_match, f1, score_v2};
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
//!     ("q2".to_owned(), String::new()), // an empty prediction says "no answer"
//! ]);
//! let evaluation = score_v2(&questions, &predictions)?;
//! assert_eq!(evaluation.scores.exact, 50.0);
//! assert_eq!(evaluation.scores.total, 2);
//! # Ok::<(), qa_metrics::Error>(())
//! ```
//!
//! # How far "equal to the official scripts" goes
//!
//! The scripts are Python, and so is their notion of a word, of white space and of lower case: `\w` is a letter or a number
//! of any script and `str.split` also splits at `U+001C` to `U+001F`. Both are followed. Two things can differ:
//!
//! - Unicode grows. A letter that one side's tables do not know yet is not a letter there.
//! - From Python 3.12 on, `sum` of floats compensates its rounding errors; the v2.0 script uses it, so the last digit of
//!   its averages can depend on the Python that runs it. This crate adds in the scripts' order without compensation, as
//!   Python up to 3.11 does and as the published figures were made.
//!
//! # Text, not files
//!
//! Nothing here reads a file. `serde` is used for one thing: the scores serialise under the official scripts' key names
//! ([`ScoresV1`], [`ScoresV2`]), and [`NaProbs`] deserialises in the order of its file, on which a best threshold can depend.
#![warn(missing_docs)]

mod answer_scores;
mod dataset_scores;
mod error;
mod na_probs;
mod normalize;
mod scores;
mod span;
#[cfg(feature = "tensor")]
mod span_tensor;
mod threshold;
mod v1;
mod v2;

pub use answer_scores::{exact_match, f1, max_exact_match, max_f1};
pub use dataset_scores::{DatasetScores, Question, QuestionScore};
pub use error::Error;
pub use na_probs::{DEFAULT_NA_PROB_THRESH, NaProbs};
pub use normalize::normalize_answer;
pub use scores::{BestThresholds, ScoresV1, ScoresV2, SubsetScores};
pub use span::{span_exact_match, span_f1};
#[cfg(feature = "tensor")]
pub use span_tensor::{SpanMetrics, SpanScores, TokenSpans, span_sums};
pub use v1::score_v1;
pub use v2::{score_v2, score_v2_with_na_probs};

/// The README's example, compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
