//! Calibration: a temperature and a no-answer threshold, fitted on half of the evaluation set after training.

use qa_metrics::Metric;
use serde::Serialize;
use sha2::{Digest, Sha256};
use squad_data::{Dataset, Example, Gold, Margins, Prediction};

/// Minimum number of questions in each half; with fewer, nothing is fitted.
const MIN_QUESTIONS: usize = 100;
/// Bins of equal width of the reliability diagram and of the expected calibration error (Guo et al. 2017).
const BINS: usize = 15;
/// Steps of the search for the temperature; each makes its range 0.62 times as wide.
const STEPS: usize = 50;

/// The values fitted on one half of the evaluation set, and their quality on the other half.
///
/// A context's questions are in one half, chosen by a hash of its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Calibration {
    /// The temperature with the lowest cross-entropy of "the answer matches exactly".
    pub(crate) temperature: f32,
    /// The threshold of the null odds with the highest F1; the configured one if every question has an answer.
    pub(crate) null_score_diff_threshold: f32,
    /// Number of questions that the values are fitted on.
    pub(crate) fitted_on: usize,
    /// Number of questions of the other half, on which the figures below are measured.
    pub(crate) measured_on: usize,
    /// Expected calibration error at temperature 1.
    pub(crate) ece_before: f64,
    /// Expected calibration error at the fitted temperature.
    pub(crate) ece: f64,
    /// The reliability diagram; bins without questions are left out.
    pub(crate) reliability: Vec<ReliabilityBin>,
    /// The same at temperature 1.
    pub(crate) reliability_before: Vec<ReliabilityBin>,
    /// Exact match of the most probable answers, at ten coverages.
    pub(crate) coverage: Vec<Coverage>,
}

/// Answers whose probabilities lie in one bin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ReliabilityBin {
    /// Their mean probability.
    pub(crate) confidence: f64,
    /// The share that matches exactly.
    pub(crate) accuracy: f64,
    /// Their number.
    pub(crate) questions: usize,
}

/// The answers above some probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Coverage {
    /// Their share of all answers.
    pub(crate) coverage: f64,
    /// The share of them that matches exactly.
    pub(crate) precision: f64,
    /// The least of their probabilities.
    pub(crate) probability: f64,
}

/// Fits a threshold and a temperature; `None` if there are too few questions. If every question has an answer, `threshold` is
/// kept.
pub(crate) fn calibrate(
    dataset: &Dataset,
    predictions: &[Prediction],
    threshold: f32,
    metric: Metric,
) -> Option<Calibration> {
    let questions = dataset.examples.iter().zip(predictions);
    let known = questions.filter(|(example, _)| example.gold != Gold::Unknown);
    let (fit, rest): (Vec<_>, Vec<_>) =
        known.partition(|(example, _)| is_for_fitting(&example.context));
    if fit.len() < MIN_QUESTIONS || rest.len() < MIN_QUESTIONS {
        return None;
    }
    let threshold = if dataset.has_unanswerable() {
        let odds = fit.iter().map(|(example, prediction)| Odds {
            null_odds: prediction.null_odds,
            f1: metric.max_f1(prediction.best_text(), &gold(example)),
            f1_unanswered: metric.max_f1("", &gold(example)),
        });
        best_threshold(odds.collect()).unwrap_or(threshold)
    } else {
        threshold
    };
    let score = |part: &[(&Example, &Prediction)]| -> Vec<ScoredAnswer> {
        let scored = part.iter().filter_map(|(example, prediction)| {
            let answer = prediction.answer_at(threshold)?;
            let margins = prediction.margins(threshold);
            let is_right = metric.max_exact_match(&answer.text, &gold(example));
            let is_finite = margins.is_finite();
            is_finite.then_some(ScoredAnswer { margins, is_right })
        });
        scored.collect()
    };
    let (fit, rest) = (score(&fit), score(&rest));
    if fit.is_empty() || rest.is_empty() {
        return None;
    }
    let temperature = best_temperature(&fit);
    let after = outcomes(&rest, temperature);
    let (reliability_before, reliability) = (bins(&outcomes(&rest, 1.0)), bins(&after));
    Some(Calibration {
        temperature: temperature as f32,
        null_score_diff_threshold: threshold,
        fitted_on: fit.len(),
        measured_on: rest.len(),
        ece_before: expected_calibration_error(&reliability_before),
        ece: expected_calibration_error(&reliability),
        reliability,
        reliability_before,
        coverage: coverage(&after),
    })
}

fn gold(example: &Example) -> Vec<&str> {
    let answers = example.answers().iter();
    answers.map(|answer| answer.text.as_str()).collect()
}

/// Probability at a temperature, and exact match, of each answer; the most probable first.
fn outcomes(answers: &[ScoredAnswer], temperature: f64) -> Vec<(f64, bool)> {
    let outcomes = answers.iter();
    let mut outcomes: Vec<_> = outcomes
        .map(|answer| (answer.margins.probability(temperature), answer.is_right))
        .collect();
    outcomes.sort_by(|a, b| b.0.total_cmp(&a.0));
    outcomes
}

/// Whether questions about this context are in the half to fit on. The answer is the same on every machine.
fn is_for_fitting(context: &str) -> bool {
    Sha256::digest(context)[0].is_multiple_of(2)
}

struct Odds {
    null_odds: f32,
    f1: f64,
    f1_unanswered: f64,
}

