//! What a file says, before it is checked: one set of types for every form.
//!
//! Tools write the same facts in many ways: ids as numbers, `answer_start` as `33.0` or `"33"`, answers as a list of pairs
//! or a pair of lists. Each type here takes every way that occurs and keeps one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess,
    SeqAccess, Visitor,
};

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

/// The answers of a question.
#[derive(Debug, Default, PartialEq)]
pub(super) enum RawAnswers {
    /// There is no such field.
    #[default]
    Missing,
    /// The field has no value.
    Null,
    Given(Vec<RawAnswer>),
    /// Two lists of these different lengths.
    Unequal(usize, usize),
    /// A text that may stand for something else: for no value, such as `none`, or for a list, such as `[1]`. Only the
    /// context tells.
    Doubtful(RawAnswer, Box<RawAnswers>),
}

impl RawAnswers {
    /// Gives these starts to the answers, unless one has its own.
    fn with_starts(self, starts: Vec<Option<i64>>) -> Self {
        let mut answers = match self {
            Self::Given(answers) => answers,
            Self::Doubtful(answer, other) => {
                let start = answer.start.or(starts.first().copied().flatten());
                let other = Box::new(other.with_starts(starts));
                return Self::Doubtful(RawAnswer { start, ..answer }, other);
            }
            other => return other,
        };
        let says_nothing = |start: &Option<i64>| match start {
            // Of no answer.
            Some(start) => answers.is_empty() && *start <= 0,
            None => true,
        };
        let has_own = answers.iter().any(|answer| answer.start.is_some());
        if has_own || starts.iter().all(says_nothing) {
            return Self::Given(answers);
        }
        if starts.len() != answers.len() {
            return Self::Unequal(answers.len(), starts.len());
        }
        for (answer, start) in answers.iter_mut().zip(starts) {
            answer.start = start;
        }
        Self::Given(answers)
    }

    /// Gives these hints to the answers that have none of their own.
    fn with_hints(mut self, hints: Vec<Option<i64>>) -> Self {
        let answers = match &mut self {
            Self::Given(answers) => answers.as_mut_slice(),
            Self::Doubtful(answer, other) => {
                **other = std::mem::take(&mut **other).with_hints(hints.clone());
                std::slice::from_mut(answer)
            }
            _ => &mut [],
        };
        for (answer, hint) in answers.iter_mut().zip(hints) {
            answer.hint = answer.hint.or(hint);
        }
        self
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawAnswer {
    /// Blank: no answer.
    pub(super) text: String,
    /// `answer_start`, in characters; may be outside the context.
    pub(super) start: Option<i64>,
    /// `start`, as annotation tools and pipelines write it: where the text stands if there is no `answer_start` and the
    /// context has it there.
    pub(super) hint: Option<i64>,
    /// Of an answer without a text: the character behind its last one.
    pub(super) end: Option<i64>,
}

impl RawAnswer {
    /// An answer that has no text but its place; `None` if one of both is missing.
    fn of_span(start: Option<i64>, end: Option<i64>) -> Option<Self> {
        Some(Self {
            start: Some(start?),
            end: Some(end?),
            ..Self::default()
        })
    }
}

/// An answer of MRQA: a text and its places, as inclusive ranges of characters.
#[derive(Debug, PartialEq)]
pub(super) struct Detected {
    pub(super) text: String,
    pub(super) char_spans: Vec<(i64, i64)>,
}

/// A field that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
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
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::named(name).or_else(|| Self::named(&plain(name)).filter(Self::is_of_people))
    }

