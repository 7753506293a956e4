//! The official v1.1 evaluation: every question has an answer.

use std::collections::HashMap;

use crate::answer_scores::{NormalizedAnswer, best};
use crate::error::Error;
use crate::metric::Metric;
use crate::scores::{DatasetScores, Question, QuestionScore, ScoresV1, num_extra, percentage};

/// Scores predictions as SQuAD's official v1.1 script does, or that of another metric's dataset.
///
/// A question without a prediction counts as wrong. Predictions for other questions are ignored.
///
/// # Errors
///
/// [`Error::NoQuestions`] if there are none, [`Error::NoGoldAnswers`] if a predicted question has no gold answer.
///
/// ```
/// use qa_metrics::{Metric, Question, score_v1};
/// use std::collections::HashMap;
///
/// let questions = [
///     Question { id: "q1", answers: vec!["Denver Broncos", "The Denver Broncos"] },
///     Question { id: "q2", answers: vec!["gold"] },
/// ];
/// let predictions = HashMap::from([
///     ("q1".to_owned(), "denver broncos.".to_owned()),
///     ("q2".to_owned(), "in gold colour".to_owned()),
/// ]);
/// let scores = score_v1(&questions, &predictions, Metric::Squad)?.scores;
/// assert_eq!((scores.exact_match, scores.f1, scores.total), (50.0, 75.0, 2));
/// # Ok::<(), qa_metrics::Error>(())
/// ```
pub fn score_v1<'a>(
    questions: &[Question<'a>],
    predictions: &HashMap<String, String>,
    metric: Metric,
) -> Result<DatasetScores<'a, ScoresV1>, Error> {
    if questions.is_empty() {
        return Err(Error::NoQuestions);
    }
    let mut scored = Vec::with_capacity(questions.len());
    let mut missing = Vec::new();
    for question in questions {
        match predictions.get(question.id) {
            Some(prediction) => scored.push(score_question(question, prediction, metric)?),
            None => missing.push(question.id),
        }
    }
    let total = questions.len();
    Ok(DatasetScores {
        scores: ScoresV1 {
            exact_match: percentage(scored.iter().map(|score| score.exact), total),
            f1: percentage(scored.iter().map(|score| score.f1), total),
            total,
        },
        questions: scored,
        missing,
        num_extra: num_extra(questions, predictions),
    })
}

fn score_question<'a>(
    question: &Question<'a>,
    prediction: &str,
    metric: Metric,
) -> Result<QuestionScore<'a>, Error> {
    if !question.has_answer() {
        return Err(Error::NoGoldAnswers {
            id: question.id.to_owned(),
        });
    }
    let prediction = NormalizedAnswer::new(prediction, metric);
    let gold = question
        .answers
        .iter()
        .map(|text| NormalizedAnswer::new(text, metric));
    let gold: Vec<NormalizedAnswer> = gold.collect();
    Ok(QuestionScore {
        id: question.id,
        has_answer: true,
        exact: best(&gold, |gold| prediction.exact(gold)),
        f1: best(&gold, |gold| prediction.f1_v1(gold)),
    })
}
