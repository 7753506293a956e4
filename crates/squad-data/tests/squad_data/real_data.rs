//! SQuAD itself, where it is at hand: counts, windows, labels.

use std::time::Instant;

use squad_data::{
    AnswerOptions, Dataset, Example, Feature, FeatureOptions, QaTokenizer, SpanLogits,
    extract_answers, inspect, make_features,
};
use tokenizers::{Tokenizer, TruncationDirection};

use crate::common::shared;

/// File, questions with and without an answer, windows uncased and cased: the table in the shared data's README.
pub(crate) const COUNTS: [(&str, usize, usize, usize, usize); 5] = [
    ("dev-v1.1", 10_570, 0, 10_784, 10_822),
    ("dev-v2.0", 5_928, 5_945, 12_134, 12_199),
    ("train-v2.0-first10articles", 4_371, 348, 4_812, 4_826),
    ("train-v1.1-random-paragraphs", 3_412, 0, 3_430, 3_442),
    ("squadshifts-new_wiki-v1.0", 7_938, 0, 8_034, 8_062),
];

pub(crate) fn dataset(file: &str) -> Option<Dataset> {
    Some(Dataset::read(&shared(&format!("squad/{file}.json"))?).unwrap())
}

pub(crate) fn tokenizer(casing: &str) -> Option<QaTokenizer> {
    Some(
        QaTokenizer::from_file(&shared(&format!(
            "vocab/bert-base-{casing}-tokenizer.json"
        ))?)
        .unwrap(),
    )
}

#[test]
fn feature_counts_are_the_recorded_ones() {
    for (file, answerable, unanswerable, uncased, cased) in COUNTS {
        for (casing, count) in [("uncased", uncased), ("cased", cased)] {
            let (Some(dataset), Some(tokenizer)) = (dataset(file), tokenizer(casing)) else {
                return;
            };
            let started = Instant::now();
            let features =
                make_features(&dataset.examples, &tokenizer, &FeatureOptions::default()).unwrap();
            let seconds = started.elapsed().as_secs_f64();
            let stats = inspect(&dataset.examples, &features);
            assert_eq!(
                (stats.answerable, stats.unanswerable),
                (answerable, unanswerable),
                "{file}"
            );
            assert_eq!(stats.features, count, "{file} {casing}");
            assert!(
                (170.5..185.5).contains(&stats.mean_length),
                "{file} {casing}: {}",
                stats.mean_length
            );
            assert_eq!(dataset.has_unanswerable(), unanswerable > 0);
            eprintln!(
                "{file} {casing}: {count} windows in {seconds:.2} s, {} labelled, {} answers not given back",
                stats.labelled,
                stats.lost.len()
            );
        }
    }
}

/// Ids of a whole window and offsets of its context.
type LibraryWindow = (Vec<u32>, Vec<(usize, usize)>);

/// The windows that the `tokenizers` library cuts.
///
/// Question and context are encoded together, without truncation, and the context is cut by the library's own
/// `Encoding::truncate`. (Encoding with truncation switched on is no reference: the crate's version 0.23.2 stops
/// tokenising at `max_length`, so that later windows lack the context's end. Python's 0.23.3 does not.)
fn library_windows(tokenizer: &Tokenizer, example: &Example) -> Vec<LibraryWindow> {
    let question = example.stripped_question();
    let pair = tokenizer
        .encode_char_offsets((question, &*example.context), true)
        .unwrap();
    let mut context = tokenizer
        .encode_char_offsets(&*example.context, false)
        .unwrap();
    let (start, end) = (pair.len() - 1 - context.len(), pair.len() - 1);
    assert_eq!(pair.get_ids()[start..end], *context.get_ids());
    assert_eq!(pair.get_offsets()[start..end], *context.get_offsets());
    context.truncate(384 - start - 1, 128, TruncationDirection::Right);
    std::iter::once(&context)
        .chain(context.get_overflowing())
        .map(|window| {
            let ids = [
                &pair.get_ids()[..start],
                window.get_ids(),
                &pair.get_ids()[end..],
            ]
            .concat();
            (ids, window.get_offsets().to_vec())
        })
        .collect()
}

