//! Questions and texts in, answers out.

use bert_qa::{Pretrained, QuestionAnswerer};
use squad_data::{AnswerOptions, Example, WindowOptions, make_features};

use crate::common::{MAX_LENGTH, cpu, tiny};

const QUESTION: &str = "who ate?";
/// Accents and characters of several bytes: the tiny tokenizer knows single letters, anything else is `[UNK]`.
const CONTEXT: &str = "Zoé 🙂 ate the crème.";

fn windows() -> WindowOptions {
    WindowOptions {
        max_seq_length: MAX_LENGTH,
        doc_stride: 8,
        ..WindowOptions::default()
    }
}

fn answerer(windows: WindowOptions) -> QuestionAnswerer {
    let Pretrained {
        model, companions, ..
    } = tiny();
    QuestionAnswerer::new(
        model,
        companions.tokenizer,
        windows,
        AnswerOptions::default(),
        cpu(),
    )
}

#[track_caller]
fn assert_is_refused(windows: WindowOptions, question: &str, context: &str, part: &str) {
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
fn answers_are_slices_of_the_text() {
    let context = CONTEXT.repeat(10);
    let example = Example::new("q", QUESTION, context.as_str());
    let tokenizer = tiny().companions.tokenizer;
    let features = make_features(std::slice::from_ref(&example), &tokenizer, &windows()).unwrap();
    assert!(features.len() > 3, "the text must need many windows");

    let prediction = answerer(windows()).answer(QUESTION, &context).unwrap();
    assert_eq!(
        Some(&prediction.text),
        prediction.best_span.as_ref().map(|span| &span.text)
    );
    assert_eq!(
        prediction.n_best.len(),
        AnswerOptions::default().n_best_size
    );
    for span in &prediction.n_best {
        assert!(!span.text.is_empty());
        assert_eq!(example.slice(span.chars.clone()), Some(span.text.as_str()));
        assert_eq!(span.score, span.start_logit + span.end_logit);
    }
    // The model is random, so good spans are found all over the text, not in its first window only.
    let first = features[0].offsets.last().unwrap().1 as usize;
    assert!(
        prediction
            .n_best
            .iter()
            .any(|span| span.chars.start > first)
    );
}

#[test]
fn many_questions_are_answered_in_their_order() {
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
    }
    assert!(answerer.answer_all(&[]).unwrap().is_empty());
}

#[test]
fn what_cannot_be_answered_is_refused() {
    for empty in ["", " \n\t"] {
        assert_is_refused(windows(), empty, CONTEXT, "question");
        assert_is_refused(windows(), QUESTION, empty, "context");
    }
    let long = "who ate ".repeat(10);
    assert_is_refused(windows(), &long, CONTEXT, "60 tokens");
}

#[test]
fn windows_longer_than_the_models_positions_are_refused() {
    let longer = WindowOptions {
        max_seq_length: MAX_LENGTH + 1,
        ..windows()
    };
    // Also where the text at hand would fit.
    for context in [CONTEXT, &CONTEXT.repeat(10)] {
        assert_is_refused(longer.clone(), QUESTION, context, "max_seq_length = 41");
    }
}