    /// The field of this name: the one list of names, for JSON, CSV and Parquet.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            // CMRC 2018 has `query_id`, `query_text` and `context_text` in its own form.
            "id" => Self::Id,
            "query_id" | "question_id" | "guid" => Self::OtherId,
            "qid" => Self::Qid,
            "title" => Self::Title,
            "context" | "context_text" => Self::Context,
            "question" | "query_text" => Self::Question,
            "answers" => Self::Answers,
            // pandas' json_normalize joins names with dots, TFDS's as_dataframe with slashes.
            "answer" | "answer_text" | "answers.text" | "answers/text" => Self::AnswerText,
            "answer_start" | "answers.answer_start" | "answers/answer_start" => Self::AnswerStart,
            "start" | "start_char" | "start_offset" | "answerStart" | "answerstart"
            | "answer_starts" => Self::Hint,
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
    pub(super) fn make_questions(columns: &[Self]) -> bool {
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
    pub(super) fn may_be_another(self) -> bool {
        matches!(
            self,
            Self::Hint | Self::End | Self::OtherId | Self::Labels(_)
        )
    }

    /// The field of a table's column of this name.
    #[cfg(any(feature = "csv", feature = "parquet"))]
    pub(super) fn of_column(name: &str) -> Option<Self> {
        Self::of(name).filter(Self::is_of_people)
    }
}

/// Whether the name of a field that is not read says that it may have answers: `gold_answer_2`, `label_text`.
pub(super) fn may_have_answers(name: &str) -> bool {
    let name = plain(name);
    // SQuAD 2.0's wrong answers.
    (name.contains("answer") || name.contains("label")) && name != "plausible_answers"
}

/// A field's name in lower case, without white space around it and with `_` between its words.
pub(crate) fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    name.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The name of a field of a [`RawItem`] or a [`RawQuestion`].
enum Key {
    Field(Field),
    Foreign(Foreign),
    /// The name, if it is asked for and short.
    Unknown(Option<String>),
}

/// Reads a [`Key`].
#[derive(Clone, Copy)]
struct KeySeed {
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

/// `answer_text` and `answer_start` as two fields of a row.
#[derive(Default)]
struct FlatAnswer {
    answers: Option<RawAnswers>,
    starts: Option<Starts>,
    hints: Vec<Option<i64>>,
    labels: Option<Vec<RawAnswer>>,
    /// The name of labels that are no spans.
    unread: Option<&'static str>,
    /// The field `text`: the context of a row that has no other, else the answers beside `answer_start`.
    text: Option<serde_json::Value>,
}

impl FlatAnswer {
    /// Joins the fields. `answers` say more than a text.
    fn join(self, answers: &mut RawAnswers) {
        let given = std::mem::take(answers);
        let text = self.text.filter(|_| self.starts.is_some());
        let texts = || RawAnswers::deserialize(text?).ok();
        let flat = match given {
            RawAnswers::Given(_) | RawAnswers::Unequal(..) => None,
            _ => self.answers.or_else(texts),
        };
        let says_something = |flat: &RawAnswers| *flat != RawAnswers::Null;
        let joined = match given {
            RawAnswers::Missing => flat.unwrap_or(given),
            _ => flat.filter(says_something).unwrap_or(given),
        };
        let mut starts = self.starts.unwrap_or_default().0;
        let mut hints = self.hints;
        let joined = match (joined, self.labels) {
            (RawAnswers::Missing | RawAnswers::Null, Some(labels)) => RawAnswers::Given(labels),
            // The places of the answers.
            (joined, Some(labels)) if hints.is_empty() => {
                hints = labels
                    .iter()
                    .map(|label| label.start.or(label.hint))
                    .collect();
                joined
            }
            (joined, _) => joined,
        };
        // One start beside several answers is that of one of them.
        if let (RawAnswers::Given(answers), [start]) = (&joined, &starts[..])
            && answers.len() > 1
        {
            hints = vec![*start; answers.len()];
            starts.clear();
        }
        *answers = joined.with_starts(starts).with_hints(hints);
    }
}

impl RawQuestion {
    /// Whether nothing of a question is there.
    pub(super) fn is_empty(&self) -> bool {
        self.id.is_none() && self.question.is_none() && self.answers == RawAnswers::Missing
    }

