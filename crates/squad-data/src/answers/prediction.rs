//! The answer to a question, with its probability and the other spans that were found.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::Serialize;

use crate::answers::options::AnswerOptions;

/// A span of the context with its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanAnswer {
    /// The text, a slice of the context; empty for "no answer".
    pub text: String,
    /// Its range in the context in Unicode code points; empty for "no answer".
    pub chars: Range<usize>,
    /// `start_logit + end_logit`.
    pub score: f32,
    /// Start logit of its first token.
    pub start_logit: f32,
    /// End logit of its last token.
    pub end_logit: f32,
    /// Softmax over the question's `n_best` of `score` divided by [`AnswerOptions::temperature`]; the score of "no answer"
    /// is lowered by [`AnswerOptions::null_score_diff_threshold`] before, so that the most probable entry is the answer.
    pub probability: f32,
}

impl SpanAnswer {
    /// Whether this entry is "no answer".
    pub fn is_no_answer(&self) -> bool {
        self.chars.is_empty()
    }

    /// What the official metric compares; `None` for "no answer".
    fn normalized(&self) -> Option<String> {
        (!self.is_no_answer()).then(|| qa_metrics::normalize_answer(&self.text))
    }

    /// The score; that of "no answer" is lowered by the threshold.
    fn lowered_score(&self, threshold: f32) -> f64 {
        lowered(self.score, &self.chars, threshold)
    }
}

/// A span's score; that of "no answer", whose range is empty, is lowered by the threshold.
pub(super) fn lowered(score: f32, chars: &Range<usize>, threshold: f32) -> f64 {
    let lower = if chars.is_empty() { threshold } else { 0.0 };
    f64::from(score) - f64::from(lower)
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The question's id.
    pub id: String,
    /// The answer; empty for "no answer", and if there is no valid span.
    pub text: String,
    /// Probability of the answer: as [`SpanAnswer::probability`], but over the distinct spans of `n_best`, and of all of
    /// them whose texts are equal to the answer's once normalized as by the official metric, so that "the mill" and "mill"
    /// are one. 0 if there is neither a span nor "no answer". With a fitted temperature it is the share of such answers
    /// that are right.
    pub probability: f32,
    /// The best span, even if `text` is "no answer"; `None` if there is no valid span.
    pub best_span: Option<SpanAnswer>,
    /// At most `n_best_size` spans, best first.
    ///
    /// With `allow_no_answer` the list includes "no answer", as an additional last entry if it is not among the best.
    /// Overlapping features may give the same span twice, as in Hugging Face's script; with
    /// [`crate::StrideKind::Step`] they do not.
    pub n_best: Vec<SpanAnswer>,
    /// Score of "no answer": the minimum over features of `start[0] + end[0]`; NaN if all of these are NaN.
    pub null_score: f32,
    /// `null_score` minus the best span's score, Hugging Face's `score_diff`; `null_score` if there is no span.
    pub null_odds: f32,
}

impl Prediction {
    /// The best span's text, even if `text` is "no answer"; empty if there is no valid span.
    pub fn best_text(&self) -> &str {
        self.best_span.as_ref().map_or("", |span| &span.text)
    }

    /// The entry of `n_best` that is the answer at a threshold of the null odds. Without "no answer" in the list, the best
    /// span.
    pub fn answer_at(&self, threshold: f32) -> Option<&SpanAnswer> {
        let best = self.best_span.as_ref();
        self.no_answer()
            .filter(|_| best.is_none() || self.null_odds > threshold)
            .or(best)
    }

    /// The entry of `n_best` for "no answer", if it is in the list.
    pub fn no_answer(&self) -> Option<&SpanAnswer> {
        self.n_best.iter().find(|span| span.is_no_answer())
    }

    /// The entry of `n_best` that is `text`.
    pub fn answer(&self) -> Option<&SpanAnswer> {
        if self.text.is_empty() {
            self.no_answer()
        } else {
            self.best_span.as_ref()
        }
    }

    pub(super) fn set_probability(&mut self, options: &AnswerOptions) {
        let margins = self.margins(options.null_score_diff_threshold);
        self.probability = margins.probability(options.temperature.into()) as f32;
    }

    /// The scores of the distinct spans of `n_best` beside that of the answer at `threshold`, by which the score of "no
    /// answer" is lowered.
    pub fn margins(&self, threshold: f32) -> Margins {
        let mut margins = Margins::default();
        let Some(answer) = self.answer_at(threshold) else {
            return margins;
        };
        let text = answer.normalized();
        let mut seen = HashSet::from([&answer.chars]);
        margins.same_text.push(0.0);
        for span in self.n_best.iter().filter(|span| seen.insert(&span.chars)) {
            let margin = span.lowered_score(threshold) - answer.lowered_score(threshold);
            if span.normalized() == text {
                margins.same_text.push(margin);
            } else {
                margins.other_text.push(margin);
            }
        }
        margins
    }

    /// The answer, then the others, best first, at most `top_k`: spans whose texts are equal once normalized are one, with
    /// the place of the best and the sum of their probabilities. The first one's is [`Prediction::probability`].
    pub fn answers(&self, top_k: usize) -> Vec<SpanAnswer> {
        let mut places = HashMap::new();
        let mut seen = HashSet::new();
        let mut answers: Vec<SpanAnswer> = Vec::new();
        let spans = self.answer().into_iter().chain(&self.n_best);
        for span in spans.filter(|span| seen.insert(&span.chars)) {
            match places.entry(span.normalized()) {
                Entry::Occupied(place) => {
                    let answer: &mut SpanAnswer = &mut answers[*place.get()];
                    answer.probability += span.probability;
                }
                Entry::Vacant(place) => {
                    place.insert(answers.len());
                    answers.push(span.clone());
                }
            }
        }
        if let Some(answer) = answers.first_mut() {
            answer.probability = self.probability;
        }
        answers.truncate(top_k);
        answers
    }
}

/// Scores less that of the answer, one for each distinct span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Margins {
    /// Of spans that the official metric takes for the answer: their texts are equal once normalized. The answer's own is 0.
    pub same_text: Vec<f64>,
    /// Of all others.
    pub other_text: Vec<f64>,
}

impl Margins {
    /// The answer's probability: the share of `same_text` in the softmax of all margins divided by a temperature; 0 without an
    /// answer.
    pub fn probability(&self, temperature: f64) -> f64 {
        let sum = |margins: &[f64]| -> f64 {
            let weights = margins.iter().map(|margin| (margin / temperature).exp());
            weights.sum()
        };
        let (same, other) = (sum(&self.same_text), sum(&self.other_text));
        if same > 0.0 {
            same / (same + other)
        } else {
            0.0
        }
    }

    /// Whether every margin is a finite number.
    pub fn is_finite(&self) -> bool {
        let all = self.same_text.iter().chain(&self.other_text);
        all.copied().all(f64::is_finite)
    }
}
