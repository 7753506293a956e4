//! The crate's one error type.

use std::fmt;

use crate::mlqa::MlqaLanguage;

/// Why a dataset cannot be scored. The official scripts raise an exception in each of these cases, too.
///
/// ```
/// use qa_metrics::{Error, Metric, Question, score_v1};
/// use std::collections::HashMap;
///
/// let unanswerable = [Question { id: "q7", answers: vec![] }];
/// let predictions = HashMap::from([("q7".to_owned(), "France".to_owned())]);
/// let error = score_v1(&unanswerable, &predictions, Metric::Squad).unwrap_err();
/// assert_eq!(error, Error::NoGoldAnswers { id: "q7".to_owned() });
/// assert_eq!(error.to_string(), "question q7 has no gold answer: score it with score_v2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There are no questions.
    NoQuestions,
    /// No question has a prediction. The v2.0 averages are over predicted questions.
    NoPredictions,
    /// A question has no gold answer, which [`score_v1`](crate::score_v1) does not allow.
    NoGoldAnswers {
        /// The question's id.
        id: String,
    },
    /// A predicted question has no no-answer probability.
    MissingNaProb {
        /// The question's id.
        id: String,
    },
    /// A no-answer probability is NaN.
    NanNaProb {
        /// The question's id.
        id: String,
    },
    /// A name is not one of a [`Metric`](crate::Metric).
    UnknownMetric {
        /// The name.
        name: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuestions => write!(f, "there are no questions to score"),
            Self::NoPredictions => write!(
                f,
                "no question of the dataset has a prediction: are they predictions for another dataset?"
            ),
            Self::NoGoldAnswers { id } => {
                write!(
                    f,
                    "question {id} has no gold answer: score it with score_v2"
                )
            }
            Self::MissingNaProb { id } => {
                write!(
                    f,
                    "question {id} has a prediction but no no-answer probability: give each predicted question one"
                )
            }
            Self::NanNaProb { id } => {
                write!(
                    f,
                    "the no-answer probability of question {id} is NaN: give it a number"
                )
            }
            Self::UnknownMetric { name } => {
                let languages = MlqaLanguage::ALL.map(MlqaLanguage::code).join(", ");
                write!(
                    f,
                    "unknown metric {name:?}; expected squad, korquad, cmrc, drcd, or mlqa:LANG with LANG one of {languages}"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
