//! `QuestionAnswerer`: questions and texts in, answers out.

use std::collections::HashSet;

use bert_qa::{
    AnswerOptions, BertForQuestionAnswering, Error, Example, FeatureOptions, LongQuestions,
    PipelineOptions, Precision, Prediction, Pretrained, QaConfig, QuestionAnswerer, WeightCache,
    autocast, predict_logits,
};
use squad_data::make_features;

use crate::common::{MAX_LENGTH, copy_of, cpu, edit, fixture, tiny};

const QUESTION: &str = "who ate?";
/// With characters of several bytes. The tiny tokenizer knows single letters; anything else is `[UNK]`.
const CONTEXT: &str = "Zoé 🙂 ate the crème.";

fn windows() -> FeatureOptions {
    FeatureOptions {
        max_seq_length: MAX_LENGTH,
        doc_stride: 8,
        ..FeatureOptions::default()
    }
}

fn answerer(windows: FeatureOptions) -> QuestionAnswerer {
    let Pretrained { model, assets, .. } = tiny();
    QuestionAnswerer::new(
        model,
        assets.tokenizer,
        windows,
        AnswerOptions::default(),
        cpu(),
    )
}

/// The pipeline hides the first token if it is not the tokenizer's `cls_token`: the only token of a context is then certain.
#[test]
fn the_pipeline_counts_no_answer_if_there_is_a_cls_token() {
    let folder = copy_of("tiny-bert");
    let scores = || {
        let model = folder.path().to_str().unwrap();
        let answerer = QuestionAnswerer::from_pretrained(model, &cpu()).unwrap();
        let options = PipelineOptions {
            top_k: 2,
            handle_impossible_answer: true,
            ..PipelineOptions::default()
        };
        let answers = answerer.pipeline(&[Example::new("q", QUESTION, "a")], &options);
        let mut answers = answers.unwrap().swap_remove(0);
        answers.sort_by_key(|answer| answer.answer.is_empty());
        answers
            .iter()
            .map(|answer| answer.score)
            .collect::<Vec<_>>()
    };
    let with = scores();
    assert!(with[0] < 0.9 && with[1] > 0.0, "{with:?}");
    edit(
        &folder.path().join("tokenizer_config.json"),
        "\"cls_token\": \"[CLS]\",",
        "",
    );
    assert_eq!(scores(), [1.0, 0.0]);
}

#[track_caller]
fn assert_is_refused(windows: FeatureOptions, question: &str, context: &str, part: &str) {
    let message = answerer(windows)
        .answer(question, context)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(part) && !message.contains('\n'),
        "{message}"
    );
}

#[test]
fn answers_are_slices_of_the_context() {
    let context = CONTEXT.repeat(10);
    let example = Example::new("q", QUESTION, context.as_str());
    let tokenizer = tiny().assets.tokenizer;
    let features = make_features(std::slice::from_ref(&example), &tokenizer, &windows()).unwrap();
    assert!(features.len() > 3, "the text must need many windows");

    let prediction = answerer(windows()).answer(QUESTION, &context).unwrap();
    assert_eq!(
        Some(&prediction.text),
        prediction.best_span.as_ref().map(|span| &span.text)
    );
    // Neighbouring features share tokens, so some of the 20 spans are found twice and listed once.
    assert!((5..=20).contains(&prediction.n_best.len()));
    let mut seen = HashSet::new();
    for span in &prediction.n_best {
        assert!(!span.text.is_empty() && seen.insert(&span.chars));
        assert_eq!(example.slice(span.chars.clone()), Some(span.text.as_str()));
        assert_eq!(span.score, span.start_logit + span.end_logit);
    }
    // The model is random, so good spans are not only in the first feature.
    let first = features[0].offsets.last().unwrap().1 as usize;
    assert!(
        prediction
            .n_best
            .iter()
            .any(|span| span.chars.start > first)
    );
}

#[test]
fn answer_all_keeps_the_order_and_equals_single_answers() {
    let answerer = answerer(windows());
    let contexts = [CONTEXT.repeat(9), "a cat ate it.".into(), CONTEXT.into()];
    let examples: Vec<Example> = (0..)
        .zip(&contexts)
        .map(|(i, context)| Example::new(format!("q{i}"), QUESTION, context.as_str()))
        .collect();
    let all = answerer.answer_all(&examples).unwrap();
    for (example, prediction) in examples.iter().zip(&all) {
        let alone = answerer.answer(QUESTION, &example.context).unwrap();
        assert_eq!(
            (&prediction.id, &prediction.text),
            (&example.id, &alone.text)
        );
        let [together, alone] = [prediction, &alone].map(|p| p.best_span.clone().unwrap());
        assert_eq!(together.chars, alone.chars);
        // A matmul may sum up to 64 products in another order: a few units in the last place of scores near 1.
        assert!((together.score - alone.score).abs() < 1e-5);
    }
    let pairs: Vec<_> = contexts.iter().map(|text| (QUESTION, &**text)).collect();
    let batch = answerer.answer_batch(&pairs).unwrap();
    assert_eq!(batch[2].id, "2");
    let texts = |predictions: &[Prediction]| -> Vec<_> {
        predictions.iter().map(|p| p.n_best.clone()).collect()
    };
    assert_eq!(texts(&batch), texts(&all));
    assert!(answerer.answer_all(&[]).unwrap().is_empty());
}

