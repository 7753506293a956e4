//! Real SQuAD files: counts, windows, labels, answers.

use squad_data::{
    AnswerOptions, Dataset, Example, Feature, FeatureOptions, GoldAnswer, QaTokenizer, SpanLogits,
    extract_answers, inspect, make_features,
};
use test_support::shared_data;
use tokenizers::{Tokenizer, TruncationDirection};

/// File, questions with and without an answer, features uncased and cased: the table in the data's README.
pub(crate) const COUNTS: [(&str, usize, usize, usize, usize); 5] = [
    ("dev-v1.1", 10_570, 0, 10_784, 10_822),
    ("dev-v2.0", 5_928, 5_945, 12_134, 12_199),
    ("train-v2.0-first10articles", 4_371, 348, 4_812, 4_826),
    ("train-v1.1-random-paragraphs", 3_412, 0, 3_430, 3_442),
    ("squadshifts-new_wiki-v1.0", 7_938, 0, 8_034, 8_062),
];

pub(crate) fn dataset(file: &str) -> Dataset {
    Dataset::read(&shared_data(format!("squad/{file}.json"))).unwrap()
}

pub(crate) fn tokenizer(casing: &str) -> QaTokenizer {
    let file = format!("vocab/bert-base-{casing}-tokenizer.json");
    QaTokenizer::from_file(&shared_data(file)).unwrap()
}

#[test]
#[ignore = "needs ../shared/data"]
fn feature_counts_are_the_recorded_ones() {
    for (file, answerable, unanswerable, uncased, cased) in COUNTS {
        let dataset = dataset(file);
        assert_eq!(dataset.has_unanswerable(), unanswerable > 0);
        for (casing, count) in [("uncased", uncased), ("cased", cased)] {
            let options = FeatureOptions::default();
            let features = make_features(&dataset.examples, &tokenizer(casing), &options);
            let stats = inspect(&dataset.examples, &features.unwrap());
            assert_eq!(
                (stats.answerable, stats.unanswerable, stats.features),
                (answerable, unanswerable, count),
                "{file} {casing}"
            );
            let mean = stats.mean_length;
            assert!((170.5..185.5).contains(&mean), "{file} {casing}: {mean}");
        }
    }
}

/// Ids of a whole feature and offsets of its context.
type LibraryFeature = (Vec<u32>, Vec<(usize, usize)>);

/// The features that the `tokenizers` library makes.
///
/// Question and context are encoded as a pair, without truncation, and the library's `Encoding::truncate` cuts the
/// context. (Encoding with truncation switched on is no reference: version 0.23.2 of the crate stops tokenizing at
/// `max_length`, so later windows lack the context's end. Version 0.23.3 for Python does not.)
fn library_features(tokenizer: &Tokenizer, example: &Example) -> Vec<LibraryFeature> {
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

/// The labels that Hugging Face's `run_qa.py` gives a feature.
fn run_qa_labels(example: &Example, feature: &Feature) -> (usize, usize) {
    let answer = example.first_located().and_then(GoldAnswer::char_range);
    let (Some(answer), Some(first), Some(last)) =
        (answer, feature.offsets.first(), feature.offsets.last())
    else {
        return (0, 0);
    };
    if first.0 as usize > answer.start || (last.1 as usize) < answer.end {
        return (0, 0);
    }
    let mut offsets = feature.offsets.iter();
    let start = offsets.rposition(|o| o.0 as usize <= answer.start).unwrap();
    let mut offsets = feature.offsets.iter();
    let end = offsets.position(|o| o.1 as usize >= answer.end).unwrap();
    (feature.context.start + start, feature.context.start + end)
}

#[test]
#[ignore = "needs ../shared/data"]
fn features_equal_those_of_the_tokenizers_library() {
    for (file, casing) in [
        ("dev-v2.0", "uncased"),
        ("train-v1.1-random-paragraphs", "cased"),
    ] {
        let tokenizer = tokenizer(casing);
        let library = Tokenizer::from_file(tokenizer.name()).unwrap();
        // Every fifth question, because the library is slow.
        let examples: Vec<Example> = dataset(file).examples.into_iter().step_by(5).collect();
        let features = make_features(&examples, &tokenizer, &FeatureOptions::default()).unwrap();
        let mut expected = examples
            .iter()
            .flat_map(|example| library_features(&library, example));
        let mut other_labels = 0;
        for feature in &features {
            let (ids, offsets) = expected.next().unwrap();
            assert_eq!(feature.input_ids, ids);
            let ours = feature.offsets.iter();
            assert!(ours.map(|&(a, b)| (a as usize, b as usize)).eq(offsets));
            let labels = (feature.start_position, feature.end_position);
            let example = &examples[feature.example_index];
            other_labels += usize::from(labels != run_qa_labels(example, feature));
        }
        assert!(expected.next().is_none());
        // Answers that begin or end with a character without a token: see `make_features`.
        let count = features.len();
        assert!(other_labels * 1000 < count, "{other_labels} of {count}");
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn logits_of_the_labels_give_the_gold_answers() {
    let dataset = dataset("dev-v2.0");
    let options = FeatureOptions::default();
    let features = make_features(&dataset.examples, &tokenizer("uncased"), &options).unwrap();
    // Distant tokens have lower logits, so that the search has something to sort.
    let peak = |len: usize, at: usize| -> Vec<f32> {
        (0..len)
            .map(|position| match position.abs_diff(at) {
                0 => 10.0,
                distance => -(distance as f32) / 64.0,
            })
            .collect()
    };
    let rows: Vec<_> = features
        .iter()
        .map(|f| {
            (
                peak(f.len(), f.start_position),
                peak(f.len(), f.end_position),
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
    let predictions = extract_answers(&dataset.examples, &features, &logits, &options).unwrap();

    let lost = inspect(&dataset.examples, &features).lost;
    let mut compared = 0;
    for (example, prediction) in dataset.examples.iter().zip(&predictions) {
        match example.answers().first() {
            None => assert_eq!(prediction.text, "", "{}", example.id),
            // Where a feature votes for "no answer" the null score is still another's: the span must win.
            Some(answer) if lost.iter().all(|lost| lost.id != example.id) => {
                let span = prediction.best_span.as_ref().unwrap();
                assert_eq!(span.text, answer.text.trim(), "{}", example.id);
                compared += 1;
            }
            Some(_) => {}
        }
    }
    assert!(compared > 5_800, "{compared}");
}
