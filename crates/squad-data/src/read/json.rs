//! JSON and JSON Lines to examples: a document, a list, or a line for each row, paragraph or article.
//!
//! Formats: Rajpurkar et al. 2016 (v1.1) and 2018 (v2.0), <https://rajpurkar.github.io/SQuAD-explorer/>; rows as in the
//! datasets `squad` and `squad_v2` of the Hugging Face Hub; MRQA as in Fisch et al. 2019. The elements of a list go to the
//! [`ExampleBuilder`] one by one, so the document as a whole is never in memory.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

use crate::error::{Error, one_line, without_position};
use crate::read::builder::{ExampleBuilder, Location};
use crate::read::folder::SPLITS;
use crate::read::raw::{
    ITEM, ItemFields, RawItem, list_for_item, nested, only, plain, rows_of_object,
};
use crate::read::text::{Position, TextReader, is_json};

/// Reads one document, or lines, and gives the questions to the builder. Returns the document's version.
pub(super) fn parse(
    text: &mut TextReader<'_>,
    builder: &mut ExampleBuilder<'_>,
) -> Result<Option<String>, Error> {
    let mut only_item = false;
    loop {
        let start = text.position();
        match value(text, start, TopLevelSeed { builder, only_item })? {
            TopLevel::Item(item) => {
                let is_first = !only_item && item.paragraphs.is_some();
                let line = Location::Line(start.lines + 1);
                builder.item(if is_first { Location::Document } else { line }, *item)?;
            }
            TopLevel::Document { .. } if text.skip_space_or_padding()? => {
                let Position { lines, bytes, .. } = text.position();
                return Err(Error::Json {
                    file: text.name().to_owned(),
                    line: lines + 1,
                    column: bytes + 1,
                    problem:
                        "text behind the end of the document; several documents are several files"
                            .to_owned(),
                });
            }
            TopLevel::Document { version } => return Ok(version),
        }
        if !text.skip_space_or_padding()? {
            return Ok(None);
        }
        only_item = true;
    }
}

/// Reads one top-level value, which begins at `start`.
fn value(
    text: &mut TextReader<'_>,
    start: Position,
    expected: TopLevelSeed<'_, '_>,
) -> Result<TopLevel, Error> {
    let TopLevelSeed { builder, only_item } = expected;
    let mut track = Track::new();
    let mut json = serde_json::Deserializer::from_reader(&mut *text);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = TopLevelSeed {
        builder: &mut *builder,
        only_item,
    }
    .deserialize(tracked);
    read.map_err(|error| {
        // The error for which the deserializer was stopped says more than the deserializer's own.
        let cause = builder.fault.take().or_else(|| text.take_fault());
        cause.unwrap_or_else(|| json_error(text, start, one_line(&track.path()), &error))
    })
}

fn json_error(
    text: &TextReader<'_>,
    start: Position,
    path: String,
    error: &serde_json::Error,
) -> Error {
    let file = text.name().to_owned();
    let (line, column) = start.of_error(error);
    let mut problem = without_position(error);
    // Valid JSON, but of another shape. The limit keeps the stack from overflowing.
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
        return Error::Shape {
            file,
            line,
            column,
            path,
            problem,
        };
    }
    if error.is_eof() {
        problem.push_str("; is the download complete?");
    } else if let Some(advice) = in_a_text(&problem) {
        problem = format!("{problem}: {advice}");
    } else if let Some(advice) = no_json(text.last()) {
        let path = if path == "?" || path == "." {
            String::new()
        } else {
            format!(", at {path}")
        };
        problem = format!("{advice}{path}");
    }
    Error::Json {
        file,
        line,
        column,
        problem,
    }
}

/// What is wrong inside a text or a name, and what to do, by `serde_json`'s complaint.
pub(crate) fn in_a_text(problem: &str) -> Option<&'static str> {
    let says = |word: &str| problem.contains(word);
    if says("surrogate") || says("hex escape") {
        Some(
            "half of a character such as \\ud83d, or no hexadecimal digits behind \\u; correct the text",
        )
    } else if says("control character") {
        Some("a line end or a tab inside a text is written \\n or \\t")
    } else if says("invalid escape") {
        Some("a backslash inside a text is written \\\\, and an apostrophe needs none")
    } else {
        None
    }
}