#[test]
fn with_top_k_limits_n_best() {
    let context = CONTEXT.repeat(10);
    let top = |answerer: &QuestionAnswerer| answerer.answer(QUESTION, &context).unwrap().n_best;
    let all = top(&answerer(windows()));
    let three = top(&answerer(windows()).with_top_k(3));
    assert_eq!(three, all[..3]);
    assert!(top(&answerer(windows()).with_top_k(100)).len() > 20);
    let sum: f32 = all.iter().map(|span| span.probability).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let error = answerer(windows()).with_top_k(0).answer(QUESTION, CONTEXT);
    assert!(matches!(error, Err(Error::Data(_))), "{error:?}");
}

#[test]
fn with_no_answer_applies_the_threshold() {
    let answer = |threshold| {
        let answerer = answerer(windows()).with_no_answer(threshold);
        answerer.answer(QUESTION, CONTEXT).unwrap()
    };
    let (never, always) = (answer(f32::INFINITY), answer(f32::NEG_INFINITY));
    assert_eq!(
        (always.text.as_str(), always.best_span.is_some()),
        ("", true)
    );
    assert!(!never.text.is_empty());
    assert_eq!(never.null_odds, always.null_odds);
    let odds = never.null_odds;
    assert!(!answer(odds).text.is_empty() && answer(odds - 0.01).text.is_empty());
    // "No answer" is in the list if it is allowed.
    assert!(never.n_best.iter().any(|span| span.text.is_empty()));
    let plain = answerer(windows()).answer(QUESTION, CONTEXT).unwrap();
    assert!(plain.n_best.iter().all(|span| !span.text.is_empty()));
}

