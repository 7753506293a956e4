//! What the tests of this crate share.

use std::path::{Path, PathBuf};

use squad_data::{
    Dataset, Example, Feature, FeatureOptions, GoldAnswer, OnBadAnswer, QaTokenizer, ReadOptions,
    make_features,
};
use test_support::Random;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The small uncased tokenizer of scripts/reference/make_features_fixture.py. Its file switches truncation and padding on.
pub(crate) fn small_tokenizer() -> QaTokenizer {
    QaTokenizer::from_file(&fixture("tokenizer.json")).unwrap()
}

/// The features of `examples` under the small tokenizer.
pub(crate) fn features(examples: &[Example], options: &FeatureOptions) -> Vec<Feature> {
    make_features(examples, &small_tokenizer(), options).unwrap()
}

/// Features of at most 40 tokens whose windows share 10.
pub(crate) fn short() -> FeatureOptions {
    FeatureOptions {
        max_seq_length: 40,
        doc_stride: 10,
        ..FeatureOptions::default()
    }
}

/// A question whose answer is the first occurrence of `text` in `context`.
pub(crate) fn example(id: &str, question: &str, context: &str, text: &str) -> Example {
    let byte = context.find(text).unwrap();
    let start = context[..byte].chars().count();
    let answers = vec![GoldAnswer {
        text: text.to_owned(),
        start: Some(start),
    }];
    Example::new(id, question, context).with_answers(answers)
}

/// A logit between -8 and 8, a multiple of 1/4, so that ties are common.
pub(crate) fn logit(random: &mut Random) -> f32 {
    random.below(65) as f32 / 4.0 - 8.0
}

/// Reads bytes as a file of this name.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Dataset, squad_data::Error> {
    read_with(name, bytes, &ReadOptions::default())
}

/// Answers that are not in their context are errors.
pub(crate) fn strict() -> ReadOptions {
    ReadOptions {
        on_bad_answer: OnBadAnswer::Error,
        ..ReadOptions::default()
    }
}

/// Reads bytes as a file of this name.
pub(crate) fn read_with(
    name: &str,
    bytes: &[u8],
    options: &ReadOptions,
) -> Result<Dataset, squad_data::Error> {
    let folder = test_support::temp_dir();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Dataset::read_with(&[path], options)
}

/// The error for bytes as a file of this name, without the path of the folder. It must be one short line that begins with
/// the file's name.
pub(crate) fn read_error(name: &str, bytes: &[u8]) -> String {
    let message = read_with(name, bytes, &strict()).unwrap_err().to_string();
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
    let file = message.find(name).expect("the message names the file");
    message[file..].to_owned()
}
