//! KorQuAD 1.0's normalization (Lim et al. 2019, `evaluate-v1.0.py`). Its F1 counts characters.

use crate::python::fold_white_space;

/// Marks that separate words. Other ASCII punctuation is removed without a gap.
const SEPARATORS: [char; 12] = [
    '\'', '"', '《', '》', '<', '>', '〈', '〉', '(', ')', '‘', '’',
];

/// Quotes and brackets become spaces; lower case; no ASCII punctuation; single spaces.
pub(crate) fn normalize(text: &str) -> String {
    let mut text = text.replace(SEPARATORS, " ").to_lowercase();
    text.retain(|c| !c.is_ascii_punctuation());
    fold_white_space(&text)
}
