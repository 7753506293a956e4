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
use self::answers::{DetectedAnswers, FlatAnswer, hints};
pub(crate) use self::field::plain;
use self::field::{FIELD_KEY, ITEM_KEY, Inside, Key, OTHER_CONTEXTS};
pub(super) use self::field::{Field, may_have_answers};
use self::values::{Flag, Listed, Scalar};
pub(super) use self::values::{nested, rows_of_object};
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
    /// Whether an unknown field has an object with a question.
    pub(super) has_rows: bool,
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
    /// What takes the place of a missing `question`.
    other_question: Option<Context>,
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
            && self.other_question.is_none()
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

    /// Joins what the fields have given.
    fn join(&mut self, flat: FlatAnswer) {
        flat.join(&mut self.answers);
        self.question = self.question.take().or(self.other_question.take());
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
            Field::OtherQuestion => {
                let question: serde_json::Value = map.next_value()?;
                self.other_question = Context::deserialize(question).ok();
            }
            Field::Answers => self.answers = map.next_value()?,
            Field::AnswerText => flat.answers = Some(map.next_value()?),
            Field::AnswerStart => flat.starts = Some(map.next_value()?),
            Field::Hint => flat.hints = hints(map)?,
            // Of a span; a row's own says nothing.
            Field::End => drop(map.next_value::<IgnoredAny>()?),
            Field::Labels(name) => {
                let labels: serde_json::Value = map.next_value()?;
                let inside = Inside::deserialize(&labels).map_err(de::Error::custom)?;
                self.foreign = self.foreign.or(inside.foreign);
                flat.add_labels(name, labels);
            }
            Field::Text => flat.text = Some(map.next_value()?),
            Field::IsImpossible => self.is_impossible = map.next_value::<Flag>()?.0,
            Field::IsAnswerable => {
                let Flag(is_answerable) = map.next_value()?;
                self.is_impossible = self.is_impossible.or(is_answerable.map(|is| !is));
            }
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
                question.join(flat);
                Ok(question)
            }
        }
        from.deserialize_map(QuestionVisitor)
    }
}

/// What to do about a file with a list for each column in place of an object for each row.
pub(crate) const BY_COLUMN: &str =
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
    /// The row that a row of the datasets-server or of Elasticsearch holds.
    row: Option<Box<RawItem>>,
    /// The context under the first of its [`OTHER_CONTEXTS`], and the name's number.
    other_context: Option<(usize, String)>,
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
                let inside = map.next_value()?;
                self.note_inside(inside);
                let item = &mut self.item;
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

    /// Notes what the names in an unknown field say.
    fn note_inside(&mut self, inside: Inside) {
        let item = &mut self.item;
        item.foreign_inside = item.foreign_inside.or(inside.foreign);
        item.has_rows |= inside.is_row;
    }

    /// Takes what may be the context.
    fn other_context<E: de::Error>(
        &mut self,
        number: usize,
        value: &serde_json::Value,
    ) -> Result<(), E> {
        match Context::deserialize(value) {
            Ok(Context::Text(text)) if !value.is_null() => {
                let new = (number, text);
                let (first, other) = match self.other_context.take() {
                    Some(known) if known.0 <= number => (known, Some(new)),
                    known => (new, known),
                };
                self.other_context = Some(first);
                if let Some((number, _)) = other {
                    self.note_unknown(OTHER_CONTEXTS[number]);
                }
            }
            _ => {
                self.note_inside(Inside::deserialize(value).map_err(E::custom)?);
                self.note_unknown(OTHER_CONTEXTS[number]);
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
            Field::OtherContext(number) => self.other_context(number, &map.next_value()?)?,
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
        if let Some(mut row) = self.row.take()
            && self.item.context.is_none()
            && self.item.question.question.is_none()
        {
            return if self.is_cut {
                Err(E::custom(
                    "`truncated_cells`: the server has cut texts of this row; download the dataset's files",
                ))
            } else {
                // Elasticsearch has the id outside.
                let id = &mut row.question.other_id;
                *id = id.take().or(self.item.question.other_id);
                Ok(*row)
            };
        }
        self.find_context();
        let of_labels = self.item.question.foreign.take();
        self.item.foreign_inside = self.item.foreign_inside.or(of_labels);
        // Whoever wrote `answers` into Prodigy's tasks means them.
        let has_answers = self.item.question.answers != RawAnswers::Missing;
        self.item.foreign = self
            .item
            .foreign
            .filter(|f| !(has_answers && *f == foreign::PRODIGY));
        self.item.unread.extend(self.flat.unread.map(str::to_owned));
        self.item.question.join(self.flat);
        Ok(self.item)
    }

    /// Takes the context of questions from a field of another name.
    fn find_context(&mut self) {
        let item = &mut self.item;
        let question = &item.question;
        let has_question = question.question.is_some() || question.other_question.is_some();
        let has_questions = has_question || item.qas.is_some();
        let other = self.other_context.take();
        if item.context.is_none() && has_questions {
            // A text with its start is the answer, if another field may be the context.
            let has_answers =
                self.flat.answers.is_some() || item.question.answers != RawAnswers::Missing;
            let is_answer = other.is_some() && self.flat.starts.is_some() && !has_answers;
            let is_context = |text: &mut serde_json::Value| text.is_string() && !is_answer;
            if let Some(serde_json::Value::String(text)) = self.flat.text.take_if(is_context) {
                item.context = Some(Context::Text(text));
                return;
            }
            if other.is_some() && self.flat.unread.is_some() {
                item.foreign.get_or_insert(foreign::CANDIDATE_ANSWERS);
            }
            if item.foreign.is_none()
                && let Some((_, text)) = other
            {
                item.context = Some(Context::Text(text));
                return;
            }
        }
        if let Some((number, _)) = other {
            self.note_unknown(OTHER_CONTEXTS[number]);
        }
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
