//! CMRC 2018's normalization and segmentation (Cui et al. 2019, `cmrc2018_evaluate.py` in its version for Python 3). DRCD
//! (Shao et al. 2018) has no script; CMRC's authors score it with theirs.

mod punkt;
mod treebank;

use crate::python::is_space;

/// The marks that the script removes. It also lists `……`, which no character equals, so `…` stays.
const REMOVED: &str = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』";

/// The Han characters that the scripts of CMRC 2018 and MLQA take as tokens.
pub(crate) fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fa5}').contains(&c)
}

/// The text that must be equal for an exact match: lower case, without white space at the ends and without [`REMOVED`].
pub(crate) fn normalize(text: &str) -> String {
    let lower = text.to_lowercase();
    lower
        .trim_matches(is_space)
        .chars()
        .filter(|&c| !REMOVED.contains(c))
        .collect()
}

/// The segments of a normalized text: each Han character, and the words that NLTK finds in what lies between them.
pub(crate) fn segments(normalized: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let mut between = Vec::new();
    for c in normalized.chars() {
        if is_han(c) {
            segments.extend(words(&between));
            between.clear();
            segments.push(c.to_string());
        } else {
            between.push(c);
        }
    }
    segments.extend(words(&between));
    segments
}

/// NLTK's `word_tokenize`: Punkt finds the sentences, and the Treebank rules find their words.
fn words(text: &[char]) -> Vec<String> {
    let sentences = punkt::sentences(text);
    sentences
        .iter()
        .flat_map(|sentence| treebank::tokenize(&text[sentence.clone()]))
        .collect()
}

/// Length of the longest run of segments that both have.
pub(crate) fn longest_common_run(left: &[String], right: &[String]) -> usize {
    let mut longest = 0;
    // `runs[j]` is the length of the common run that ends before `right[j]`.
    let mut runs = vec![0; right.len() + 1];
    for segment in left {
        for j in (0..right.len()).rev() {
            runs[j + 1] = if *segment == right[j] { runs[j] + 1 } else { 0 };
            longest = longest.max(runs[j + 1]);
        }
    }
    longest
}
