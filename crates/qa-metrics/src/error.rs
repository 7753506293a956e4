//! What can be wrong with what is to be scored.

use std::fmt;

/// Why a data set cannot be scored. The official scripts stop with a Python exception in each of these cases.
///
/// ```
/// use qa_metrics::{Error, Question, score_v1};
/// use std::collections::HashMap;
///
/// let unanswerable = [Question { id: "q7", answers: vec![] }];
/// let predictions = HashMap::from([("q7".to_owned(), "France".to_owned())]);
/// let error = score_v1(&unanswerable, &predictions).unwrap_err();
/// assert_eq!(error, Error::NoGoldAnswers { id: "q7".to_owned() });
/// assert_eq!(error.to_string(), "question q7 has no gold answer: score it with the v2.0 metric");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no question, hence no average.
    NoQuestions,
    /// No question of the data set has a prediction (v2.0, whose averages are over predicted questions).
    NoPredictions,
    /// A question without gold answers met the v1.1 metric, which has no notion of one.
    NoGoldAnswers {
        /// The question.
        id: String,
    },
    /// No-answer probabilities were given, but none for this predicted question.
    MissingNaProb {
        /// The question.
        id: String,
    },
    /// A no-answer probability is not a number, so it has no place in an order.
    NanNaProb {
        /// The question.
        id: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuestions => write!(f, "there is no question to score"),
            Self::NoPredictions => write!(f, "no question of the data set has a prediction"),
            Self::NoGoldAnswers { id } => {
                write!(
                    f,
                    "question {id} has no gold answer: score it with the v2.0 metric"
                )
            }
            Self::MissingNaProb { id } => {
                write!(
                    f,
                    "question {id} has a prediction but no no-answer probability"
                )
            }
            Self::NanNaProb { id } => {
                write!(
                    f,
                    "the no-answer probability of question {id} is not a number"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
