//! Answers of transformers' question-answering pipeline, from `scripts/reference/make_pipeline_fixture.py`.

use serde_json::Value;
use squad_data::{
    Example, FeatureOptions, PipelineAnswer, PipelineOptions, SpanLogits, make_features,
    pipeline_answers,
};

use crate::common::{fixture, small_tokenizer};

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub(crate) fn options(settings: &Value) -> PipelineOptions {
    let default = PipelineOptions::default();
    let flag = |key: &str, default| settings[key].as_bool().unwrap_or(default);
    let number = |key: &str, default| settings.get(key).map_or(default, size);
    PipelineOptions {
        top_k: number("top_k", default.top_k),
        max_answer_len: number("max_answer_len", default.max_answer_len),
        handle_impossible_answer: flag(
            "handle_impossible_answer",
            default.handle_impossible_answer,
        ),
        align_to_words: flag("align_to_words", default.align_to_words),
    }
}

/// The first difference. The pipeline also lists spans of probability 0, which are none.
pub(crate) fn difference(ours: &[PipelineAnswer], theirs: &Value) -> Option<String> {
    let theirs = theirs.as_array().unwrap().iter();
    let theirs: Vec<&Value> = theirs.filter(|answer| answer["score"] != 0.0).collect();
    if ours.len() != theirs.len() {
        return Some(format!("{} answers, not {}", ours.len(), theirs.len()));
    }
    ours.iter().zip(&theirs).find_map(|(ours, theirs)| {
        let score = theirs["score"].as_f64().unwrap();
        let same = ours.answer == theirs["answer"]
            && ours.start == size(&theirs["start"])
            && ours.end == size(&theirs["end"])
            // Sums of `f32` in another order.
            && (f64::from(ours.score) - score).abs() <= 2e-6 * score.max(0.1);
        (!same).then(|| format!("{ours:?}, not {theirs}"))
    })
}

#[test]
fn answers_equal_those_of_transformers_pipeline() {
    let json = std::fs::read(fixture("pipeline.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let features = FeatureOptions {
        max_seq_length: size(&json["max_seq_len"]),
        doc_stride: size(&json["doc_stride"]),
        ..FeatureOptions::default()
    };
    let tokenizer = small_tokenizer();
    let (mut compared, mut noticed) = (0, 0);
    for case in json["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().unwrap();
        let example = [Example::new("q", text("question"), text("context"))];
        let features = make_features(&example, &tokenizer, &features).unwrap();
        let logits: Vec<[Vec<f32>; 2]> = serde_json::from_value(case["logits"].clone()).unwrap();
        let logits: Vec<SpanLogits<'_>> = logits
            .iter()
            .map(|[start, end]| SpanLogits { start, end })
            .collect();
        for (settings, theirs) in std::iter::zip(
            json["settings"].as_array().unwrap(),
            case["answers"].as_array().unwrap(),
        ) {
            let mut options = options(settings);
            let ours = |options: &PipelineOptions| {
                pipeline_answers(&example, &features, &logits, options)
                    .unwrap()
                    .swap_remove(0)
            };
            assert_eq!(difference(&ours(&options), theirs), None, "{settings}");
            compared += 1;
            options.align_to_words = !options.align_to_words;
            noticed += usize::from(difference(&ours(&options), theirs).is_some());
        }
    }
    assert_eq!(compared, 16);
    // The negative control: other settings give other answers.
    assert!(noticed >= 4, "{noticed}");
}
