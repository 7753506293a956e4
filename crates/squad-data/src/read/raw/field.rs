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
    /// A context under another name, by its number in [`OTHER_CONTEXTS`], or something else of this name.
    OtherContext(usize),
    Question,
    /// What takes the place of a missing `question`.
    OtherQuestion,
    Answers,
    AnswerText,
    AnswerStart,
    Hint,
    End,
    Text,
    /// Spans in the context, or something else of this name.
    Labels(&'static str),
    IsImpossible,
    IsAnswerable,
    DetectedAnswers,
    Qas,
    Paragraphs,
    Header,
    Row,
    TruncatedCells,
}

/// Names that other data sets give the context; the first of them that a row has is the one that is read.
pub(super) const OTHER_CONTEXTS: [&str; 6] = [
    "passage",
    "paragraph",
    "body",
    "content",
    "article",
    "document",
];

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
            "query" | "question_text" => Self::OtherQuestion,
            "answers" => Self::Answers,
            // pandas' json_normalize joins names with dots or what it is given, TFDS's as_dataframe with slashes.
            "answer" | "answer_text" | "answers.text" | "answers/text" | "answers_text" => {
                Self::AnswerText
            }
            "answer_start"
            | "answers.answer_start"
            | "answers/answer_start"
            | "answers_answer_start" => Self::AnswerStart,
            "start"
            | "start_char"
            | "start_offset"
            | "start_index"
            | "start_idx"
            | "start_pos"
            | "start_position"
            | "char_start"
            | "span_start"
            | "begin"
            | "offset"
            | "answerstart"
            | "answer_starts"
            | "answer_start_char"
            | "answer_start_index"
            | "answer_start_idx"
            | "answer_offset"
            | "answer_begin_position" => Self::Hint,
            // No `end_position`, which counts tokens.
            "end" | "end_char" | "end_offset" | "end_index" | "end_idx" | "char_end"
            | "span_end" | "answer_end" => Self::End,
            "text" => Self::Text,
            "label" => Self::Labels("label"),
            "labels" => Self::Labels("labels"),
            // doccano's newer exports, its older ones, and Prodigy's.
            "entities" => Self::Labels("entities"),
            "annotations" => Self::Labels("annotations"),
            "spans" => Self::Labels("spans"),
            // Java's Jackson makes `impossible` of `isImpossible()`.
            "is_impossible" | "impossible" | "is_unanswerable" | "unanswerable" => {
                Self::IsImpossible
            }
            "is_answerable" | "answerable" => Self::IsAnswerable,
            "detected_answers" => Self::DetectedAnswers,
            "qas" => Self::Qas,
            "paragraphs" => Self::Paragraphs,
            "header" => Self::Header,
            // The Hub's datasets-server wraps its rows, and so does Elasticsearch.
            "row" | "_source" => Self::Row,
            "truncated_cells" => Self::TruncatedCells,
            name => {
                let number = OTHER_CONTEXTS.iter().position(|other| *other == name);
                return number.map(Self::OtherContext);
            }
        })
    }

    /// Whether a table with these columns is one of questions.
    #[cfg(any(feature = "csv", feature = "parquet"))]
    pub(in crate::read) fn make_questions(columns: &[Self]) -> bool {
        let has = |field: Self| columns.contains(&field);
        let has_questions = has(Self::Question) || has(Self::OtherQuestion) || has(Self::Qas);
        let has_context = columns
            .iter()
            .any(|column| matches!(column, Self::Context | Self::OtherContext(_) | Self::Text));
        has(Self::Paragraphs) || has_questions && has_context
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
            Self::Hint
                | Self::End
                | Self::OtherId
                | Self::OtherContext(_)
                | Self::OtherQuestion
                | Self::Labels(_)
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
        // A name that only a form has says more than one in another spelling.
        let foreign = Foreign::of_field(name).filter(|_| Field::named(name).is_none());
        Ok(match (foreign, Field::of(name)) {
            (Some(foreign), _) => Key::Foreign(foreign),
            (None, Some(field)) => Key::Field(field),
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

/// What the names in a value say: in an object, in an object in it, or in a list of these.
#[derive(Clone, Copy, Default)]
pub(super) struct Inside {
    /// The form that alone has one of the names.
    pub(super) foreign: Option<Foreign>,
    /// Whether the value is an object with a question.
    pub(super) is_row: bool,
}

impl Inside {
    /// Adds what the names in a value inside this one say.
    fn add(&mut self, inside: Self) {
        self.foreign = self.foreign.or(inside.foreign);
    }
}

/// Levels of objects and lists in which names are looked at.
const LEVELS_INSIDE: usize = 3;

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        InsideSeed(LEVELS_INSIDE).deserialize(from)
    }
}

/// Looks at names on this many levels.
#[derive(Clone, Copy)]
struct InsideSeed(usize);

impl<'de> DeserializeSeed<'de> for InsideSeed {
    type Value = Inside;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Inside, D::Error> {
        if self.0 == 0 {
            return IgnoredAny::deserialize(from).map(|_| Inside::default());
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InsideSeed {
    type Value = Inside;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Inside::default();
        while let Some(key) = map.next_key_seed(ITEM_KEY)? {
            match key {
                Key::Foreign(foreign) => found.foreign = found.foreign.or(Some(foreign)),
                Key::Field(Field::Question | Field::Qas) => found.is_row = true,
                _ => {}
            }
            found.add(map.next_value_seed(Self(self.0 - 1))?);
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Inside::default();
        while let Some(inside) = list.next_element_seed(Self(self.0 - 1))? {
            found.add(inside);
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Inside::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Inside::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Inside::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Inside::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Inside::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Inside::default())
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
