//! What a file says, before it is checked: one set of types for every form.
//!
//! Tools write the same facts in many ways: ids as numbers, `answer_start` as `33.0` or `"33"`, answers as a list of pairs
//! or a pair of lists. Each type here takes every way that occurs and keeps one.

mod answers;
mod field;
mod values;

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) use self::answers::{Detected, RawAnswer, RawAnswers};
use self::answers::{DetectedAnswers, FlatAnswer, hints, spans};
pub(crate) use self::field::plain;
use self::field::{FIELD_KEY, ForeignInside, ITEM_KEY, Key};
pub(super) use self::field::{Field, may_have_answers};
pub(super) use self::values::nested;
use self::values::{Flag, Listed, Scalar, is_null};
pub(crate) use self::values::{number_text, only};
use crate::read::foreign::{self, Foreign, MAX_NAMES};
use crate::read::literal;

/// A row, a paragraph or an article: what stands in a list of a file, or in a line.
#[derive(Default)]
pub(super) struct RawItem {
    pub(super) title: Option<String>,
    pub(super) context: Option<Context>,
    /// The question of a row.
    pub(super) question: RawQuestion,
    /// The questions of a paragraph.
    pub(super) qas: Option<Vec<RawQuestion>>,
    /// The paragraphs of an article.
    pub(super) paragraphs: Option<Vec<RawItem>>,
    /// MRQA's first line.
    pub(super) is_header: bool,
    /// `qas` or `paragraphs` is null.
    pub(super) is_null: bool,
    /// A form that is known and not read.
    pub(super) foreign: Option<Foreign>,
    /// The form that a field inside an unknown field belongs to.
    pub(super) foreign_inside: Option<Foreign>,
    /// The first names of unknown fields, for messages.
    pub(super) unknown: Vec<String>,
    /// The first names of fields that are not read and [may have answers](may_have_answers).
    pub(super) unread: Vec<String>,
}

/// A context or a question, or something else of that name.
pub(super) enum Context {
    Text(String),
    Other,
}

/// A question and what is said about its answers.
#[derive(Default)]
pub(super) struct RawQuestion {
    pub(super) id: Option<String>,
    /// MRQA's `qid`.
    pub(super) qid: Option<String>,
    /// What takes the place of a missing `id`: a name of other data sets for it.
    pub(super) other_id: Option<String>,
    pub(super) question: Option<Context>,
    pub(super) answers: RawAnswers,
    pub(super) is_impossible: Option<bool>,
    /// MRQA: where the answers stand in the context. `answers` are then the texts that count as right.
    pub(super) detected: Option<Vec<Detected>>,
    /// A form that is known and not read.
    pub(super) foreign: Option<Foreign>,
}

impl RawQuestion {
    /// Whether nothing of a question is there.
    pub(super) fn is_empty(&self) -> bool {
        self.id.is_none()
            && self.qid.is_none()
            && self.question.is_none()
            && self.answers == RawAnswers::Missing
    }

    /// Its id. MRQA has an `id` too, but its predictions are keyed by `qid`. In other data sets several questions may have
    /// one `qid`: TriviaQA in SQuAD's form has a question for each of its documents.
    pub(super) fn take_id(&mut self) -> Option<String> {
        let (id, qid) = (self.id.take(), self.qid.take());
        let (first, second) = if self.detected.is_some() {
            (qid, id)
        } else {
            (id, qid)
        };
        first.filter(|id| !id.is_empty()).or(second)
    }

