//! What the tests share.

use std::path::{Path, PathBuf};

use squad_data::{Example, GoldAnswer, QaTokenizer};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The small uncased tokenizer made by tools/reference/make_windows_fixture.py; truncation and padding are on in its file.
pub(crate) fn small_tokenizer() -> QaTokenizer {
    QaTokenizer::from_file(&fixture("tokenizer.json")).unwrap()
}

/// A file of the shared data, or `None` after saying aloud that the test is skipped.
pub(crate) fn shared(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SQUAD_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = root.join(relative);
    if path.is_file() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: {relative} is neither below $SQUAD_DATA nor in ../shared/data beside the workspace"
    );
    assert!(
        std::env::var_os("SQUAD_BURN_NO_SKIP").is_none(),
        "SQUAD_BURN_NO_SKIP is set: nothing may be skipped"
    );
    None
}

/// A question whose answer is the first occurrence of `text` in `context`.
pub(crate) fn example(id: &str, question: &str, context: &str, text: &str) -> Example {
    let byte = context.find(text).unwrap();
    let start = context[..byte].chars().count();
    let answers = vec![GoldAnswer {
        text: text.to_owned(),
        start,
    }];
    Example {
        answers,
        is_impossible: false,
        ..Example::new(id, question, context)
    }
}

/// A small deterministic source of numbers for tests (xorshift64*).
pub(crate) struct Numbers(pub u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A logit between -8 and 8, on a grid of 1/4 so that ties are common.
    pub(crate) fn logit(&mut self) -> f32 {
        (self.next() >> 40) as i32 as f32 % 65.0 / 4.0 - 8.0
    }
}