#[test]
fn threads_share_an_answerer() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let answerer = shared(answerer(windows()));
    let contexts: Vec<_> = (1..5).map(|times| CONTEXT.repeat(times)).collect();
    let answer = |context: &String| answerer.answer(QUESTION, context).unwrap();
    let alone: Vec<_> = contexts.iter().map(answer).collect();
    std::thread::scope(|scope| {
        let ask = || contexts.iter().map(answer).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn from_pretrained_loads_a_folder_with_default_options() {
    let folder = fixture("tiny-bert");
    let load = |device| QuestionAnswerer::from_pretrained(folder.to_str().unwrap(), &device);
    let context = CONTEXT.repeat(10);
    let prediction = load(cpu()).unwrap().answer(QUESTION, &context).unwrap();
    // The tiny model has 40 positions: features of that length, of which neighbours share half.
    let by_hand = FeatureOptions {
        doc_stride: MAX_LENGTH / 2,
        ..windows()
    };
    let expected = answerer(by_hand).answer(QUESTION, &context).unwrap();
    assert_eq!(prediction, expected);
    // A device with autodiff gives the same: answering does not use it.
    let prediction = load(cpu().autodiff()).unwrap().answer(QUESTION, &context);
    assert_eq!(prediction.unwrap(), expected);
}

#[test]
fn from_pretrained_refuses_a_model_without_a_head() {
    let refused = |source: &str| QuestionAnswerer::from_pretrained(source, &cpu()).unwrap_err();
    let encoder = fixture("tiny-bert-encoder");
    let error = refused(encoder.to_str().unwrap());
    let message = error.to_string();
    assert!(matches!(error, Error::Weights { .. }), "{message}");
    assert!(
        message.contains("qa_outputs") && message.contains("not trained"),
        "{message}"
    );
    assert!(matches!(refused("no/such/folder"), Error::Source { .. }));
}

#[test]
fn empty_or_too_long_questions_are_errors() {
    for empty in ["", " \n\t"] {
        assert_is_refused(windows(), empty, CONTEXT, "question");
        assert_is_refused(windows(), QUESTION, empty, "context");
    }
    // The error has the question's id.
    let examples =
        ["a", " "].map(|context| Example::new(format!("on {context:?}"), QUESTION, context));
    let error = answerer(windows()).answer_all(&examples).unwrap_err();
    assert!(
        matches!(&error, Error::Question { id, .. } if id == "on \" \""),
        "{error}"
    );
    let long = "who ate ".repeat(10);
    assert_is_refused(windows(), &long, CONTEXT, "60 tokens");
    let skipping = FeatureOptions {
        long_questions: LongQuestions::Skip,
        ..windows()
    };
    assert_is_refused(skipping, &long, CONTEXT, "60 tokens");
}

#[test]
fn max_seq_length_above_the_models_positions_is_an_error() {
    let longer = FeatureOptions {
        max_seq_length: MAX_LENGTH + 1,
        ..windows()
    };
    // Even if the text would fit.
    for context in [CONTEXT, &CONTEXT.repeat(10)] {
        assert_is_refused(longer.clone(), QUESTION, context, "max_seq_length = 41");
    }
}

#[test]
fn the_token_budget_changes_no_answer() {
    let contexts: Vec<_> = (1..9).map(|times| CONTEXT.repeat(times)).collect();
    let pairs: Vec<_> = contexts.iter().map(|text| (QUESTION, &**text)).collect();
    let plain = answerer(windows()).answer_batch(&pairs).unwrap();
    for budget in [0, 1, 100, usize::MAX] {
        let answerer = answerer(windows()).with_max_tokens_per_batch(budget);
        for (plain, other) in plain.iter().zip(answerer.answer_batch(&pairs).unwrap()) {
            assert_eq!(plain.text, other.text);
            let [plain, other] = [plain, &other].map(|p| p.best_span.clone().unwrap());
            // As in `answer_all_keeps_the_order_and_equals_single_answers`.
            assert!((plain.score - other.score).abs() < 1e-5);
        }
    }
}

#[test]
fn a_folder_says_how_its_model_answers() {
    let Pretrained {
        model, mut assets, ..
    } = tiny();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("model");
    assets.qa_config = Some(QaConfig {
        max_seq_length: MAX_LENGTH,
        doc_stride: 8,
        n_best_size: 3,
        allow_no_answer: true,
        null_score_diff_threshold: -100.0,
        temperature: 2.5,
        ..QaConfig::new(MAX_LENGTH)
    });
    assets.save(&model, &folder).unwrap();
    let loaded = Pretrained::load(&folder, 0, &cpu()).unwrap();
    assert_eq!(loaded.assets.qa_config, assets.qa_config);
    let source = folder.to_str().unwrap();
    let context = CONTEXT.repeat(6);
    let of_folder = QuestionAnswerer::from_pretrained(source, &cpu()).unwrap();
    let found = of_folder.answer(QUESTION, &context).unwrap();
    // Its threshold lies below any odds.
    assert_eq!(found.text, "");
    let answers = assets.qa_config.clone().unwrap().answer_options();
    let by_hand = answerer(windows()).with_answer_options(answers);
    assert_eq!(by_hand.answer(QUESTION, &context).unwrap(), found);
    // The control.
    assert_ne!(
        answerer(windows()).answer(QUESTION, &context).unwrap(),
        found
    );

    std::fs::write(folder.join("qa_config.json"), "{\"temperature\": -1}").unwrap();
    let error = QuestionAnswerer::from_pretrained(source, &cpu())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("qa_config.json") && error.contains("temperature"),
        "{error}"
    );
}

/// A concatenated weight is another tensor in each pass: cached, it would fill the memory.
#[test]
fn cached_weights_do_not_grow_with_the_passes() {
    let Pretrained { model, assets, .. } = tiny();
    let context = CONTEXT.repeat(10);
    let example = Example::new("q", QUESTION, context.as_str());
    let features = make_features(&[example], &assets.tokenizer, &windows()).unwrap();
    let tokens: usize = features.iter().map(|feature| feature.len()).sum();
    assert!(tokens > 12, "more tokens than the width of a hidden state");
    let logits =
        |model: &BertForQuestionAnswering| predict_logits(model, &features, &cpu(), &mut |_| {});
    let fused = model.clone().fuse_qkv_projections();
    assert_eq!(logits(&fused), logits(&model));
    for precision in [Precision::Bf16, Precision::Int8] {
        if !precision.is_available() {
            continue;
        }
        let count = |model: &BertForQuestionAnswering, passes: usize| {
            let cache = WeightCache::default();
            for _ in 0..passes {
                autocast(precision, || cache.scope(|| logits(model)));
            }
            format!("{cache:?}")
        };
        for model in [&model, &fused] {
            assert_eq!(count(model, 3), count(model, 1), "{precision:?}");
        }
        assert_ne!(count(&fused, 1), "WeightCache(0 weights)", "{precision:?}");
    }
}
