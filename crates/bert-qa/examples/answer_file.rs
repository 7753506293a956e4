//! Answers the questions of a SQuAD file and prints questions per second:
//!
//! `answer_file MODEL FILE [batch=1] [rounds=1] [precision=f32|bf16|int8] [max_seq_length=384] [doc_stride=128] [out=FILE]`
//!
//! Writes a JSON object to `out`: question id to `text` (empty for "no answer"), `null_score`, and the best `spans` with
//! `start` and `end` (characters of the context) and their two logits. The scripts in `scripts/reference/` read it.
#![allow(clippy::print_stdout)] // An example.

use std::error::Error;
use std::time::Instant;

use bert_qa::{Precision, Prediction, QuestionAnswerer};
use burn::tensor::Device;
use serde_json::{Map, Value, json};
use squad_data::{Dataset, FeatureOptions};

const USAGE: &str = "usage: answer_file MODEL FILE [batch=1] [rounds=1] [precision=f32|bf16|int8] \
                     [max_seq_length=384] [doc_stride=128] [out=FILE]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, file, options @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let (mut batch, mut rounds, mut precision, mut out) = (1, 1, Precision::F32, None);
    let mut features: Option<FeatureOptions> = None;
    for option in options {
        match option.split_once('=') {
            Some(("batch", value)) => batch = value.parse::<usize>()?.max(1),
            Some(("rounds", value)) => rounds = value.parse()?,
            Some(("precision", "f32")) => precision = Precision::F32,
            Some(("precision", "bf16")) => precision = Precision::Bf16,
            Some(("precision", "int8")) => precision = Precision::Int8,
            Some(("max_seq_length", value)) => {
                features.get_or_insert_default().max_seq_length = value.parse()?;
            }
            Some(("doc_stride", value)) => {
                features.get_or_insert_default().doc_stride = value.parse()?;
            }
            Some(("out", value)) => out = Some(value),
            _ => return Err(format!("no option {option}").into()),
        }
    }
    let examples = Dataset::read(file.as_ref())?.examples;
    let mut answerer = QuestionAnswerer::from_pretrained(model, &Device::default())?
        .with_precision(precision)
        .with_no_answer(0.0);
    if let Some(features) = features {
        answerer = answerer.with_feature_options(features);
    }
    let mut predictions = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        predictions.clear();
        for examples in examples.chunks(batch) {
            predictions.extend(answerer.answer_all(examples)?);
        }
        let rate = examples.len() as f64 / started.elapsed().as_secs_f64();
        println!("{rate:.2} questions/s");
    }
    if let Some(out) = out {
        let answers: Map<String, Value> = predictions.iter().map(entry).collect();
        std::fs::write(out, Value::Object(answers).to_string())?;
    }
    Ok(())
}

fn entry(prediction: &Prediction) -> (String, Value) {
    let spans = prediction
        .n_best
        .iter()
        .filter(|span| !span.text.is_empty());
    let spans = spans.map(|span| {
        json!({
            "start": span.chars.start, "end": span.chars.end,
            "start_logit": span.start_logit, "end_logit": span.end_logit,
        })
    });
    let entry = json!({
        "text": prediction.text,
        "null_score": prediction.null_score,
        "spans": spans.collect::<Value>(),
    });
    (prediction.id.clone(), entry)
}
