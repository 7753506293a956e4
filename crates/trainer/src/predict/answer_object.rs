//! The answer to one question as JSON.

use serde_json::{Value, json};
use squad_data::{Prediction, SpanAnswer};

/// The answer to a question as one JSON object, and the best `top_k` with it, as [`Prediction::answers`].
pub fn answer_object(prediction: &Prediction, top_k: usize) -> Value {
    let answers = prediction.answers(top_k);
    let chosen = answers.first();
    let entries: Vec<_> = answers.iter().map(entry).collect();
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
