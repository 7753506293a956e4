//! The names of fields.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::read::foreign::Foreign;

/// A field that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::read) enum Field {
    Id,
    OtherId,
    Qid,
    Title,
    Context,
    Question,
    Answers,
    AnswerText,
    AnswerStart,
    Hint,
    End,
    Text,
    /// Spans in the context, or something else of this name.
    Labels(&'static str),
    IsImpossible,
    DetectedAnswers,
    Qas,
    Paragraphs,
    Header,
    Row,
    TruncatedCells,
}

impl Field {
    /// The field of this name, in any [spelling](plain) that people and spreadsheets give it.
    pub(in crate::read) fn of(name: &str) -> Option<Self> {
        Self::named(name).or_else(|| Self::named(&plain(name)).filter(Self::is_of_people))
    }

    /// The field of this name: the one list of names, for JSON, CSV and Parquet.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            // CMRC 2018 has `query_id`, `query_text` and `context_text` in its own form.
            "id" => Self::Id,
            // `key` as in lucadiliello's data sets of MRQA.
            "query_id" | "question_id" | "guid" | "example_id" | "uid" | "_id" | "key" => {
                Self::OtherId
            }
            "qid" | "q_id" => Self::Qid,
            "title" => Self::Title,
            "context" | "context_text" => Self::Context,
            "question" | "query_text" => Self::Question,
            "answers" => Self::Answers,
            // pandas' json_normalize joins names with dots, TFDS's as_dataframe with slashes.
            "answer" | "answer_text" | "answers.text" | "answers/text" => Self::AnswerText,
            "answer_start" | "answers.answer_start" | "answers/answer_start" => Self::AnswerStart,
            "start" | "start_char" | "start_offset" | "answerstart" | "answer_starts" => Self::Hint,
            "end" | "end_char" | "end_offset" => Self::End,
            "text" => Self::Text,
            "label" => Self::Labels("label"),
            "labels" => Self::Labels("labels"),
            "is_impossible" => Self::IsImpossible,
            "detected_answers" => Self::DetectedAnswers,
            "qas" => Self::Qas,
            "paragraphs" => Self::Paragraphs,
            "header" => Self::Header,
            // The Hub's datasets-server wraps its rows.
            "row" => Self::Row,
            "truncated_cells" => Self::TruncatedCells,
            _ => return None,
        })
    }

    /// Whether a table with these columns is one of questions.
    #[cfg(any(feature = "csv", feature = "parquet"))]
    pub(in crate::read) fn make_questions(columns: &[Self]) -> bool {
        let has = |field: Self| columns.contains(&field);
        let has_questions = has(Self::Question) || has(Self::Qas);
        has(Self::Paragraphs) || has_questions && (has(Self::Context) || has(Self::Text))
    }

    /// Whether it is a field of questions, and not of the program that wrote a file around them.
    fn is_of_people(&self) -> bool {
        !matches!(self, Self::Header | Self::Row | Self::TruncatedCells)
    }

    /// Whether other data sets use the name for something else, which is passed over.
    #[cfg(any(feature = "csv", feature = "parquet"))]
    pub(in crate::read) fn may_be_another(self) -> bool {
        matches!(
            self,
            Self::Hint | Self::End | Self::OtherId | Self::Labels(_)
        )
    }

    /// The field of a table's column of this name.
    #[cfg(any(feature = "csv", feature = "parquet"))]
    pub(in crate::read) fn of_column(name: &str) -> Option<Self> {
        Self::of(name).filter(Self::is_of_people)
    }
}

/// Whether the name of a field that is not read says that it may have answers: `gold_answer_2`, `label_text`.
pub(in crate::read) fn may_have_answers(name: &str) -> bool {
    let name = plain(name);
    // SQuAD 2.0's wrong answers.
    (name.contains("answer") || name.contains("label")) && name != "plausible_answers"
}

/// A field's name in lower case, without white space around it and with `_` between its words: `answer_start` of
/// `Answer Start`, `answerStart` and `answer-start`.
pub(crate) fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let is_between = |c: char| c.is_whitespace() || c == '-';
    let (mut ends_word, mut was_small) = (false, false);
    for c in name.trim_matches(is_between).chars() {
        if is_between(c) {
            ends_word = true;
            continue;
        }
        if ends_word || was_small && c.is_uppercase() {
            plain.push('_');
        }
        (ends_word, was_small) = (false, c.is_lowercase());
        plain.extend(c.to_lowercase());
    }
    plain
}

/// The name of a field of a [`RawItem`] or a [`RawQuestion`].
pub(super) enum Key {
    Field(Field),
    Foreign(Foreign),
    /// The name, if it is asked for and short.
    Unknown(Option<String>),
}

/// Reads a [`Key`].
#[derive(Clone, Copy)]
pub(super) struct KeySeed {
    keep_unknown: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match (Field::of(name), Foreign::of_field(name)) {
            (Some(field), _) => Key::Field(field),
            (None, Some(foreign)) => Key::Foreign(foreign),
            (None, None) => {
                let is_kept = self.keep_unknown && name.len() <= 40;
                Key::Unknown(is_kept.then(|| name.to_owned()))
            }
        })
    }
}

/// For fields of a question or an answer.
pub(super) const FIELD_KEY: KeySeed = KeySeed {
    keep_unknown: false,
};

/// Names of unknown fields of an item are for messages.
pub(super) const ITEM_KEY: KeySeed = KeySeed { keep_unknown: true };

/// The form that alone has one of the names in a value: in an object, in an object in it, or in a list of these.
pub(super) struct ForeignInside(pub(super) Option<Foreign>);

/// Levels of objects and lists in which names are looked at.
const FOREIGN_LEVELS: usize = 3;

impl<'de> Deserialize<'de> for ForeignInside {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        ForeignSeed(FOREIGN_LEVELS).deserialize(from).map(Self)
    }
}

/// Looks for foreign names on this many levels.
#[derive(Clone, Copy)]
struct ForeignSeed(usize);

impl<'de> DeserializeSeed<'de> for ForeignSeed {
    type Value = Option<Foreign>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<Foreign>, D::Error> {
        if self.0 == 0 {
            return IgnoredAny::deserialize(from).map(|_| None);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ForeignSeed {
    type Value = Option<Foreign>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key_seed(ITEM_KEY)? {
            if let Key::Foreign(foreign) = key {
                found = found.or(Some(foreign));
            }
            found = found.or(map.next_value_seed(Self(self.0 - 1))?);
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(inside) = list.next_element_seed(Self(self.0 - 1))? {
            found = found.or(inside);
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for name in [
            "answer_start",
            "answerStart",
            "AnswerStart",
            "Answer_Start",
            "ANSWER_START",
            "ANSWER START",
            "answer-start",
            " Answer  Start\t",
        ] {
            assert_eq!(plain(name), "answer_start", "{name}");
        }
        for (name, expected) in [
            ("ID", "id"),
            ("questionID", "question_id"),
            ("_id", "_id"),
            ("answers.text", "answers.text"),
            ("-", ""),
            ("ÄußereÖse", "äußere_öse"),
        ] {
            assert_eq!(plain(name), expected, "{name}");
        }
    }
}
