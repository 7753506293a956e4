//! What Python's `str` and `re` do with characters, which the official scripts are defined by.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Python's `\w`: a letter or number by general category, or an underscore.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number
    )
}

/// Python's `\d`: a decimal digit of any script.
pub(crate) fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber)
}

/// Python's `str.isspace`: Unicode's `White_Space` and the four information separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What Python's `regex` package, which NLTK uses, does where it differs from `re`.
pub(crate) mod regex {
    use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

    /// `\w`: alphabetic characters, marks, decimal digits, connectors and joiners (Unicode's UTS #18).
    pub(crate) fn is_word(c: char) -> bool {
        if c.is_ascii() {
            return super::is_word(c);
        }
        c.is_alphabetic()
            || matches!(c, '\u{200c}' | '\u{200d}')
            || c.general_category_group() == GeneralCategoryGroup::Mark
            || matches!(
                c.general_category(),
                GeneralCategory::DecimalNumber | GeneralCategory::ConnectorPunctuation
            )
    }

    /// `\s`: Unicode's `White_Space`.
    pub(crate) fn is_space(c: char) -> bool {
        c.is_whitespace()
    }
}

/// Whether the general category is one of punctuation.
pub(crate) fn is_punctuation(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// Python's `str.split()`.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|token| !token.is_empty())
}

/// Python's `' '.join(text.split())`.
pub(crate) fn fold_white_space(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for token in split(text) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(token);
    }
    folded
}

/// Replaces each whole word that is one of `words` with a space, as `re.sub(r'\b(…|…)\b', ' ', text)` does.
pub(crate) fn without_words(text: &str, words: &[&str]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        kept.push_str(if words.contains(&word) { " " } else { word });

        let gap_end = tail.find(is_word).unwrap_or(tail.len());
        kept.push_str(&tail[..gap_end]);
        rest = &tail[gap_end..];
    }
    kept
}
