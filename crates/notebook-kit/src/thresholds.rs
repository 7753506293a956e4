use std::collections::HashMap;

use qa_metrics::{Metric, NaProbs, Question, max_exact_match, max_f1, score_v2_with_na_probs};
use report::ScoredExample;
use squad_data::{Dataset, Prediction};
use trainer::Error;

/// Scores at one no-answer threshold, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtThreshold {
    /// A question with null odds above the threshold gets no answer.
    pub threshold: f64,
    /// Exact match of all questions.
    pub exact: f64,
    /// F1 of all questions.
    pub f1: f64,
    /// F1 of the answerable questions.
    pub has_answer_f1: f64,
    /// The share of the unanswerable questions without an answer.
    pub no_answer: f64,
}

/// The official SQuAD 2.0 scores at `count` thresholds between the lowest and the highest null odds.
///
/// # Errors
/// If a question has no prediction.
pub fn threshold_curve(
    dataset: &Dataset,
    predictions: &[Prediction],
    count: usize,
) -> Result<Vec<AtThreshold>, Error> {
    let questions = dataset.gold_answers();
    let texts: HashMap<String, String> = predictions
        .iter()
        .map(|p| (p.id.clone(), p.best_text().to_owned()))
        .collect();
    let odds = || {
        predictions
            .iter()
            .map(|p| f64::from(p.null_odds))
            .filter(|odds| odds.is_finite())
    };
    let (low, high) = odds().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), odds| {
        (low.min(odds), high.max(odds))
    });
    let null_odds: NaProbs = predictions
        .iter()
        .map(|p| (p.id.clone(), f64::from(p.null_odds)))
        .collect();
    let wrong = |source| Error::Metrics {
        path: dataset.name.clone().into(),
        source,
    };
    let all = score_v2_with_na_probs(&questions, &texts, &null_odds, f64::INFINITY, Metric::Squad)
        .map_err(wrong)?;
    let steps = count.max(2) - 1;
    let at = |step: usize| {
        // From below all odds, where no question is answered, to the highest, where all are.
        let threshold = low - 0.5 + (high - low + 0.5) * step as f64 / steps as f64;
        let scores = all
            .withhold_above(threshold, &null_odds)
            .map_err(wrong)?
            .scores;
        Ok(AtThreshold {
            threshold,
            exact: scores.exact,
            f1: scores.f1,
            has_answer_f1: scores.has_ans.map_or(f64::NAN, |part| part.f1),
            no_answer: scores.no_ans.map_or(f64::NAN, |part| part.exact),
        })
    };
    (0..=steps).map(at).collect()
}

/// Each question with the official SQuAD 2.0 score of its answer.
pub fn scored<'a>(dataset: &'a Dataset, predictions: &[Prediction]) -> Vec<ScoredExample<'a>> {
    let texts: HashMap<&str, &str> = predictions
        .iter()
        .map(|p| (p.id.as_str(), p.text.as_str()))
        .collect();
    let score = |question: (&'a squad_data::Example, Question<'a>)| {
        let (example, question) = question;
        let text = texts.get(example.id.as_str()).copied().unwrap_or_default();
        ScoredExample {
            example,
            exact: max_exact_match(text, &question.answers),
            f1: max_f1(text, &question.answers),
        }
    };
    dataset
        .examples
        .iter()
        .zip(dataset.gold_answers())
        .map(score)
        .collect()
}

/// The index of the question with F1 0 whose best span has the highest probability; `None` if every F1 is above 0.
pub fn most_probable_mistake(dataset: &Dataset, predictions: &[Prediction]) -> Option<usize> {
    let probability = |index: usize| Some(predictions.get(index)?.best_span.as_ref()?.probability);
    let scored = scored(dataset, predictions);
    let wrong = scored
        .iter()
        .enumerate()
        .filter(|(_, score)| score.f1 == 0.0);
    let wrong = wrong.filter_map(|(index, _)| Some((probability(index)?, index)));
    wrong
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use squad_data::{Example, GoldAnswer, SpanAnswer};

    use super::*;

    fn example(id: &str, gold: &str) -> Example {
        let answer = |text: &str| GoldAnswer {
            text: text.into(),
            start: Some(0),
        };
        let answers = (!gold.is_empty()).then(|| answer(gold));
        Example::new(id, "Who?", "Ann and Bo").with_answers(answers.into_iter().collect())
    }

    fn prediction(id: &str, text: &str, null_odds: f32) -> Prediction {
        let span = SpanAnswer {
            text: text.into(),
            chars: 0..text.len(),
            score: 0.0,
            start_logit: 0.0,
            end_logit: 0.0,
            probability: 1.0,
        };
        Prediction {
            id: id.into(),
            text: text.into(),
            probability: 1.0,
            best_span: Some(span.clone()),
            n_best: vec![span],
            null_score: null_odds,
            null_odds,
        }
    }

    fn dataset() -> (Dataset, Vec<Prediction>) {
        let examples = vec![
            example("a", "Ann"),
            example("b", ""),
            example("c", "Ann and Bo"),
        ];
        let predictions = vec![
            prediction("a", "Ann", -4.0),
            prediction("b", "Bo", 1.0),
            prediction("c", "Bo", -2.0),
        ];
        let name = "dev.json".into();
        (
            Dataset {
                name,
                examples,
                ..Dataset::default()
            },
            predictions,
        )
    }

    #[test]
    fn low_thresholds_answer_no_question_and_high_ones_all() {
        let (dataset, predictions) = dataset();
        let curve = threshold_curve(&dataset, &predictions, 12).unwrap();
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        assert_eq!((first.has_answer_f1, first.no_answer), (0.0, 100.0));
        assert_eq!(last.no_answer, 0.0);
        assert!((last.has_answer_f1 - 75.0).abs() < 1e-9, "{last:?}");
        // A threshold between them gets both right.
        let best = curve.iter().map(|at| at.f1).fold(0.0, f64::max);
        assert!(
            (best - 100.0 * (1.0 + 1.0 + 0.5) / 3.0).abs() < 1e-9,
            "{curve:?}"
        );
        assert!(curve.is_sorted_by(|a, b| a.threshold < b.threshold));
        assert!(threshold_curve(&dataset, &[], 3).is_err());
    }

    #[test]
    fn questions_are_scored_against_their_own_answers() {
        let (dataset, mut predictions) = dataset();
        predictions[1].text.clear();
        let scored = scored(&dataset, &predictions);
        let pairs: Vec<_> = scored.iter().map(|s| (s.exact, s.f1)).collect();
        assert_eq!(pairs, [(true, 1.0), (true, 1.0), (false, 0.5)]);
        assert_eq!(most_probable_mistake(&dataset, &predictions), None);
        predictions[0].text = "nobody".into();
        assert_eq!(most_probable_mistake(&dataset, &predictions), Some(0));
    }
}