    /// Takes a field of a question; `false` if it is none.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        field: Field,
        flat: &mut FlatAnswer,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match field {
            // MRQA has both; its predictions are keyed by `qid`.
            Field::Qid => self.id = map.next_value::<Scalar>()?.0.or(self.id.take()),
            Field::Id => self.id = self.id.take().or(map.next_value::<Scalar>()?.0),
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

/// For fields of a question or an answer.
const FIELD_KEY: KeySeed = KeySeed {
    keep_unknown: false,
};

/// Names of unknown fields of an item are for messages.
const ITEM_KEY: KeySeed = KeySeed { keep_unknown: true };

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

/// The form that alone has one of the names in a value: in an object, in an object in it, or in a list of these.
struct ForeignInside(Option<Foreign>);

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

/// A list, or a text that holds one, as a cell of a table does; no value for null.
struct Listed<T>(Option<Vec<T>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for ListVisitor<T> {
            type Value = Listed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listed<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(element) = list.next_element::<Option<T>>()? {
                    all.extend(element);
                }
                Ok(Listed(Some(all)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listed<T>, E> {
                nested(text).map(Listed)
            }

            fn visit_unit<E>(self) -> Result<Listed<T>, E> {
                Ok(Listed(None))
            }
        }
        from.deserialize_any(ListVisitor(PhantomData))
    }
}

/// The value that a text holds as JSON or as a Python literal; none of a text that stands for no value.
pub(super) fn nested<T: DeserializeOwned, E: de::Error>(text: &str) -> Result<Option<T>, E> {
    if is_null(text) {
        return Ok(None);
    }
    let value = literal::parse(text.trim()).map_err(E::custom)?;
    T::deserialize(value).map(Some).map_err(E::custom)
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

/// The value of a list of one, as R's jsonlite writes a single value; `None` of an empty list. More values are the error
/// `several`.
fn only<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    mut list: A,
    several: impl FnOnce() -> A::Error,
) -> Result<Option<T>, A::Error> {
    let first = list.next_element()?;
    if list.next_element::<IgnoredAny>()?.is_some() {
        return Err(several());
    }
    Ok(first)
}

/// An id, a title or an answer's text: a string, or a number as its decimal text.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                self.visit_string(text.to_owned())
            }

            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar(Some(literal::of_bytes(&text).unwrap_or(text))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
                match decimal(number) {
                    Some(text) => Ok(Scalar(Some(text))),
                    None if number.is_nan() => Ok(Scalar(None)),
                    None => Err(E::custom(rounded(number))),
                }
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalar, A::Error> {
                let only = only(list, || by_column("a list"))?;
                Ok(only.unwrap_or(Scalar(None)))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar, A::Error> {
                Err(by_column("an object"))
            }
        }

        fn by_column<E: de::Error>(found: &str) -> E {
            E::custom(format_args!(
                "{found} instead of a text or a number; if the file goes by columns, {BY_COLUMN}"
            ))
        }
        from.deserialize_any(ScalarVisitor)
    }
}

/// A truth value: `true`, `"True"`, `1`; without a value for null and NaN.
struct Flag(Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl<'de> Visitor<'de> for FlagVisitor {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(Some(value)))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Flag, E> {
                match number {
                    0 | 1 => Ok(Flag(Some(number == 1))),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Flag, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Flag, E> {
                match number {
                    0.0 | 1.0 => Ok(Flag(Some(number == 1.0))),
                    _ if number.is_nan() => Ok(Flag(None)),
                    _ => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Flag, E> {
                let word = text.trim();
                let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
                if is(&["true", "t", "1", "1.0", "yes", "y"]) {
                    Ok(Flag(Some(true)))
                } else if is(&["false", "f", "0", "0.0", "no", "n"]) {
                    Ok(Flag(Some(false)))
                } else if is_null(word) {
                    Ok(Flag(None))
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Flag, A::Error> {
                let several = || de::Error::invalid_type(de::Unexpected::Seq, &self);
                Ok(only(list, several)?.unwrap_or(Flag(None)))
            }
        }
        from.deserialize_any(FlagVisitor)
    }
}

/// One `answer_start` or a list of them.
#[derive(Default)]
struct Starts(Vec<Option<i64>>);

/// An `answer_start`: `33`, `33.0` or `"33"`.
struct Start(Option<i64>);

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StartVisitor;
        impl<'de> Visitor<'de> for StartVisitor {
            type Value = Start;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Start, E> {
                Ok(Start(Some(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Start, E> {
                Ok(Start(Some(i64::try_from(number).unwrap_or(i64::MAX))))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Start, E> {
                match whole(number) {
                    Some(number) => Ok(Start(Some(number))),
                    None if number.is_nan() => Ok(Start(None)),
                    None => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Start, E> {
                let number = text.trim();
                if let Ok(number) = number.parse() {
                    return Ok(Start(Some(number)));
                }
                if is_null(number) {
                    return Ok(Start(None));
                }
                match number.parse::<f64>().ok().and_then(whole) {
                    Some(number) => Ok(Start(Some(number))),
                    None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_unit<E>(self) -> Result<Start, E> {
                Ok(Start(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Start, A::Error> {
                let several = || de::Error::invalid_type(de::Unexpected::Seq, &self);
                Ok(only(list, several)?.unwrap_or(Start(None)))
            }
        }
        from.deserialize_any(StartVisitor)
    }
}

impl<'de> Deserialize<'de> for Starts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StartsVisitor;
        impl<'de> Visitor<'de> for StartsVisitor {
            type Value = Starts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Starts, A::Error> {
                let mut starts = Vec::new();
                while let Some(Start(start)) = list.next_element()? {
                    starts.push(start);
                }
                Ok(Starts(starts))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Starts, E> {
                Ok(Starts(vec![Some(number)]))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Starts, E> {
                one(de::value::U64Deserializer::new(number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Starts, E> {
                one(de::value::F64Deserializer::new(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Starts, E> {
                if text.trim_start().starts_with(['[', '(', 'a']) {
                    let value = literal::parse(text).map_err(E::custom)?;
                    return Starts::deserialize(value).map_err(E::custom);
                }
                one(de::value::StrDeserializer::new(text))
            }

            fn visit_unit<E>(self) -> Result<Starts, E> {
                Ok(Starts(vec![]))
            }
        }

        fn one<'de, D: Deserializer<'de>>(from: D) -> Result<Starts, D::Error> {
            let Start(start) = Start::deserialize(from)?;
            Ok(Starts(vec![start]))
        }
        from.deserialize_any(StartsVisitor)
    }
}

impl<'de> Deserialize<'de> for RawAnswers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnswersVisitor;
        impl<'de> Visitor<'de> for AnswersVisitor {
            type Value = RawAnswers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("answers: a list of objects with `text` and `answer_start`, or an object with two lists, `text` and `answer_start`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawAnswers, A::Error> {
                let mut answers = Vec::new();
                while let Some(answer) = list.next_element::<Option<RawAnswer>>()? {
                    answers.push(answer.unwrap_or_default());
                }
                answers.shrink_to_fit();
                Ok(RawAnswers::Given(answers))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawAnswers, A::Error> {
                pair_of_lists(map)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawAnswers, E> {
                let trimmed = text.trim();
                if trimmed.starts_with(['[', '{']) || trimmed.starts_with("array(") {
                    let has_values = trimmed.contains(['\'', '"', ':']) || trimmed.contains("...");
                    match literal::parse(trimmed) {
                        Ok(value) => {
                            let list = RawAnswers::deserialize(value).map_err(E::custom)?;
                            let is_empty = list == RawAnswers::Given(Vec::new());
                            let may_be_text = !has_values && !is_empty && trimmed.starts_with('[');
                            return Ok(if may_be_text {
                                doubtful(text, list)
                            } else {
                                list
                            });
                        }
                        Err(problem) if has_values => return Err(E::custom(problem)),
                        // The text of an answer, such as `{x}`.
                        Err(_) => {}
                    }
                }
                if trimmed.is_empty() {
                    return Ok(RawAnswers::Null);
                }
                if is_null(trimmed) {
                    return Ok(doubtful(text, RawAnswers::Null));
                }
                Ok(RawAnswers::Given(vec![RawAnswer {
                    text: literal::of_bytes(trimmed).unwrap_or_else(|| text.to_owned()),
                    ..RawAnswer::default()
                }]))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawAnswers, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawAnswers, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<RawAnswers, E> {
                if number.is_nan() {
                    Ok(RawAnswers::Null)
                } else {
                    self.visit_str(&python_text(number))
                }
            }

            fn visit_unit<E>(self) -> Result<RawAnswers, E> {
                Ok(RawAnswers::Null)
            }
        }
        fn doubtful(text: &str, other: RawAnswers) -> RawAnswers {
            let answer = RawAnswer {
                text: text.to_owned(),
                ..RawAnswer::default()
            };
            RawAnswers::Doubtful(answer, Box::new(other))
        }
        from.deserialize_any(AnswersVisitor)
    }
}

/// The starts that a hint gives, one or a list of them; none if it is something else.
fn hints<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<Option<i64>>, A::Error> {
    let value: serde_json::Value = map.next_value()?;
    Ok(Starts::deserialize(value).unwrap_or_default().0)
}

/// The spans that annotation tools write as labels: objects with `start` and `end`, also with a `text`, or doccano's
/// `[3, 9, "ANSWER"]`. `None` of anything else, such as the number of a class.
fn spans(labels: serde_json::Value) -> Option<Vec<RawAnswer>> {
    use serde_json::Value;
    let span = |label: Value| match label {
        Value::Array(parts) => match &parts[..] {
            [start, end, ..] => RawAnswer::of_span(start.as_i64(), end.as_i64()),
            _ => None,
        },
        label => {
            let answer = RawAnswer::deserialize(label).ok();
            answer.filter(|answer| answer.start.or(answer.hint).is_some())
        }
    };
    match labels {
        Value::String(text) => spans(literal::parse(text.trim()).ok()?),
        Value::Array(labels) => labels.into_iter().map(span).collect(),
        label => span(label).map(|span| vec![span]),
    }
}

/// `{"text": …, "answer_start": …}` with lists or single values.
fn pair_of_lists<'de, A: MapAccess<'de>>(mut map: A) -> Result<RawAnswers, A::Error> {
    let (mut texts, mut other, mut starts, mut foreign) = (None, None, None, None);
    let (mut hinted, mut ends) = (Vec::new(), Vec::new());
    let mut is_empty = true;
    while let Some(key) = map.next_key_seed(FIELD_KEY)? {
        is_empty = false;
        match key {
            Key::Field(Field::Text) => texts = Some(map.next_value::<RawAnswers>()?),
            Key::Field(Field::AnswerText) => other = Some(map.next_value::<serde_json::Value>()?),
            Key::Field(Field::AnswerStart) => starts = Some(map.next_value::<Starts>()?),
            Key::Field(Field::Hint) => hinted = hints(&mut map)?,
            Key::Field(Field::End) => ends = hints(&mut map)?,
            Key::Foreign(found) => {
                map.next_value::<IgnoredAny>()?;
                foreign = Some(found);
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    // In Haystack's labels an answer has an `answer`, and what else it has says what it is.
    let other = other.filter(|_| foreign.is_none());
    let other = || RawAnswers::deserialize(other?).ok();
    let texts = match (texts.or_else(other), &starts) {
        // A text that is null: no answer.
        (Some(RawAnswers::Null), _) => return Ok(RawAnswers::Given(Vec::new())),
        (Some(texts), _) => texts,
        // An object without fields: no answer.
        (None, None) if is_empty => return Ok(RawAnswers::Given(Vec::new())),
        (None, None) if !ends.is_empty() && hinted.len() == ends.len() => {
            let spans = hinted.into_iter().zip(ends);
            let spans = spans.filter_map(|(start, end)| RawAnswer::of_span(start, end));
            return Ok(RawAnswers::Given(spans.collect()));
        }
        (None, Some(_)) => return Err(cause(de::Error::missing_field("text"), foreign)),
        (None, None) => {
            let error = de::Error::custom("no `text` and no `answer_start` in `answers`");
            return Err(cause(error, foreign));
        }
    };
    let starts = starts.map(|Starts(starts)| starts);
    if let (RawAnswers::Given(texts), Some([])) = (&texts, starts.as_deref())
        && texts.len() > 1
    {
        return Ok(RawAnswers::Unequal(texts.len(), 0));
    }
    let texts = texts.with_starts(starts.unwrap_or_default());
    Ok(texts.with_hints(hinted))
}

impl<'de> Deserialize<'de> for RawAnswer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnswerVisitor;
        impl<'de> Visitor<'de> for AnswerVisitor {
            type Value = RawAnswer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer: an object with `text` and `answer_start`, or a text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawAnswer, A::Error> {
                let mut answer = RawAnswer::default();
                let (mut has_text, mut other) = (false, None);
                let (mut foreign, mut end) = (None, None);
                while let Some(key) = map.next_key_seed(FIELD_KEY)? {
                    match key {
                        Key::Field(Field::Text) => {
                            answer.text = map.next_value::<Scalar>()?.0.unwrap_or_default();
                            has_text = true;
                        }
                        Key::Field(Field::AnswerText) => {
                            other = Some(map.next_value::<serde_json::Value>()?);
                        }
                        Key::Field(Field::AnswerStart) => {
                            answer.start = map.next_value::<Start>()?.0;
                        }
                        Key::Field(Field::Hint) => {
                            answer.hint = hints(&mut map)?.first().copied().flatten();
                        }
                        Key::Field(Field::End) => {
                            end = hints(&mut map)?.first().copied().flatten();
                        }
                        Key::Foreign(found) => {
                            map.next_value::<IgnoredAny>()?;
                            foreign = Some(found);
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let other = other.filter(|_| foreign.is_none());
                let other = || Scalar::deserialize(other?).ok();
                if !has_text && let Some(Scalar(text)) = other() {
                    answer.text = text.unwrap_or_default();
                    has_text = true;
                }
                if has_text {
                    return Ok(answer);
                }
                RawAnswer::of_span(answer.start.or(answer.hint), end)
                    .ok_or_else(|| cause(de::Error::missing_field("text"), foreign))
            }

            fn visit_str<E>(self, text: &str) -> Result<RawAnswer, E> {
                Ok(RawAnswer {
                    text: text.to_owned(),
                    ..RawAnswer::default()
                })
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawAnswer, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawAnswer, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<RawAnswer, E> {
                self.visit_str(&python_text(number))
            }
        }
        from.deserialize_any(AnswerVisitor)
    }
}

/// MRQA's `detected_answers`: a list of objects, or with the Hub's rows an object of lists.
struct DetectedAnswers(Option<Vec<Detected>>);

impl<'de> Deserialize<'de> for DetectedAnswers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct One {
            text: Scalar,
            #[serde(default)]
            char_spans: Spans,
        }

        #[derive(serde::Deserialize)]
        struct Lists {
            text: Texts,
            #[serde(default)]
            char_spans: Vec<Spans>,
        }

        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Texts {
            Many(Vec<Scalar>),
            One(Scalar),
        }

        struct DetectedVisitor;
        impl<'de> Visitor<'de> for DetectedVisitor {
            type Value = DetectedAnswers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("detected answers: a list of objects with `text` and `char_spans`")
            }

            fn visit_unit<E>(self) -> Result<DetectedAnswers, E> {
                Ok(DetectedAnswers(None))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DetectedAnswers, E> {
                Ok(nested::<Self::Value, E>(text)?.unwrap_or(DetectedAnswers(None)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(One { text, char_spans }) = list.next_element()? {
                    let (text, char_spans) = (text.0.unwrap_or_default(), char_spans.0);
                    all.push(Detected { text, char_spans });
                }
                Ok(DetectedAnswers(Some(all)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Lists { text, char_spans } =
                    Lists::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let spans = char_spans.into_iter().map(|spans| spans.0);
                let spans = spans.chain(std::iter::repeat_with(Vec::new));
                let texts = match text {
                    Texts::Many(texts) => texts,
                    Texts::One(text) => vec![text],
                };
                let all = texts.into_iter().zip(spans);
                let all = all.map(|(text, char_spans)| Detected {
                    text: text.0.unwrap_or_default(),
                    char_spans,
                });
                Ok(DetectedAnswers(Some(all.collect())))
            }
        }
        from.deserialize_any(DetectedVisitor)
    }
}

/// Ranges as `[[0, 7]]`, or with the Hub's rows as `{"start": [0], "end": [7]}` or `[{"start": 0, "end": 7}]`, or one object.
#[derive(Default)]
struct Spans(Vec<(i64, i64)>);

impl<'de> Deserialize<'de> for Spans {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged, expecting = "`char_spans`: a list of pairs of characters")]
        enum Any {
            Pairs(Vec<(i64, i64)>),
            Objects(Vec<Object>),
            Lists { start: Vec<i64>, end: Vec<i64> },
            One(Object),
        }

        #[derive(serde::Deserialize)]
        struct Object {
            start: i64,
            end: i64,
        }
        Ok(Self(match Any::deserialize(from)? {
            Any::Pairs(pairs) => pairs,
            Any::Objects(objects) => objects.iter().map(|o| (o.start, o.end)).collect(),
            Any::Lists { start, end } => start.into_iter().zip(end).collect(),
            Any::One(Object { start, end }) => vec![(start, end)],
        }))
    }
}

/// Whether a cell stands for no value, as pandas, Python and MySQL write it.
fn is_null(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || text == "\\N"
        || ["nan", "none", "null", "<na>", "n/a"]
            .iter()
            .any(|null| text.eq_ignore_ascii_case(null))
        // R's; `na` is a word.
        || text == "NA"
}

/// Beyond 2^53 not every whole number has a floating-point number of its own.
const MAX_EXACT: f64 = 9.0e15;

/// A floating-point number as a whole number, if it is one.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < MAX_EXACT).then_some(number as i64)
}

/// A floating-point number as people write it: `262` for 262.0.
fn decimal(number: f64) -> Option<String> {
    (number.abs() < MAX_EXACT).then(|| number.to_string())
}

/// A floating-point number as Python's `str` writes it, for texts that scripts score as such: CMRC 2018's own file has answers
/// such as 147.0, which its script takes as `147.0`.
fn python_text(number: f64) -> String {
    if number.abs() < 1e16 && (number == 0.0 || number.abs() >= 1e-4) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    // Python writes the exponent's sign, and at least two of its digits.
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

/// What is wrong with a number of more digits than a floating-point number has.
fn rounded(number: f64) -> String {
    format!(
        "{number:e} is no longer what was written; write a number of more than 15 digits as a text"
    )
}

/// The text of a number that stands for an id or an answer.
pub(crate) fn number_text(number: &serde_json::Number) -> Result<String, String> {
    match number.as_f64() {
        Some(float) if number.is_f64() => decimal(float).ok_or_else(|| rounded(float)),
        _ => Ok(number.to_string()),
    }
}
