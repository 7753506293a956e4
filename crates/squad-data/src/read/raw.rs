//! What a file says, before it is checked: one set of types for every form.
//!
//! Tools write the same facts in many ways: ids as numbers, `answer_start` as `33.0` or `"33"`, answers as a list of pairs
//! or a pair of lists. Each type here takes every way that occurs and keeps one.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::read::foreign::{Foreign, MAX_NAMES};
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
    /// A form that is known and not read.
    pub(super) foreign: Option<Foreign>,
    /// The first names of unknown fields, for messages.
    pub(super) unknown: Vec<String>,
}

/// A context, or something else of that name.
pub(super) enum Context {
    Text(String),
    Other,
}

/// A question and what is said about its answers.
#[derive(Default)]
pub(super) struct RawQuestion {
    pub(super) id: Option<String>,
    pub(super) question: Option<String>,
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
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawAnswer {
    /// Blank: no answer.
    pub(super) text: String,
    /// `answer_start`, in characters; may be outside the context.
    pub(super) start: Option<i64>,
}

/// An answer of MRQA: a text and its places, as inclusive ranges of characters.
#[derive(serde::Deserialize)]
#[serde(expecting = "a detected answer: an object with `text` and `char_spans`")]
pub(super) struct Detected {
    pub(super) text: String,
    #[serde(default)]
    pub(super) char_spans: Vec<(i64, i64)>,
}

/// A field of a [`RawItem`] or a [`RawQuestion`].
enum Key {
    Id,
    Qid,
    Title,
    Context,
    Question,
    Answers,
    AnswerText,
    AnswerStart,
    IsImpossible,
    DetectedAnswers,
    Qas,
    Paragraphs,
    Header,
    Foreign(Foreign),
    Unknown(Option<String>),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "id" => Key::Id,
                    "qid" => Key::Qid,
                    "title" => Key::Title,
                    "context" => Key::Context,
                    "question" => Key::Question,
                    "answers" => Key::Answers,
                    "answer" | "answer_text" | "answers.text" => Key::AnswerText,
                    "answer_start" | "answers.answer_start" => Key::AnswerStart,
                    "is_impossible" => Key::IsImpossible,
                    "detected_answers" => Key::DetectedAnswers,
                    "qas" => Key::Qas,
                    "paragraphs" => Key::Paragraphs,
                    "header" => Key::Header,
                    name => match Foreign::of_field(name) {
                        Some(foreign) => Key::Foreign(foreign),
                        None => Key::Unknown((name.len() <= 40).then(|| name.to_owned())),
                    },
                })
            }
        }
        from.deserialize_str(KeyVisitor)
    }
}

/// `answer_text` and `answer_start` as two fields of a row.
#[derive(Default)]
struct FlatAnswer {
    answers: Option<RawAnswers>,
    starts: Option<Starts>,
}

impl FlatAnswer {
    /// Joins the two fields, unless there are `answers`.
    fn join(self, answers: &mut RawAnswers) {
        if !matches!(answers, RawAnswers::Missing | RawAnswers::Null) {
            return;
        }
        match (self.answers, self.starts) {
            (Some(RawAnswers::Given(mut texts)), Some(starts)) => {
                let starts = starts.0;
                // An object has its own start.
                if texts.iter().any(|text| text.start.is_some()) || starts.is_empty() {
                    *answers = RawAnswers::Given(texts);
                } else if starts.len() == texts.len() {
                    for (text, start) in texts.iter_mut().zip(starts) {
                        text.start = start;
                    }
                    *answers = RawAnswers::Given(texts);
                } else {
                    *answers = RawAnswers::Unequal(texts.len(), starts.len());
                }
            }
            (Some(given), _) => *answers = given,
            (None, _) => {}
        }
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
        key: &Key,
        flat: &mut FlatAnswer,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match key {
            // MRQA has both; its predictions are keyed by `qid`.
            Key::Qid => self.id = map.next_value::<Scalar>()?.0.or(self.id.take()),
            Key::Id => self.id = self.id.take().or(map.next_value::<Scalar>()?.0),
            Key::Question => match map.next_value()? {
                Context::Text(text) => self.question = Some(text),
                Context::Other => return Err(de::Error::custom("the question is not a text")),
            },
            Key::Answers => self.answers = map.next_value()?,
            Key::AnswerText => flat.answers = Some(map.next_value()?),
            Key::AnswerStart => flat.starts = Some(map.next_value()?),
            Key::IsImpossible => self.is_impossible = map.next_value::<Flag>()?.0,
            Key::DetectedAnswers => self.detected = map.next_value()?,
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
                while let Some(key) = map.next_key::<Key>()? {
                    if question.field(&key, &mut flat, &mut map)? {
                        continue;
                    }
                    if let Key::Foreign(foreign) = key {
                        question.foreign = Some(foreign);
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                flat.join(&mut question.answers);
                Ok(question)
            }
        }
        from.deserialize_map(QuestionVisitor)
    }
}

/// Reads the fields of a [`RawItem`] one by one.
#[derive(Default)]
pub(super) struct ItemFields {
    item: RawItem,
    flat: FlatAnswer,
}

impl ItemFields {
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

    /// Takes the value of the field `name`.
    pub(super) fn take<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let name = de::value::StrDeserializer::<A::Error>::new(name);
        self.value(Key::deserialize(name)?, map)
    }