/// What is wrong with a text in the place of the JSON that it holds.
pub(crate) const JSON_IN_A_TEXT: &str = "JSON inside a text, as json.dump writes what json.dumps or to_json has made; write it as it is";

/// What stands in the place of JSON, and what to do.
pub(crate) fn no_json(text: &[u8]) -> Option<&'static str> {
    let begins = |word: &str| text.starts_with(word.as_bytes());
    if begins("NaN") {
        Some(
            "NaN, which Python's json.dumps writes for a missing value; write null, or drop the field",
        )
    } else if begins("Infinity") {
        Some("Infinity, which JSON does not have; write a number or null")
    } else if ["None", "True", "False"].into_iter().any(begins) || begins("'") {
        Some("a Python literal; write the file with json.dumps, not with str or print")
    } else if begins("//") || begins("/*") {
        Some("a comment, which JSON does not have; remove it")
    } else if begins(",") {
        Some("a comma in the place of a value; lines of JSON Lines do not end with one")
    } else {
        None
    }
}

/// A value at the top level of a text.
enum TopLevel {
    /// A document, whose questions are in the builder already.
    Document {
        /// Its `version`, if it has one.
        version: Option<String>,
    },
    /// A row, a paragraph or an article.
    Item(Box<RawItem>),
}

/// Reads a [`TopLevel`].
struct TopLevelSeed<'b, 'f> {
    builder: &'b mut ExampleBuilder<'f>,
    /// Only an item is allowed, because items came before.
    only_item: bool,
}