/// The label rule of Hugging Face's run_qa.py for one window, in the library's terms.
fn run_qa_label(example: &Example, feature: &Feature) -> (usize, usize) {
    let Some(answer) = example
        .answers
        .first()
        .map(squad_data::GoldAnswer::char_range)
    else {
        return (0, 0);
    };
    let (Some(first), Some(last)) = (feature.offsets.first(), feature.offsets.last()) else {
        return (0, 0);
    };
    if first.0 as usize > answer.start || (last.1 as usize) < answer.end {
        return (0, 0);
    }
    let start = feature
        .offsets
        .iter()
        .rposition(|o| o.0 as usize <= answer.start)
        .unwrap();
    let end = feature
        .offsets
        .iter()
        .position(|o| o.1 as usize >= answer.end)
        .unwrap();
    (feature.context.start + start, feature.context.start + end)
}

#[test]
fn windows_and_labels_equal_the_pair_encoding() {
    for (file, casing) in [
        ("dev-v2.0", "uncased"),
        ("train-v1.1-random-paragraphs", "cased"),
    ] {
        let (Some(dataset), Some(ours)) = (dataset(file), tokenizer(casing)) else {
            return;
        };
        let theirs = Tokenizer::from_file(ours.name()).unwrap();
        // Every fifth question: the library's way takes its time.
        let examples: Vec<Example> = dataset.examples.into_iter().step_by(5).collect();
        let features = make_features(&examples, &ours, &FeatureOptions::default()).unwrap();
        let mut theirs = examples
            .iter()
            .flat_map(|example| library_windows(&theirs, example));
        let mut other_labels = 0;
        for feature in &features {
            let (ids, offsets) = theirs.next().unwrap();
            assert_eq!(feature.input_ids, ids);
            assert!(
                feature
                    .offsets
                    .iter()
                    .map(|&(a, b)| (a as usize, b as usize))
                    .eq(offsets)
            );
            let label = (feature.start_position, feature.end_position);
            other_labels +=
                usize::from(label != run_qa_label(&examples[feature.example_index], feature));
        }
        assert!(theirs.next().is_none());
        eprintln!(
            "{file} {casing}: {other_labels} of {} labels differ from run_qa's",
            features.len()
        );
        // Answers that begin or end with a character without a token: see `make_features`.
        assert!(
            other_labels * 1000 < features.len(),
            "{other_labels} of {}",
            features.len()
        );
    }
}

#[test]
fn gold_logits_give_gold_answers() {
    let (Some(dataset), Some(tokenizer)) = (dataset("dev-v2.0"), tokenizer("uncased")) else {
        return;
    };
    let features =
        make_features(&dataset.examples, &tokenizer, &FeatureOptions::default()).unwrap();
    let one_hot = |len: usize, at: usize| -> Vec<f32> {
        // Far tokens get less, so that the search has something to sort.
        (0..len)
            .map(|position| {
                if position == at {
                    10.0
                } else {
                    -(position.abs_diff(at) as f32) / 64.0
                }
            })
            .collect()
    };
    let rows: Vec<(Vec<f32>, Vec<f32>)> = features
        .iter()
        .map(|f| {
            (
                one_hot(f.len(), f.start_position),
                one_hot(f.len(), f.end_position),
            )
        })
        .collect();
    let logits: Vec<_> = rows
        .iter()
        .map(|(start, end)| SpanLogits { start, end })
        .collect();
    let options = AnswerOptions {
        max_answer_length: 384,
        allow_no_answer: true,
        ..AnswerOptions::default()
    };
    let started = Instant::now();
    let predictions = extract_answers(&dataset.examples, &features, &logits, &options).unwrap();
    eprintln!(
        "extract_answers on {} windows: {:.3} s",
        features.len(),
        started.elapsed().as_secs_f64()
    );

    let lost: Vec<String> = inspect(&dataset.examples, &features)
        .lost
        .into_iter()
        .map(|lost| lost.id)
        .collect();
    let cut: std::collections::HashSet<usize> = features
        .iter()
        .filter(|feature| !feature.has_answer())
        .map(|feature| feature.example_index)
        .collect();
    let mut whole = 0;
    for (index, (example, prediction)) in dataset.examples.iter().zip(&predictions).enumerate() {
        match example.answers.first() {
            None => assert_eq!(prediction.text, "", "{}", example.id),
            // Where a window votes for "no answer" the null score is still another window's: the span must win.
            Some(answer) if !lost.contains(&example.id) => {
                assert_eq!(
                    prediction.best_span.as_ref().unwrap().text,
                    answer.text.trim(),
                    "{}",
                    example.id
                );
                whole += usize::from(!cut.contains(&index));
            }
            Some(_) => {}
        }
    }
    assert!(whole > 5_000, "{whole}");
}
