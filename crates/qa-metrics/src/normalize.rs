//! Normalization of answers as SQuAD's scripts do it.

use crate::python::{fold_white_space, without_words};

/// Normalizes an answer as both of SQuAD's evaluation scripts do.
///
/// The steps, in order: lower case; remove ASCII punctuation; remove the words `a`, `an` and `the`; fold white space to
/// single spaces. Punctuation leaves no gap, so `"the-end"` becomes the one word `theend`. Words are those of Python's
/// `\b`: runs of letters and numbers of any script. A combining mark is neither, so the `a` of a decomposed `"a\u{301}"`
/// counts as an article. Normalizing twice changes nothing.
///
/// ```
/// use qa_metrics::normalize_answer;
///
/// assert_eq!(normalize_answer("  The Quick,\tbrown FOX! "), "quick brown fox");
/// assert_eq!(normalize_answer("The “Beatles”"), "“beatles”"); // punctuation beyond ASCII stays
/// assert_eq!(normalize_answer("a.k.a. the-end"), "aka theend");
/// assert_eq!(normalize_answer("the"), "");
/// ```
pub fn normalize_answer(text: &str) -> String {
    let mut text = text.to_lowercase();
    text.retain(|c| !c.is_ascii_punctuation());
    fold_white_space(&without_words(&text, &["a", "an", "the"]))
}
