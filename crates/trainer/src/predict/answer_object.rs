//! The answer to one question as JSON.

use std::collections::HashSet;

use serde_json::{Value, json};
use squad_data::{Prediction, SpanAnswer};

/// The answer to a question as one JSON object: the chosen answer, and the best `top_k` with it, best first.
pub fn answer_object(prediction: &Prediction, top_k: usize) -> Value {
    let answers = best_answers(prediction, top_k);
    let chosen = answers.first();
    let entries: Vec<_> = answers.iter().map(|span| entry(span)).collect();
    json!({
        "answer": prediction.text,
        "score": chosen.map(|span| span.score),
        "probability": chosen.map(|span| span.probability),
        "offsets": chosen.map(|span| [span.chars.start, span.chars.end]),
        "null_score": prediction.null_score,
        "null_odds": prediction.null_odds,
        "answers": entries,
    })
}

fn entry(span: &SpanAnswer) -> Value {
    json!({
        "text": span.text,
        "score": span.score,
        "probability": span.probability,
        "start_logit": span.start_logit,
        "end_logit": span.end_logit,
        "offsets": [span.chars.start, span.chars.end],
    })
}

/// The chosen answer, then the others, best first. A span of two features is one answer: the better one.
pub fn best_answers(prediction: &Prediction, top_k: usize) -> Vec<&SpanAnswer> {
    let chosen = if prediction.text.is_empty() {
        prediction.n_best.iter().find(|span| span.chars.is_empty())
    } else {
        prediction.best_span.as_ref()
    };
    let mut seen = HashSet::new();
    let all = chosen.into_iter().chain(&prediction.n_best);
    all.filter(|span| seen.insert(span.chars.clone()))
        .take(top_k)
        .collect()
}
