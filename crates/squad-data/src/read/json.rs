//! The values of a SQuAD text as they stand there: a document of articles, or the rows of a flat file.
//!
//! Formats: Rajpurkar et al. 2016 (v1.1) and 2018 (v2.0), <https://rajpurkar.github.io/SQuAD-explorer/>; rows as
//! the data sets `squad` and `squad_v2` on the Hugging Face Hub have them. Paragraphs go to the [`Builder`] one by one, so
//! that a document is never in memory as a whole.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::read::builder::Builder;
use crate::read::raw::{FlatAnswers, Place, RawParagraph, RawRow};

/// What a value at the top level of a text was.
pub(crate) enum TopLevel {
    /// A document, whose paragraphs are with the builder already.
    Document {
        /// Its `version`, if it has one.
        version: Option<String>,
    },
    /// A row of a flat file.
    Row(RawRow),
}

/// Reads one value at the top level.
pub(crate) struct Value<'b, 'f> {
    pub(crate) builder: &'b mut Builder<'f>,
    /// Whether rows came before, so that a row is all it may be.
    pub(crate) only_row: bool,
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

    fn finish<E: Error>(self) -> Result<RawRow, E> {
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

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = TopLevel;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<TopLevel, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = TopLevel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.only_row {
            true => "a row: an object with `id`, `context`, `question` and `answers`",
            false => "an object with `data`, a list of articles",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
        let mut row = RowFields::default();
        let mut version = serde_json::Value::Null;
        let mut has_data = false;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Data if has_data => return Err(Error::duplicate_field("data")),
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
            return Err(Error::missing_field("data"));
        }
        let version = match version {
            serde_json::Value::Null => None,
            serde_json::Value::String(version) => Some(version),
            other => Some(other.to_string()),
        };
        Ok(TopLevel::Document { version })
    }
}

struct Articles<'b, 'f>(&'b mut Builder<'f>);

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
            let builder = &mut *self.0;
            if list
                .next_element_seed(Article { builder, number })?
                .is_none()
            {
                break;
            }
        }
        Ok(())
    }
}

struct Article<'b, 'f> {
    builder: &'b mut Builder<'f>,
    number: usize,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ArticleKey {
    Title,
    Paragraphs,
    #[serde(other)]
    Unknown,
}

impl<'de> DeserializeSeed<'de> for Article<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Article<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an article: an object with `title` and `paragraphs`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let first = self.builder.len();
        let mut title: Option<String> = None;
        let mut has_paragraphs = false;
        while let Some(key) = map.next_key()? {
            match key {
                ArticleKey::Title => title = map.next_value()?,
                ArticleKey::Paragraphs if has_paragraphs => {
                    return Err(Error::duplicate_field("paragraphs"));
                }
                ArticleKey::Paragraphs => {
                    map.next_value_seed(Paragraphs(Article {
                        builder: self.builder,
                        number: self.number,
                    }))?;
                    has_paragraphs = true;
                }
                ArticleKey::Unknown => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !has_paragraphs {
            return Err(Error::missing_field("paragraphs"));
        }
        self.builder.title(first, title.unwrap_or_default());
        Ok(())
    }
}

/// The paragraphs of an article.
struct Paragraphs<'b, 'f>(Article<'b, 'f>);

impl<'de> DeserializeSeed<'de> for Paragraphs<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Paragraphs<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of paragraphs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Article { builder, number } = self.0;
        for paragraph in 0.. {
            let Some(raw) = list.next_element::<RawParagraph>()? else {
                break;
            };
            if let Err(fault) = builder.paragraph(Place::Paragraph(number, paragraph), raw) {
                builder.fault = Some(fault);
                return Err(Error::custom("a paragraph is wrong"));
            }
        }
        Ok(())
    }
}