    /// Takes a field of a question; `false` if it is none.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        field: Field,
        flat: &mut FlatAnswer,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match field {
            Field::Id => self.id = self.id.take().or(map.next_value::<Scalar>()?.0),
            Field::Qid => self.qid = map.next_value::<Scalar>()?.0,
            Field::OtherId => {
                let id: serde_json::Value = map.next_value()?;
                let id = Scalar::deserialize(id).ok().and_then(|Scalar(id)| id);
                self.other_id = self.other_id.take().or(id);
            }
            Field::Question => self.question = Some(map.next_value()?),
            Field::Answers => self.answers = map.next_value()?,
            Field::AnswerText => flat.answers = Some(map.next_value()?),
            Field::AnswerStart => flat.starts = Some(map.next_value()?),
            Field::Hint => flat.hints = hints(map)?,
            // Of a span; a row's own says nothing.
            Field::End => drop(map.next_value::<IgnoredAny>()?),
            Field::Labels(name) => {
                let labels: serde_json::Value = map.next_value()?;
                let is_blank = labels.is_null() || labels.as_str().is_some_and(is_null);
                flat.labels = spans(labels);
                flat.unread = Some(name).filter(|_| flat.labels.is_none() && !is_blank);
            }
            Field::Text => flat.text = Some(map.next_value()?),
            Field::IsImpossible => self.is_impossible = map.next_value::<Flag>()?.0,
            Field::DetectedAnswers => self.detected = map.next_value::<DetectedAnswers>()?.0,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<'de> Deserialize<'de> for RawQuestion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct QuestionVisitor;
        impl<'de> Visitor<'de> for QuestionVisitor {
            type Value = RawQuestion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a question: an object with `id`, `question` and `answers`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawQuestion, A::Error> {
                let mut question = RawQuestion::default();
                let mut flat = FlatAnswer::default();
                while let Some(key) = map.next_key_seed(FIELD_KEY)? {
                    let is_taken = match key {
                        Key::Field(field) => {
                            let taken = question.field(field, &mut flat, &mut map);
                            taken.map_err(|error| cause(error, question.foreign))?
                        }
                        Key::Foreign(foreign) => {
                            question.foreign.get_or_insert(foreign);
                            false
                        }
                        Key::Unknown(_) => false,
                    };
                    if !is_taken {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                flat.join(&mut question.answers);
                Ok(question)
            }
        }
        from.deserialize_map(QuestionVisitor)
    }
}

/// What to do about a file with a list for each column in place of an object for each row.
pub(super) const BY_COLUMN: &str =
    "write each row as an object, for example with to_json(path, orient=\"records\", lines=True)";

/// What stands in a list of a file, for messages.
pub(super) const ITEM: &str = "an article, a paragraph or a row: an object with `paragraphs`, or with `context` and `qas` or `question`";

/// The error for a list in the place of an item.
pub(super) fn list_for_item<E: de::Error>() -> E {
    E::custom(format_args!("a list instead of a row; {BY_COLUMN}"))
}

/// An error in a file of a form that is known and not read: the form is the cause.
fn cause<E: de::Error>(error: E, foreign: Option<Foreign>) -> E {
    foreign.map_or(error, |foreign| E::custom(foreign.problem()))
}

/// Reads the fields of a [`RawItem`] one by one.
#[derive(Default)]
pub(super) struct ItemFields {
    item: RawItem,
    flat: FlatAnswer,
    /// The row that a row of the datasets-server holds.
    row: Option<Box<RawItem>>,
    /// Whether the datasets-server has cut that row's texts.
    is_cut: bool,
}

impl ItemFields {
    /// Reads the fields of an object. The value of `paragraphs` goes to `on_paragraphs`, which says whether it is null.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        on_paragraphs: &mut dyn FnMut(&mut A) -> Result<bool, A::Error>,
    ) -> Result<Self, A::Error> {
        let mut fields = Self::default();
        while let Some(key) = map.next_key_seed(ITEM_KEY)? {
            if matches!(key, Key::Field(Field::Paragraphs)) {
                fields.item.is_null |= on_paragraphs(map)?;
            } else {
                fields.value(key, map)?;
            }
        }
        Ok(fields)
    }

    /// Whether no field of an item has come yet.
    pub(super) fn is_empty(&self) -> bool {
        let RawItem {
            title,
            context,
            question,
            qas,
            paragraphs,
            ..
        } = &self.item;
        title.is_none()
            && context.is_none()
            && qas.is_none()
            && paragraphs.is_none()
            && question.is_empty()
    }

    /// Whether what has come makes it an article, a paragraph or a row.
    pub(super) fn has_questions(&self) -> bool {
        let item = &self.item;
        item.context.is_some()
            || item.qas.is_some()
            || item.paragraphs.is_some()
            || item.question.question.is_some()
    }

    /// Keeps the name of an unknown field for messages.
    pub(super) fn note_unknown(&mut self, name: &str) {
        if self.item.unknown.len() < MAX_NAMES {
            self.item.unknown.push(name.to_owned());
        }
    }

    /// Takes the value of the field `name`.
    pub(super) fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.value(ITEM_KEY.visit_str(name)?, map)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        match key {
            Key::Field(field) => {
                let taken = self.field(field, map);
                return taken.map_err(|error| cause(error, self.item.foreign));
            }
            Key::Foreign(foreign) => {
                map.next_value::<IgnoredAny>()?;
                let known = self.item.foreign.get_or_insert(foreign);
                if foreign.outweighs(*known) {
                    *known = foreign;
                }
            }
            Key::Unknown(name) => {
                let ForeignInside(foreign) = map.next_value()?;
                let item = &mut self.item;
                item.foreign_inside = item.foreign_inside.or(foreign);
                let is_unread = name.as_deref().is_some_and(may_have_answers);
                if is_unread && item.unread.len() < MAX_NAMES {
                    item.unread.extend(name.clone());
                }
                if item.unknown.len() < MAX_NAMES {
                    item.unknown.extend(name);
                }
            }
        }
        Ok(())
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        let item = &mut self.item;
        if item.question.field(field, &mut self.flat, map)? {
            return Ok(());
        }
        match field {
            Field::Title => item.title = map.next_value::<Scalar>()?.0,
            Field::Context => item.context = Some(map.next_value()?),
            Field::Qas => {
                item.qas = map.next_value::<Listed<RawQuestion>>()?.0;
                item.is_null |= item.qas.is_none();
            }
            Field::Paragraphs => {
                item.paragraphs = map.next_value::<Listed<RawItem>>()?.0;
                item.is_null |= item.paragraphs.is_none();
            }
            Field::Row => {
                let row: serde_json::Value = map.next_value()?;
                if row.is_object() {
                    let row = RawItem::deserialize(row).map_err(<A::Error as de::Error>::custom)?;
                    self.row = Some(Box::new(row));
                }
            }
            Field::TruncatedCells => {
                let cells = map.next_value()?;
                self.is_cut = matches!(cells, serde_json::Value::Array(cells) if !cells.is_empty());
            }
            Field::Header => {
                map.next_value::<IgnoredAny>()?;
                item.is_header = true;
            }
            // Fields of a question.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish<E: de::Error>(mut self) -> Result<RawItem, E> {
        if let Some(row) = self.row
            && self.item.context.is_none()
            && self.item.question.question.is_none()
        {
            return if self.is_cut {
                Err(E::custom(
                    "`truncated_cells`: the server has cut texts of this row; download the dataset's files",
                ))
            } else {
                Ok(*row)
            };
        }
        let has_questions = self.item.question.question.is_some() || self.item.qas.is_some();
        if self.item.context.is_none()
            && has_questions
            && let Some(serde_json::Value::String(text)) = self.flat.text.take_if(|t| t.is_string())
        {
            self.item.context = Some(Context::Text(text));
        }
        // Whoever wrote `answers` into Prodigy's tasks means them.
        let has_answers = self.item.question.answers != RawAnswers::Missing;
        self.item.foreign = self
            .item
            .foreign
            .filter(|f| !(has_answers && *f == foreign::PRODIGY));
        self.item.unread.extend(self.flat.unread.map(str::to_owned));
        self.flat.join(&mut self.item.question.answers);
        Ok(self.item)
    }
}

impl<'de> Deserialize<'de> for RawItem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = RawItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ITEM)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawItem, A::Error> {
                let mut fields = ItemFields::default();
                while let Some(key) = map.next_key_seed(ITEM_KEY)? {
                    fields.value(key, &mut map)?;
                }
                fields.finish()
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<RawItem, A::Error> {
                Err(list_for_item())
            }
        }
        from.deserialize_any(ItemVisitor)
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ContextVisitor;
        impl<'de> Visitor<'de> for ContextVisitor {
            type Value = Context;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Context, E> {
                self.visit_string(text.to_owned())
            }

            fn visit_string<E>(self, text: String) -> Result<Context, E> {
                Ok(Context::Text(literal::of_bytes(&text).unwrap_or(text)))
            }

            fn visit_unit<E>(self) -> Result<Context, E> {
                Ok(Context::Text(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Context, A::Error> {
                let mut found = list.next_element()?.unwrap_or(Context::Other);
                while list.next_element::<IgnoredAny>()?.is_some() {
                    found = Context::Other;
                }
                Ok(found)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Context, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Context::Other)
            }
        }
        from.deserialize_any(ContextVisitor)
    }
}
