//! Texts, numbers, flags and lists, in every way that tools write them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    self, Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::BY_COLUMN;
use crate::read::literal;

/// A list, or a text that holds one, as a cell of a table does; no value for null.
pub(super) struct Listed<T>(pub(super) Option<Vec<T>>);

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

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listed<T>, A::Error> {
                let rows = rows_of_object(map)?;
                let rows = rows.map(|row| T::deserialize(row).map_err(de::Error::custom));
                Ok(Listed(Some(rows.collect::<Result<_, _>>()?)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listed<T>, E> {
                let list = nested::<Self::Value, E>(text)?;
                Ok(list.unwrap_or(Listed(None)))
            }

            fn visit_unit<E>(self) -> Result<Listed<T>, E> {
                Ok(Listed(None))
            }
        }
        from.deserialize_any(ListVisitor(PhantomData))
    }
}

/// The objects that an object in the place of a list stands for: those of its columns, if each field is a list, as the Hub's
/// library stores a list of objects; else itself, as converters of XML and jsonlite write a list of one.
pub(in crate::read) fn rows_of_object<'de, A: MapAccess<'de>>(
    mut map: A,
) -> Result<impl Iterator<Item = serde_json::Value>, A::Error> {
    use serde_json::{Map, Value};
    let mut fields = Map::new();
    while let Some((name, value)) = map.next_entry::<String, Value>()? {
        fields.insert(name, value);
    }
    let mut columns: Vec<(String, std::vec::IntoIter<Value>)> = Vec::new();
    let mut single = None;
    if fields.values().all(Value::is_array) {
        let column = |(name, value): (String, Value)| match value {
            // A longer one is no field, and each row would have it.
            Value::Array(values) if name.len() <= 64 => Some((name, values.into_iter())),
            _ => None,
        };
        columns.extend(fields.into_iter().filter_map(column));
    } else {
        single = Some(Value::Object(fields));
    }
    let first = columns.first().map(|(_, first)| first.len());
    let has_other_length =
        |(_, column): &&(String, std::vec::IntoIter<Value>)| Some(column.len()) != first;
    if let Some((name, column)) = columns.iter().find(has_other_length) {
        return Err(de::Error::custom(format_args!(
            "{} values of one field and {} of {name:?}; each has as many as there are objects",
            first.unwrap_or_default(),
            column.len()
        )));
    }
    // One by one: a row takes more memory than its values.
    let rows = std::iter::from_fn(move || {
        let fields = columns.iter_mut();
        let row: Option<Map<_, _>> = fields
            .map(|(name, column)| Some((name.clone(), column.next()?)))
            .collect();
        row.filter(|row| !row.is_empty()).map(Value::Object)
    });
    Ok(single.into_iter().chain(rows))
}

/// The value that a text holds as JSON or as a Python literal; none of a text that stands for no value.
pub(in crate::read) fn nested<T: DeserializeOwned, E: de::Error>(
    text: &str,
) -> Result<Option<T>, E> {
    if is_null(text) {
        return Ok(None);
    }
    let value = literal::parse(text.trim()).map_err(E::custom)?;
    T::deserialize(value).map(Some).map_err(E::custom)
}

/// The value of a list of one, as R's jsonlite writes a single value; any other value itself.
pub(crate) fn only(value: &serde_json::Value) -> &serde_json::Value {
    match value {
        serde_json::Value::Array(list) if list.len() == 1 => only(&list[0]),
        other => other,
    }
}

