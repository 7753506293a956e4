//! The official v2.0 evaluation.

use std::collections::HashMap;

use crate::answer_scores::{NormalizedAnswer, best, gold_answers_v2};
use crate::error::Error;
use crate::metric::Metric;
use crate::na_probs::NaProbs;
use crate::scores::{
    BestThresholds, DatasetScores, Question, QuestionScore, ScoresV2, SubsetScores, num_extra,
    percentage,
};
use crate::threshold::{RawScore, apply_threshold, best_thresholds};

/// Scores predictions as SQuAD's official v2.0 script does without no-answer probabilities.
///
/// Another metric normalizes texts and computes F1 as its own script does. The rules for questions without an answer are
/// those of SQuAD, because no other of these datasets has such questions.
///
/// An empty prediction means "no answer". **Questions without a prediction are left out of every average**: `total` is
/// the number of questions with one, and `missing` lists the others. Reject them, or give them an empty prediction, to
/// count them as wrong. The official script also leaves them out of its overall averages, but then fails in the
/// HasAns/NoAns split. An id that occurs twice in the dataset counts once, in its first place and with its last gold
/// answers, as in the script.
///
/// # Errors
///
/// [`Error::NoQuestions`] or [`Error::NoPredictions`] if there is nothing to average.
///
/// ```
/// use qa_metrics::{Metric, Question, score_v2};
/// use std::collections::HashMap;
///
/// let questions = [
///     Question { id: "q1", answers: vec!["France"] },
///     Question { id: "q2", answers: vec![] },
/// ];
/// let predictions = HashMap::from([
///     ("q1".to_owned(), "northern France".to_owned()),
///     ("q2".to_owned(), String::new()),
/// ]);
/// let scores = score_v2(&questions, &predictions, Metric::Squad)?.scores;
/// assert_eq!((scores.exact, scores.f1), (50.0, 100.0 * (2.0 / 3.0 + 1.0) / 2.0));
/// assert_eq!(scores.no_ans.unwrap().exact, 100.0);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
pub fn score_v2<'a>(
    questions: &[Question<'a>],
    predictions: &HashMap<String, String>,
    metric: Metric,
) -> Result<DatasetScores<'a, ScoresV2>, Error> {
    let (raw, missing) = raw_scores(questions, predictions, metric)?;
    let scored: Vec<QuestionScore<'a>> = raw.into_iter().map(|raw| raw.score).collect();
    Ok(DatasetScores {
        scores: averages(&scored, None),
        questions: scored,
        missing,
        num_extra: num_extra(questions, predictions),
    })
}

/// As [`score_v2`], with no-answer probabilities: the scores at a given threshold, and the best thresholds.
///
/// A question with a probability above `na_prob_thresh` is scored as if its prediction were empty. At
/// [`DEFAULT_NA_PROB_THRESH`](crate::DEFAULT_NA_PROB_THRESH) no probability is. The per-question scores are those after
/// the threshold. The search for the best thresholds uses the predictions before it, and starts with no question
/// answered at threshold 0, as in the official script.
///
/// # Errors
///
/// As [`score_v2`]. [`Error::MissingNaProb`] if a predicted question has no probability, [`Error::NanNaProb`] if one is
/// NaN.
///
/// ```
/// use qa_metrics::{Metric, NaProbs, Question, score_v2_with_na_probs};
/// use std::collections::HashMap;
///
/// let questions = [
///     Question { id: "q1", answers: vec!["France"] },
///     Question { id: "q2", answers: vec![] },
/// ];
/// let predictions = HashMap::from([
///     ("q1".to_owned(), "France".to_owned()),
///     ("q2".to_owned(), "wrongly answered".to_owned()),
/// ]);
/// let na_probs = NaProbs::from_iter([("q1", 0.25), ("q2", 0.75)]);
/// let scores = score_v2_with_na_probs(&questions, &predictions, &na_probs, 0.5, Metric::Squad)?.scores;
/// assert_eq!(scores.exact, 100.0); // q2 is above 0.5
/// assert_eq!(scores.best.unwrap().exact_thresh, 0.25);
/// # Ok::<(), qa_metrics::Error>(())
/// ```
pub fn score_v2_with_na_probs<'a>(
    questions: &[Question<'a>],
    predictions: &HashMap<String, String>,
    na_probs: &NaProbs,
    na_prob_thresh: f64,
    metric: Metric,
) -> Result<DatasetScores<'a, ScoresV2>, Error> {
    let (raw, missing) = raw_scores(questions, predictions, metric)?;
    let raw_scores: Vec<_> = raw.iter().map(|raw| raw.score).collect();
    let scored = apply_threshold(&raw_scores, na_probs, na_prob_thresh)?;
    let best = best_thresholds(&raw, na_probs)?;
    Ok(DatasetScores {
        scores: averages(&scored, Some(best)),
        questions: scored,
        missing,
        num_extra: num_extra(questions, predictions),
    })
}