    fn value<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let item = &mut self.item;
        if item.question.field(&key, &mut self.flat, map)? {
            return Ok(());
        }
        match key {
            Key::Title => item.title = map.next_value::<Scalar>()?.0,
            Key::Context => item.context = Some(map.next_value()?),
            Key::Qas => item.qas = map.next_value()?,
            Key::Paragraphs => item.paragraphs = map.next_value()?,
            Key::Header => {
                map.next_value::<IgnoredAny>()?;
                item.is_header = true;
            }
            Key::Foreign(foreign) => {
                map.next_value::<IgnoredAny>()?;
                item.foreign = Some(foreign);
            }
            Key::Unknown(name) => {
                map.next_value::<IgnoredAny>()?;
                if item.unknown.len() < MAX_NAMES {
                    item.unknown.extend(name);
                }
            }
            // Fields of a question.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> RawItem {
        self.flat.join(&mut self.item.question.answers);
        self.item
    }
}

impl<'de> Deserialize<'de> for RawItem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = RawItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an article, a paragraph or a row: an object with `paragraphs`, or with `context` and `qas` or `question`",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawItem, A::Error> {
                let mut fields = ItemFields::default();
                while let Some(key) = map.next_key::<Key>()? {
                    fields.value(key, &mut map)?;
                }
                Ok(fields.finish())
            }
        }
        from.deserialize_map(ItemVisitor)
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

            fn visit_str<E>(self, text: &str) -> Result<Context, E> {
                Ok(Context::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Context, E> {
                Ok(Context::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Context, E> {
                Ok(Context::Text(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Context, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Context::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Context, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Context::Other)
            }
        }
        from.deserialize_any(ContextVisitor)
    }
}

/// An id, a title or an answer's text: a string, or a number as its decimal text.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar(Some(text)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(number.to_string())))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
                match whole(number) {
                    Some(number) => Ok(Scalar(Some(number.to_string()))),
                    None if number.is_nan() => Ok(Scalar(None)),
                    None => Err(E::invalid_type(de::Unexpected::Float(number), &self)),
                }
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }
        }
        from.deserialize_any(ScalarVisitor)
    }
}

/// A truth value: `true`, `"True"`, `1`; without a value for null and NaN.
struct Flag(Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl Visitor<'_> for FlagVisitor {
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
                if is(&["true", "1", "1.0", "yes"]) {
                    Ok(Flag(Some(true)))
                } else if is(&["false", "0", "0.0", "no"]) {
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
        impl Visitor<'_> for StartVisitor {
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
                    let value = literal::parse(trimmed).map_err(E::custom)?;
                    return RawAnswers::deserialize(value).map_err(E::custom);
                }
                if is_null(trimmed) {
                    return Ok(RawAnswers::Null);
                }
                Ok(RawAnswers::Given(vec![RawAnswer {
                    text: text.to_owned(),
                    start: None,
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
                    Err(E::invalid_type(de::Unexpected::Float(number), &self))
                }
            }

            fn visit_unit<E>(self) -> Result<RawAnswers, E> {
                Ok(RawAnswers::Null)
            }
        }
        from.deserialize_any(AnswersVisitor)
    }
}

/// `{"text": …, "answer_start": …}` with lists or single values.
fn pair_of_lists<'de, A: MapAccess<'de>>(mut map: A) -> Result<RawAnswers, A::Error> {
    let (mut texts, mut starts) = (None, None);
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "text" => texts = Some(map.next_value::<RawAnswers>()?),
            "answer_start" => starts = Some(map.next_value::<Starts>()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    let (texts, starts) = match (texts, starts) {
        (Some(RawAnswers::Given(texts)), starts) => (texts, starts),
        // A text that is null: no answer.
        (Some(_), _) => return Ok(RawAnswers::Given(Vec::new())),
        (None, Some(_)) => return Err(de::Error::missing_field("text")),
        (None, None) => {
            return Err(de::Error::custom(
                "no `text` and no `answer_start` in `answers`",
            ));
        }
    };
    let Some(Starts(starts)) = starts else {
        return Ok(RawAnswers::Given(texts));
    };
    if starts.len() != texts.len() && !(starts.is_empty() && texts.len() == 1) {
        return Ok(RawAnswers::Unequal(texts.len(), starts.len()));
    }
    let starts = starts.into_iter().chain(std::iter::repeat(None));
    let answers = texts.into_iter().zip(starts);
    Ok(RawAnswers::Given(
        answers
            .map(|(answer, start)| RawAnswer { start, ..answer })
            .collect(),
    ))
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
                let mut has_text = false;
                while let Some(key) = map.next_key::<AnswerKey>()? {
                    match key {
                        AnswerKey::Text => {
                            answer.text = map.next_value::<Scalar>()?.0.unwrap_or_default();
                            has_text = true;
                        }
                        AnswerKey::AnswerStart => answer.start = map.next_value::<Start>()?.0,
                        AnswerKey::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                if has_text {
                    Ok(answer)
                } else {
                    Err(de::Error::missing_field("text"))
                }
            }

            fn visit_str<E>(self, text: &str) -> Result<RawAnswer, E> {
                Ok(RawAnswer {
                    text: text.to_owned(),
                    start: None,
                })
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawAnswer, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawAnswer, E> {
                self.visit_str(&number.to_string())
            }
        }
        from.deserialize_any(AnswerVisitor)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum AnswerKey {
    Text,
    AnswerStart,
    #[serde(other)]
    Other,
}

/// Whether a cell stands for no value, as pandas and Python write it.
fn is_null(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || ["nan", "none", "null", "<na>", "n/a"]
            .iter()
            .any(|null| text.eq_ignore_ascii_case(null))
}

/// A floating-point number as a whole number, if it is one.
fn whole(number: f64) -> Option<i64> {
    // Beyond 2^53 not every whole number has a floating-point number of its own.
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}
