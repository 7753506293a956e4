//! JSON and JSON Lines to examples: a document of articles, or rows of a flat file.
//!
//! Formats: Rajpurkar et al. 2016 (v1.1) and 2018 (v2.0), <https://rajpurkar.github.io/SQuAD-explorer/>; rows as in the
//! datasets `squad` and `squad_v2` of the Hugging Face Hub. Articles go to the [`ExampleBuilder`] one by one, so the
//! document as a whole is never in memory.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

use crate::error::{Error, one_line};
use crate::read::builder::{ExampleBuilder, FlatAnswers, Location, RawRow};
use crate::read::text::{Position, TextReader};

/// Reads one document, or rows, and gives the questions to the builder. Returns the document's version.
pub(super) fn parse(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    if !text.skip_space()? {
        return Err(Error::Empty {
            file: text.name().to_owned(),
            problem: "the file is empty",
        });
    }
    let mut only_row = false;
    loop {
        let start = text.position();
        match value(text, start, TopLevelSeed { builder, only_row })? {
            TopLevel::Row(row) => builder.row(Location::Line(start.lines + 1), row)?,
            TopLevel::Document { .. } if text.skip_space()? => {
                let Position { lines, bytes, .. } = text.position();
                return Err(Error::Json {
                    file: text.name().to_owned(),
                    line: lines + 1,
                    column: bytes + 1,
                    problem: "trailing characters".to_owned(),
                });
            }
            TopLevel::Document { version } => return Ok(version),
        }
        if !text.skip_space()? {
            return Ok(None);
        }
        only_row = true;
    }
}

/// Reads one top-level value, which begins at `start`.
fn value(
    text: &mut TextReader<'_>,
    start: Position,
    expected: TopLevelSeed<'_, '_>,
) -> Result<TopLevel, Error> {
    let TopLevelSeed { builder, only_row } = expected;
    let mut track = Track::new();
    let mut json = serde_json::Deserializer::from_reader(&mut *text);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = TopLevelSeed {
        builder: &mut *builder,
        only_row,
    }
    .deserialize(tracked);
    read.map_err(|error| {
        // The error for which the deserializer was stopped says more than the deserializer's own.
        let cause = builder.fault.take().or_else(|| text.take_fault());
        cause.unwrap_or_else(|| json_error(text.name(), start, one_line(&track.path()), &error))
    })
}

fn json_error(file: &str, start: Position, path: String, error: &serde_json::Error) -> Error {
    let file = file.to_owned();
    // The deserializer counts from the start of the value.
    let line = start.lines + error.line().max(1);
    let column = match error.line() {
        0 | 1 => start.bytes + error.column().max(1),
        _ => error.column().max(1),
    };
    let message = one_line(error);
    let mut problem = match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    };
    // Valid JSON, but not SQuAD's shape. The limit keeps the stack from overflowing.
    let too_deep = problem == "recursion limit exceeded";
    if too_deep {
        problem = "lists and objects are nested too deeply".to_owned();
    }
    if error.is_data() || too_deep {
        let path = if path == "." {
            "the top level".to_owned()
        } else {
            path
        };
        Error::Shape {
            file,
            line,
            column,
            path,
            problem,
        }
    } else {
        Error::Json {
            file,
            line,
            column,
            problem,
        }
    }
}

/// A value at the top level of a text.
enum TopLevel {
    /// A document, whose questions are in the builder already.
    Document {
        /// Its `version`, if it has one.
        version: Option<String>,
    },
    /// A row of a flat file.
    Row(RawRow),
}

/// Reads a [`TopLevel`].
struct TopLevelSeed<'b, 'f> {
    builder: &'b mut ExampleBuilder<'f>,
    /// Only a row is allowed, because rows came before.
    only_row: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Version,
    Data,
    Id,
    Title,
    Context,
    Question,
    Answers,
    IsImpossible,
    #[serde(other)]
    Unknown,
}

#[derive(Default)]
struct RowFields {
    id: Option<String>,
    title: Option<String>,
    context: Option<String>,
    question: Option<String>,
    answers: Option<FlatAnswers>,
    is_impossible: Option<bool>,
}

impl RowFields {
    fn is_row(&self) -> bool {
        self.id.is_some()
            || self.context.is_some()
            || self.question.is_some()
            || self.answers.is_some()
    }

    fn finish<E: de::Error>(self) -> Result<RawRow, E> {
        let missing = E::missing_field;
        Ok(RawRow {
            id: self.id.ok_or_else(|| missing("id"))?,
            title: self.title,
            context: self.context.ok_or_else(|| missing("context"))?,
            question: self.question.ok_or_else(|| missing("question"))?,
            answers: self.answers.ok_or_else(|| missing("answers"))?,
            is_impossible: self.is_impossible,
        })
    }
}

impl<'de> DeserializeSeed<'de> for TopLevelSeed<'_, '_> {
    type Value = TopLevel;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<TopLevel, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopLevelSeed<'_, '_> {
    type Value = TopLevel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.only_row {
            "a row: an object with `id`, `context`, `question` and `answers`"
        } else {
            "an object with `data`, a list of articles"
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
        let mut row = RowFields::default();
        let mut version = serde_json::Value::Null;
        let mut has_data = false;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Data if has_data => return Err(de::Error::duplicate_field("data")),
                Key::Data if !self.only_row && !row.is_row() => {
                    map.next_value_seed(Articles(self.builder))?;
                    has_data = true;
                }
                Key::Version if !self.only_row => version = map.next_value()?,
                // A document may have further fields, whatever their names.
                Key::Version | Key::Data | Key::Unknown => drop(map.next_value::<IgnoredAny>()?),
                _ if has_data => drop(map.next_value::<IgnoredAny>()?),
                Key::Id => row.id = Some(map.next_value()?),
                Key::Title => row.title = map.next_value()?,
                Key::Context => row.context = Some(map.next_value()?),
                Key::Question => row.question = Some(map.next_value()?),
                Key::Answers => row.answers = Some(map.next_value()?),
                Key::IsImpossible => row.is_impossible = map.next_value()?,
            }
        }
        if self.only_row || row.is_row() {
            return row.finish().map(TopLevel::Row);
        }
        if !has_data {
            return Err(de::Error::missing_field("data"));
        }
        let version = match version {
            serde_json::Value::Null => None,
            serde_json::Value::String(version) => Some(version),
            other => Some(other.to_string()),
        };
        Ok(TopLevel::Document { version })
    }
}

/// Reads the articles of a document and gives them to the builder.
struct Articles<'b, 'f>(&'b mut ExampleBuilder<'f>);

impl<'de> DeserializeSeed<'de> for Articles<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Articles<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of articles")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for number in 0.. {
            let Some(article) = list.next_element()? else {
                break;
            };
            if let Err(fault) = self.0.article(number, article) {
                self.0.fault = Some(fault);
                return Err(de::Error::custom("an article is wrong"));
            }
        }
        Ok(())
    }
}