/// Scores of the predicted questions in the dataset's order, and the ids of the others.
type RawScores<'a> = (Vec<RawScore<'a>>, Vec<&'a str>);

fn raw_scores<'a>(
    questions: &[Question<'a>],
    predictions: &HashMap<String, String>,
    metric: Metric,
) -> Result<RawScores<'a>, Error> {
    if questions.is_empty() {
        return Err(Error::NoQuestions);
    }
    let mut scored: Vec<RawScore<'a>> = Vec::with_capacity(questions.len());
    let mut positions: HashMap<&str, usize> = HashMap::with_capacity(questions.len());
    let mut missing = Vec::new();
    for question in questions {
        let Some(prediction) = predictions.get(question.id) else {
            missing.push(question.id);
            continue;
        };
        let score = score_question(question, prediction, metric);
        let position = *positions.entry(question.id).or_insert(scored.len());
        if position < scored.len() {
            scored[position] = score;
        } else {
            scored.push(score);
        }
    }
    if scored.is_empty() {
        return Err(Error::NoPredictions);
    }
    Ok((scored, missing))
}

fn score_question<'a>(question: &Question<'a>, prediction: &str, metric: Metric) -> RawScore<'a> {
    let gold = gold_answers_v2(&question.answers, metric);
    let answer = NormalizedAnswer::new(prediction, metric);
    RawScore {
        score: QuestionScore {
            id: question.id,
            has_answer: question.has_answer(),
            exact: best(&gold, |gold| answer.exact(gold)),
            f1: best(&gold, |gold| answer.f1_v2(gold)),
        },
        is_answered: !prediction.is_empty(),
    }
}

impl DatasetScores<'_, ScoresV2> {
    /// The scores if questions with a no-answer probability above `na_prob_thresh` get no answer.
    ///
    /// These are the scores of [`score_v2_with_na_probs`] at that threshold, without normalizing the texts again.
    /// Questions that have lost their answer do not get it back, so start with scores at an infinite threshold.
    ///
    /// # Errors
    ///
    /// [`Error::MissingNaProb`] if a predicted question has no probability.
    ///
    /// ```
    /// use qa_metrics::{Metric, NaProbs, Question, score_v2_with_na_probs};
    /// use std::collections::HashMap;
    ///
    /// let questions = [Question { id: "q1", answers: vec!["France"] }, Question { id: "q2", answers: vec![] }];
    /// let answers = [("q1", "France"), ("q2", "wrongly answered")];
    /// let predictions = HashMap::from(answers.map(|(id, text)| (id.to_owned(), text.to_owned())));
    /// let na_probs = NaProbs::from_iter([("q1", 0.25), ("q2", 0.75)]);
    ///
    /// let all = score_v2_with_na_probs(&questions, &predictions, &na_probs, f64::INFINITY, Metric::Squad)?;
    /// assert_eq!(all.scores.exact, 50.0);
    /// let best = all.scores.best.unwrap();
    /// assert_eq!(all.withhold_above(best.f1_thresh, &na_probs)?.scores.f1, best.f1);
    /// assert_eq!(all.withhold_above(0.0, &na_probs)?.scores.no_ans.unwrap().exact, 100.0);
    /// # Ok::<(), qa_metrics::Error>(())
    /// ```
    pub fn withhold_above(&self, na_prob_thresh: f64, na_probs: &NaProbs) -> Result<Self, Error> {
        let questions = apply_threshold(&self.questions, na_probs, na_prob_thresh)?;
        Ok(Self {
            scores: averages(&questions, self.scores.best),
            questions,
            missing: self.missing.clone(),
            num_extra: self.num_extra,
        })
    }
}

fn averages(scored: &[QuestionScore<'_>], best: Option<BestThresholds>) -> ScoresV2 {
    ScoresV2 {
        exact: percentage(scored.iter().map(|score| score.exact), scored.len()),
        f1: percentage(scored.iter().map(|score| score.f1), scored.len()),
        total: scored.len(),
        has_ans: subset(scored, true),
        no_ans: subset(scored, false),
        best,
    }
}

fn subset(scored: &[QuestionScore<'_>], has_answer: bool) -> Option<SubsetScores> {
    let of_subset = || {
        scored
            .iter()
            .filter(move |score| score.has_answer == has_answer)
    };
    let total = of_subset().count();
    (total > 0).then(|| SubsetScores {
        exact: percentage(of_subset().map(|score| score.exact), total),
        f1: percentage(of_subset().map(|score| score.f1), total),
        total,
    })
}
