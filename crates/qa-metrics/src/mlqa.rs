//! MLQA's normalization (Lewis et al. 2020, `mlqa_evaluation_v1.py`): punctuation, articles and segmentation by language.

use std::fmt;

use crate::cmrc::is_han;
use crate::python::{fold_white_space, is_punctuation, split, without_words};

/// A language of MLQA, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlqaLanguage {
    /// Arabic.
    Ar,
    /// German.
    De,
    /// English.
    En,
    /// Spanish.
    Es,
    /// Hindi, which has no articles.
    Hi,
    /// Vietnamese.
    Vi,
    /// Simplified Chinese, which has no articles and is split into characters.
    Zh,
}

impl MlqaLanguage {
    /// All of them, by code.
    pub const ALL: [Self; 7] = [
        Self::Ar,
        Self::De,
        Self::En,
        Self::Es,
        Self::Hi,
        Self::Vi,
        Self::Zh,
    ];

    /// The code of two letters.
    ///
    /// ```
    /// assert_eq!(qa_metrics::MlqaLanguage::De.code(), "de");
    /// ```
    pub fn code(self) -> &'static str {
        match self {
            Self::Ar => "ar",
            Self::De => "de",
            Self::En => "en",
            Self::Es => "es",
            Self::Hi => "hi",
            Self::Vi => "vi",
            Self::Zh => "zh",
        }
    }

    fn articles(self) -> &'static [&'static str] {
        match self {
            Self::De => &[
                "ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den",
                "dem", "des",
            ],
            Self::En => &["a", "an", "the"],
            Self::Es => &["un", "una", "unos", "unas", "el", "la", "los", "las"],
            Self::Vi => &["của", "là", "cái", "chiếc", "những"],
            Self::Ar | Self::Hi | Self::Zh => &[],
        }
    }
}

impl fmt::Display for MlqaLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Lower case; no punctuation of any script and no ASCII symbols; no articles; tokens with single spaces between them.
pub(crate) fn normalize(text: &str, language: MlqaLanguage) -> String {
    let mut text = text.to_lowercase();
    text.retain(|c| !c.is_ascii_punctuation() && !is_punctuation(c));
    match language {
        // The article is a prefix. The script removes the two letters wherever they stand.
        MlqaLanguage::Ar => fold_white_space(&text.replace("ال", " ")),
        MlqaLanguage::Zh => segmented(&text).join(" "),
        _ => fold_white_space(&without_words(&text, language.articles())),
    }
}

/// Each Han character is a token, and so is what lies between white space in the rest.
fn segmented(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(position) = rest.find(is_han) {
        let (before, tail) = rest.split_at(position);
        tokens.extend(split(before));
        let length = tail.chars().next().map_or(0, char::len_utf8);
        let (han, tail) = tail.split_at(length);
        tokens.push(han);
        rest = tail;
    }
    tokens.extend(split(rest));
    tokens
}
