//! The answers of a question, in every way they are written.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::cause;
use super::field::{FIELD_KEY, Field, Key};
use super::values::{Scalar, Start, Starts, Texts, is_null, nested, python_text};
use crate::read::literal;

/// The answers of a question.
#[derive(Debug, Default, PartialEq)]
pub(in crate::read) enum RawAnswers {
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
pub(in crate::read) struct RawAnswer {
    /// Blank: no answer.
    pub(in crate::read) text: String,
    /// `answer_start`, in characters; may be outside the context.
    pub(in crate::read) start: Option<i64>,
    /// `start`, as annotation tools and pipelines write it: where the text stands if there is no `answer_start` and the
    /// context has it there.
    pub(in crate::read) hint: Option<i64>,
    /// Of an answer without a text: the character behind its last one.
    pub(in crate::read) end: Option<i64>,
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
pub(in crate::read) struct Detected {
    pub(in crate::read) text: String,
    pub(in crate::read) char_spans: Vec<(i64, i64)>,
}

/// `answer_text` and `answer_start` as two fields of a row.
#[derive(Default)]
pub(super) struct FlatAnswer {
    pub(super) answers: Option<RawAnswers>,
    pub(super) starts: Option<Starts>,
    pub(super) hints: Vec<Option<i64>>,
    pub(super) labels: Option<Vec<RawAnswer>>,
    /// The name of labels that are no spans.
    pub(super) unread: Option<&'static str>,
    /// The field `text`: the context of a row that has no other, else the answers beside `answer_start`.
    pub(super) text: Option<serde_json::Value>,
}

impl FlatAnswer {
    /// Takes labels that may be spans. The first that are count.
    pub(super) fn add_labels(&mut self, name: &'static str, labels: serde_json::Value) {
        let is_blank = labels.is_null() || labels.as_str().is_some_and(is_null);
        let found = spans(labels);
        // By their names others may be anything.
        let says_answers = matches!(name, "label" | "labels");
        if found.is_none() && !is_blank && says_answers {
            self.unread = Some(name);
        }
        if self.labels.as_ref().is_none_or(Vec::is_empty) {
            self.labels = found.or(self.labels.take());
        }
    }

    /// Joins the fields. `answers` say more than a text.
    pub(super) fn join(self, answers: &mut RawAnswers) {
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
                while let Some(element) = list.next_element::<Option<Element>>()? {
                    match element {
                        Some(Element::One(answer)) => answers.push(answer),
                        Some(Element::Several(several)) => answers.extend(several),
                        None => answers.push(RawAnswer::default()),
                    }
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
pub(super) fn hints<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<Option<i64>>, A::Error> {
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
        match Element::deserialize(from)? {
            Element::One(answer) => Ok(answer),
            Element::Several(_) => Err(de::Error::custom("several answers in the place of one")),
        }
    }
}

/// What stands in a list of answers: an answer, or the Hub's `{"text": […], "answer_start": […]}` of several, which people
/// put into a list.
enum Element {
    One(RawAnswer),
    Several(Vec<RawAnswer>),
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnswerVisitor;
        impl<'de> Visitor<'de> for AnswerVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer: an object with `text` and `answer_start`, or a text")
            }

            /// A pair of a text and its start, in either order, as ParsiNLU and Python's tuples have it, or a text alone.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Element, A::Error> {
                use serde_json::Value;
                let no_answer = || de::Error::invalid_type(de::Unexpected::Seq, &self);
                let first: Value = list.next_element()?.ok_or_else(no_answer)?;
                let second: Option<Value> = list.next_element()?;
                if list.next_element::<IgnoredAny>()?.is_some() {
                    return Err(no_answer());
                }
                let (text, start) = match (first, second) {
                    (Value::String(text), Some(Value::Number(start)))
                    | (Value::Number(start), Some(Value::String(text))) => (text, Some(start)),
                    (Value::String(text), None) => (text, None),
                    _ => return Err(no_answer()),
                };
                let start = start.map(Start::deserialize).transpose();
                let start = start.map_err(de::Error::custom)?;
                Ok(Element::One(RawAnswer {
                    text,
                    start: start.and_then(|Start(start)| start),
                    ..RawAnswer::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
                let mut answer = RawAnswer::default();
                let (mut has_text, mut other) = (false, None);
                let (mut foreign, mut end) = (None, None);
                let (mut several, mut starts) = (Vec::new(), Vec::new());
                while let Some(key) = map.next_key_seed(FIELD_KEY)? {
                    match key {
                        Key::Field(Field::Text) => {
                            let Texts(mut texts) = map.next_value()?;
                            if texts.len() < 2 {
                                answer.text = texts.pop().unwrap_or_default();
                            } else {
                                several = texts;
                            }
                            has_text = true;
                        }
                        Key::Field(Field::AnswerText) => {
                            other = Some(map.next_value::<serde_json::Value>()?);
                        }
                        Key::Field(Field::AnswerStart) => {
                            let read = map.next_value::<Starts>();
                            starts = read.map_err(|error| cause(error, foreign))?.0;
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
                let num_texts = several.len().max(1);
                if num_texts.max(starts.len()) > 1 && num_texts != starts.len() {
                    let error = de::Error::custom(format_args!(
                        "{num_texts} in `text` and {} in `answer_start`; give each answer one entry in both",
                        starts.len()
                    ));
                    return Err(cause(error, foreign));
                }
                if !several.is_empty() {
                    let several = several.into_iter().zip(starts);
                    let several = several.map(|(text, start)| RawAnswer {
                        text,
                        start,
                        ..RawAnswer::default()
                    });
                    return Ok(Element::Several(several.collect()));
                }
                answer.start = starts.first().copied().flatten();
                let other = other.filter(|_| foreign.is_none());
                let other = || Scalar::deserialize(other?).ok();
                if !has_text && let Some(Scalar(text)) = other() {
                    answer.text = text.unwrap_or_default();
                    has_text = true;
                }
                if has_text {
                    return Ok(Element::One(answer));
                }
                RawAnswer::of_span(answer.start.or(answer.hint), end)
                    .map(Element::One)
                    .ok_or_else(|| cause(de::Error::missing_field("text"), foreign))
            }

            fn visit_str<E>(self, text: &str) -> Result<Element, E> {
                Ok(Element::One(RawAnswer {
                    text: text.to_owned(),
                    ..RawAnswer::default()
                }))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Element, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Element, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Element, E> {
                self.visit_str(&python_text(number))
            }
        }
        from.deserialize_any(AnswerVisitor)
    }
}

/// MRQA's `detected_answers`: a list of objects, or with the Hub's rows an object of lists.
pub(super) struct DetectedAnswers(pub(super) Option<Vec<Detected>>);

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
                let all = text.0.into_iter().zip(spans);
                let all = all.map(|(text, char_spans)| Detected { text, char_spans });
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
