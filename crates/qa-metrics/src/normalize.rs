//! Normalization of answers.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

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
    fold_white_space(&without_articles(&text))
}

/// Replaces each article with a space, which still separates its neighbours.
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        let is_article = matches!(word, "a" | "an" | "the");
        kept.push_str(if is_article { " " } else { word });

        let gap_end = tail.find(is_word).unwrap_or(tail.len());
        kept.push_str(&tail[..gap_end]);
        rest = &tail[gap_end..];
    }
    kept
}

fn fold_white_space(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for token in text.split(is_space).filter(|token| !token.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(token);
    }
    folded
}

/// Python's `\w`: a letter or number by general category, or an underscore.
fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number
    )
}

/// Python's `str.isspace`: Unicode's `White_Space` and the four information separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