/// As [`only`], of a list that is being read; `None` of an empty list. More values are the error `several`.
fn only_element<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
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
pub(super) struct Scalar(pub(super) Option<String>);

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
                let only = only_element(list, || by_column("a list"))?;
                Ok(only.unwrap_or(Scalar(None)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar, A::Error> {
                wrapped_by_mongo(map)?.ok_or_else(|| by_column("an object"))
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

/// A text or a list of them.
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number, or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(Scalar(text)) = list.next_element()? {
                    texts.push(text.unwrap_or_default());
                }
                Ok(Texts(texts))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                one(de::value::StrDeserializer::new(text))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Texts, E> {
                one(de::value::I64Deserializer::new(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Texts, E> {
                one(de::value::U64Deserializer::new(number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Texts, E> {
                one(de::value::F64Deserializer::new(number))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Texts, A::Error> {
                one(de::value::MapAccessDeserializer::new(map))
            }

            fn visit_unit<E>(self) -> Result<Texts, E> {
                Ok(Texts(vec![String::new()]))
            }
        }

        fn one<'de, D: Deserializer<'de>>(from: D) -> Result<Texts, D::Error> {
            let Scalar(text) = Scalar::deserialize(from)?;
            Ok(Texts(vec![text.unwrap_or_default()]))
        }
        from.deserialize_any(TextsVisitor)
    }
}

/// The value in an object such as `{"$oid": "5f…"}` or `{"$numberInt": "33"}`, as MongoDB exports ids and numbers.
fn wrapped_by_mongo<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    mut map: A,
) -> Result<Option<T>, A::Error> {
    const NAMES: [&str; 4] = ["$oid", "$numberInt", "$numberLong", "$numberDouble"];
    let mut found = None;
    while let Some(name) = map.next_key::<String>()? {
        if NAMES.contains(&&*name) {
            found = Some(map.next_value()?);
        } else {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(found)
}

/// A truth value: `true`, `"True"`, `1`; without a value for null and NaN.
pub(super) struct Flag(pub(super) Option<bool>);

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
                Ok(only_element(list, several)?.unwrap_or(Flag(None)))
            }
        }
        from.deserialize_any(FlagVisitor)
    }
}

/// One `answer_start` or a list of them.
#[derive(Default)]
pub(super) struct Starts(pub(super) Vec<Option<i64>>);

/// An `answer_start`: `33`, `33.0` or `"33"`.
pub(super) struct Start(pub(super) Option<i64>);

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
                let parsed = number.parse::<f64>().ok().and_then(whole);
                match parsed.or_else(|| with_comma(number)) {
                    Some(number) => Ok(Start(Some(number))),
                    None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_unit<E>(self) -> Result<Start, E> {
                Ok(Start(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Start, A::Error> {
                let no_number = || de::Error::invalid_type(de::Unexpected::Map, &self);
                wrapped_by_mongo(map)?.ok_or_else(no_number)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Start, A::Error> {
                let several = || de::Error::invalid_type(de::Unexpected::Seq, &self);
                Ok(only_element(list, several)?.unwrap_or(Start(None)))
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

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Starts, A::Error> {
                one(de::value::MapAccessDeserializer::new(map))
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

/// Whether a cell stands for no value, as pandas, Python and MySQL write it.
pub(super) fn is_null(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || text == "\\N"
        || ["nan", "none", "null", "<na>", "n/a", "#n/a"]
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

/// A whole number as spreadsheets write it: `33,0` with a decimal comma, `1,234` with one between thousands.
fn with_comma(number: &str) -> Option<i64> {
    let (whole, behind) = number.split_once(',')?;
    if matches!(behind, "0" | "00") {
        return whole.parse().ok();
    }
    let mut groups = behind.split(',');
    let is_group = |group: &str| group.len() == 3 && group.bytes().all(|c| c.is_ascii_digit());
    let is_grouped = groups.all(is_group) && (1..=3).contains(&whole.len());
    is_grouped.then(|| number.replace(',', "").parse().ok())?
}

/// A floating-point number as people write it: `262` for 262.0.
fn decimal(number: f64) -> Option<String> {
    (number.abs() < MAX_EXACT).then(|| number.to_string())
}

/// A floating-point number as Python's `str` writes it, for texts that scripts score as such: CMRC 2018's own file has answers
/// such as 147.0, which its script takes as `147.0`.
pub(super) fn python_text(number: f64) -> String {
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