impl<'de> DeserializeSeed<'de> for TopLevelSeed<'_, '_> {
    type Value = TopLevel;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<TopLevel, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TopLevelSeed<'_, '_> {
    type Value = TopLevel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.only_item {
            "a row: an object with `id`, `context`, `question` and `answers`"
        } else {
            "an object with `data`, a list, or rows"
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TopLevel, E> {
        Err(if is_json(text.as_bytes()) {
            E::custom(JSON_IN_A_TEXT)
        } else {
            E::invalid_type(de::Unexpected::Str(text), &self)
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<TopLevel, A::Error> {
        if self.only_item {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let elements = Elements {
            builder: self.builder,
            list: None,
            split_before: None,
            must_be_list: true,
        };
        elements.visit_seq(list)?;
        Ok(TopLevel::Document { version: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
        let mut item = ItemFields::default();
        let mut version = serde_json::Value::Null;
        let mut found: Option<&'static str> = None;
        while let Some(name) = map.next_key::<String>()? {
            let list = list_name(&name).filter(|_| !self.only_item && !item.has_questions());
            match (found, list) {
                (None, Some(list)) => {
                    let elements = Elements {
                        builder: &mut *self.builder,
                        list: Some(list),
                        split_before: None,
                        must_be_list: list == "data" && item.is_empty(),
                    };
                    if map.next_value_seed(elements)? {
                        found = Some(list);
                    } else {
                        item.note_unknown(list);
                    }
                }
                (Some(first), Some(list)) if list == first => {
                    return Err(de::Error::duplicate_field(first));
                }
                (Some(first), Some(list)) if SPLITS.contains(&first) && SPLITS.contains(&list) => {
                    // A split without rows is none.
                    let is_first = self.builder.num_in_set() == 0;
                    let elements = Elements {
                        builder: &mut *self.builder,
                        list: Some(list),
                        split_before: Some(first).filter(|_| !is_first),
                        must_be_list: false,
                    };
                    map.next_value_seed(elements)?;
                    if is_first {
                        found = Some(list);
                    }
                }
                _ if plain(&name) == "version" && !self.only_item => version = map.next_value()?,
                // A document may have further fields, whatever their names.
                (Some(_), _) => drop(map.next_value::<IgnoredAny>()?),
                (None, None) => item.take(&name, &mut map)?,
            }
        }
        if found.is_none() {
            return Ok(TopLevel::Item(Box::new(item.finish::<A::Error>()?)));
        }
        let version = version_text(&version);
        Ok(TopLevel::Document { version })
    }
}

/// The text of a document's `version`.
fn version_text(version: &serde_json::Value) -> Option<String> {
    match only(version) {
        serde_json::Value::Null => None,
        serde_json::Value::String(version) => Some(version.clone()),
        other => Some(other.to_string()),
    }
}

/// The list of a document that has this name. The Hub's datasets-server answers with `rows`; `DatasetDict` has a list for
/// each split.
fn list_name(name: &str) -> Option<&'static str> {
    let name = plain(name).replace('_', "");
    let lists = [
        "data", "rows", "examples", "dataset", "articles", "records", "samples",
    ];
    let mut lists = lists.into_iter().chain(SPLITS);
    lists.find(|list| *list == name)
}

/// Reads the elements of a list and gives them to the builder; `false` for a value that is no list.
struct Elements<'b, 'f> {
    builder: &'b mut ExampleBuilder<'f>,
    /// The list's name.
    list: Option<&'static str>,
    /// The document's other split with rows: this one may have none.
    split_before: Option<&'static str>,
    /// Whether a value that is no list is an error. If not, it is ignored.
    must_be_list: bool,
}

impl Elements<'_, '_> {
    fn no_list<E: de::Error>(&self, found: de::Unexpected<'_>) -> Result<bool, E> {
        if self.must_be_list {
            Err(E::invalid_type(found, self))
        } else {
            Ok(false)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of articles, paragraphs or rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        if let (Some(first), Some(second)) = (self.split_before, self.list) {
            return match list.next_element::<IgnoredAny>()? {
                None => Ok(true),
                Some(_) => Err(de::Error::custom(format_args!(
                    "a document with the splits {first} and {second}; write each into a file of its own"
                ))),
            };
        }
        for number in 0.. {
            let element = Element {
                builder: &mut *self.builder,
                location: match self.list {
                    Some(list) => Location::In(list, number),
                    None => Location::Element(number),
                },
            };
            if list.next_element_seed(element)?.is_none() {
                break;
            }
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let found = self.no_list(de::Unexpected::Map)?;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
        self.no_list(de::Unexpected::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<bool, E> {
        self.no_list(de::Unexpected::Signed(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
        self.no_list(de::Unexpected::Unsigned(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<bool, E> {
        self.no_list(de::Unexpected::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        self.no_list(de::Unexpected::Str(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        self.no_list(de::Unexpected::Unit)
    }
}

/// Reads an element of a list and gives it to the builder: an article paragraph by paragraph, anything else as a whole.
struct Element<'b, 'f> {
    builder: &'b mut ExampleBuilder<'f>,
    location: Location,
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ITEM)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { builder, location } = self;
        let first = builder.len();
        let mut has_paragraphs = false;
        let fields = ItemFields::read(&mut map, &mut |map: &mut A| {
            let paragraphs = Paragraphs {
                builder: &mut *builder,
                location,
            };
            let is_list = map.next_value_seed(paragraphs)?;
            has_paragraphs |= is_list;
            Ok(!is_list)
        })?;
        let item = fields.finish::<A::Error>()?;
        let read = if has_paragraphs {
            builder.end_article(first, item.title)
        } else {
            builder.item(location, item)
        };
        stop_at(builder, read)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(list_for_item())
    }

    /// Passes over null.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the paragraphs of an article; `false` for null.
struct Paragraphs<'b, 'f> {
    builder: &'b mut ExampleBuilder<'f>,
    location: Location,
}

impl<'de> DeserializeSeed<'de> for Paragraphs<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl Paragraphs<'_, '_> {
    fn values<E: de::Error>(
        self,
        list: impl Iterator<Item = serde_json::Value>,
    ) -> Result<bool, E> {
        let list = de::value::SeqDeserializer::<_, serde_json::Error>::new(list);
        self.visit_seq(list).map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for Paragraphs<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of paragraphs")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        match nested::<serde_json::Value, E>(text)? {
            Some(list) => self.deserialize(list).map_err(E::custom),
            None => Ok(false),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        self.values(rows_of_object(map)?)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        for number in 0.. {
            let paragraph = match list.next_element::<Option<RawItem>>()? {
                Some(Some(paragraph)) => paragraph,
                Some(None) => continue,
                None => break,
            };
            let read = self
                .builder
                .paragraph_of_article(self.location, number, paragraph);
            stop_at(self.builder, read)?;
        }
        Ok(true)
    }
}

/// Stops the deserializer for an error of the builder.
fn stop_at<E: de::Error>(
    builder: &mut ExampleBuilder<'_>,
    read: Result<(), Error>,
) -> Result<(), E> {
    read.map_err(|fault| {
        builder.fault = Some(fault);
        E::custom("an element is wrong")
    })
}
