//! The official v1.1 evaluation.

use std::collections::HashMap;

use crate::answer_scores::{Answer, best, same_text, token_f1};
use crate::dataset_scores::{DatasetScores, Question, QuestionScore, num_extra, percentage};
use crate::error::Error;
use crate::scores::ScoresV1;

/// Scores predictions as SQuAD's official v1.1 script does.
///
/// A question without a prediction counts as wrong and stays in the total; predictions for other questions are left out.
///
/// # Errors
///
/// [`Error::NoQuestions`], and [`Error::NoGoldAnswers`] for a predicted question that has no gold answer: the v1.1 metric
/// does not know such questions.
///
/// ```
/// use qa_metrics::{Question, score_v1};
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
/// let scores = score_v1(&questions, &predictions)?.scores;
/// assert_eq!((scores.exact_match, scores.f1, scores.total), (50.0, 75.0, 2));
/// # Ok::<(), qa_metrics::Error>(())
/// ```
pub fn score_v1<'a>(
    questions: &[Question<'a>],
    predictions: &HashMap<String, String>,
) -> Result<DatasetScores<'a, ScoresV1>, Error> {
    if questions.is_empty() {
        return Err(Error::NoQuestions);
    }
    let mut scored = Vec::with_capacity(questions.len());
    let mut missing = Vec::new();
    for question in questions {
        match predictions.get(question.id) {
            Some(prediction) => scored.push(score_question(question, prediction)?),
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
) -> Result<QuestionScore<'a>, Error> {
    if !question.has_answer() {
        return Err(Error::NoGoldAnswers {
            id: question.id.to_owned(),
        });
    }
    let prediction = Answer::new(prediction);
    let gold: Vec<Answer> = question
        .answers
        .iter()
        .map(|text| Answer::new(text))
        .collect();
    Ok(QuestionScore {
        id: question.id,
        has_answer: true,
        exact: best(&gold, |gold| f64::from(same_text(&prediction, gold))),
        f1: best(&gold, |gold| token_f1(&prediction, gold)),
    })
}