/// The threshold with the highest F1: halfway between the odds of two questions, so that neither lies on it.
fn best_threshold(mut questions: Vec<Odds>) -> Option<f32> {
    questions.retain(|question| question.null_odds.is_finite());
    questions.sort_by(|a, b| a.null_odds.total_cmp(&b.null_odds));
    let mut f1: f64 = questions
        .iter()
        .map(|question| question.f1_unanswered)
        .sum();
    let mut best = (f1, questions.first()?.null_odds - 1.0);
    for (index, question) in questions.iter().enumerate() {
        f1 += question.f1 - question.f1_unanswered;
        let next = questions.get(index + 1).map(|next| next.null_odds);
        if next == Some(question.null_odds) {
            continue;
        }
        if f1 > best.0 {
            let next = next.unwrap_or(question.null_odds + 2.0);
            best = (f1, question.null_odds + (next - question.null_odds) / 2.0);
        }
    }
    Some(best.1)
}

/// An answer at the threshold, and whether it matches exactly.
struct ScoredAnswer {
    margins: Margins,
    is_right: bool,
}

/// Golden-section search over the temperature's logarithm.
fn best_temperature(answers: &[ScoredAnswer]) -> f64 {
    let loss = |log: f64| -> f64 {
        let terms = answers.iter().map(|answer| {
            let probability = answer
                .margins
                .probability(log.exp())
                .clamp(1e-9, 1.0 - 1e-9);
            let of_outcome = if answer.is_right {
                probability
            } else {
                1.0 - probability
            };
            -of_outcome.ln()
        });
        terms.sum()
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.02f64.ln(), 50f64.ln());
    for _ in 0..STEPS {
        let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(a) < loss(b) {
            high = b;
        } else {
            low = a;
        }
    }
    f64::midpoint(low, high).exp()
}

fn bins(answers: &[(f64, bool)]) -> Vec<ReliabilityBin> {
    let mut sums = [(0.0, 0usize, 0usize); BINS];
    for &(probability, matches) in answers {
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        sums[bin].0 += probability;
        sums[bin].1 += usize::from(matches);
        sums[bin].2 += 1;
    }
    let full = sums.iter().filter(|(.., questions)| *questions > 0);
    full.map(|&(confidence, matches, questions)| ReliabilityBin {
        confidence: confidence / questions as f64,
        accuracy: matches as f64 / questions as f64,
        questions,
    })
    .collect()
}

fn expected_calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let questions: usize = bins.iter().map(|bin| bin.questions).sum();
    let errors = bins
        .iter()
        .map(|bin| (bin.confidence - bin.accuracy).abs() * bin.questions as f64);
    errors.sum::<f64>() / questions.max(1) as f64
}

/// `answers` are sorted, the most probable first.
fn coverage(answers: &[(f64, bool)]) -> Vec<Coverage> {
    let points = (1..=10).map(|tenth| (answers.len() * tenth / 10).max(1));
    points
        .map(|count| {
            let part = &answers[..count];
            let matches = part.iter().filter(|(_, matches)| *matches).count();
            Coverage {
                coverage: count as f64 / answers.len() as f64,
                precision: matches as f64 / count as f64,
                probability: part[count - 1].0,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers that match as often as their probability at `temperature` says.
    fn answers(temperature: f64) -> Vec<ScoredAnswer> {
        let mut answers = Vec::new();
        for step in 1..40 {
            let probability = f64::from(step) / 40.0;
            let other = temperature * ((1.0 - probability) / probability).ln();
            let matching = (probability * 200.0).round() as usize;
            answers.extend((0..200).map(|index| ScoredAnswer {
                margins: Margins {
                    same_text: vec![0.0],
                    other_text: vec![other],
                },
                is_right: index < matching,
            }));
        }
        answers
    }

    #[test]
    fn the_temperature_is_found() {
        for temperature in [0.25, 1.0, 4.0] {
            let found = best_temperature(&answers(temperature));
            assert!(
                (found / temperature - 1.0).abs() < 0.02,
                "{found} for {temperature}"
            );
        }
    }

    #[test]
    fn the_error_is_small_at_the_right_temperature_alone() {
        let error = |temperature: f64| {
            expected_calibration_error(&bins(&outcomes(&answers(2.0), temperature)))
        };
        assert!(error(2.0) < 0.005, "{}", error(2.0));
        assert!(error(0.5) > 0.1, "{}", error(0.5));
    }

    #[test]
    fn the_threshold_lies_between_the_odds() {
        let odds = |null_odds, f1| Odds {
            null_odds,
            f1,
            f1_unanswered: 1.0 - f1,
        };
        let found = best_threshold(vec![odds(3.0, 0.0), odds(-1.0, 1.0), odds(1.0, 1.0)]);
        assert_eq!(found, Some(2.0));
        assert_eq!(best_threshold(vec![odds(1.0, 0.0)]), Some(0.0));
        assert_eq!(best_threshold(Vec::new()), None);
    }

    #[test]
    fn precision_is_that_of_the_most_probable_answers() {
        let points = coverage(&[(0.9, true), (0.8, true), (0.3, false), (0.1, false)]);
        assert_eq!((points[4].coverage, points[4].precision), (0.5, 1.0));
        assert_eq!((points[9].coverage, points[9].precision), (1.0, 0.5));
    }
}
