//! Files of predicted answers and of no-answer probabilities, in the forms that tools write.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::Path;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, quote, without_position};
use crate::read::{
    BY_COLUMN, JSON_IN_A_TEXT, RecordColumns, in_a_text, no_json, number_text, only, plain,
    read_records,
};

/// The answers of a file of predictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictedAnswers {
    /// The answer to each question, by its id; empty for "no answer".
    pub texts: HashMap<String, String>,
    /// The no-answer probabilities that the file gives beside its answers, in file order.
    pub no_answer_probabilities: Vec<(String, f64)>,
    /// Number of ids that occur again. Their last answer counts, as in a Python dict.
    pub num_duplicates: usize,
}

/// A file of no-answer probabilities, or of other scores that are higher the less likely an answer is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoAnswerProbabilities {
    /// Ids and values in file order.
    pub values: Vec<(String, f64)>,
    /// Number of ids that occur again.
    pub num_duplicates: usize,
}

impl PredictedAnswers {
    /// Reads a file of predictions: JSON or JSON Lines, CSV or TSV (feature `csv`), Parquet (feature `parquet`), with or
    /// without gzip.
    ///
    /// The answers are
    ///
    /// - an object from ids to answers, also as the `predictions`, `results` or `answers` of another; an answer with an id of its own has that;
    /// - objects with an id (`id`, `question_id`, `query_id`, `qid`, `guid` or another name of it in files of questions) and
    ///   an answer, in a list, also inside an object, or one on each line, as `evaluate` takes them, with
    ///   `no_answer_probability` where they have it;
    /// - the rows of a table, with the same names as columns;
    /// - FARM's and Haystack's objects with lists of `predictions` and of `answers`.
    ///
    /// An answer is a text; a number, read as its digits; `null`, "no answer"; an object with `prediction_text`,
    /// `prediction`, `predictions`, `predicted_answer`, `predicted_text`, `predicted`, `predict`, `pred`, `pred_answer`,
    /// `pred_text` or AllenNLP's `best_span_str`, or else with `answer`, `answer_text` or `text`, as the pipelines of transformers give; or a list of such objects (n-best files) or of pairs of
    /// text and score (DrQA). In a list the one with the highest probability or score counts, and without these the first.
    /// Beside a prediction, `answers`, `answer` and `text` are the gold answer or the context; so they are beside a `context`
    /// without a score, which is an error.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("squad-data-predictions-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # let path = folder.join("predictions.jsonl");
    /// std::fs::write(&path, r#"{"id": "q1", "prediction_text": "France", "no_answer_probability": 0.25}"#).unwrap();
    /// let predictions = squad_data::PredictedAnswers::read(&path)?;
    /// assert_eq!(predictions.texts["q1"], "France");
    /// assert_eq!(predictions.no_answer_probabilities, [("q1".to_owned(), 0.25)]);
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), squad_data::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not JSON, or an answer has another form or is ambiguous. The message names the place and
    /// shows the expected form.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut read = Self::default();
        read_items(path, ANSWERS, &mut |item| read.add(item))?;
        Ok(read)
    }

    fn add(&mut self, item: Item) -> Result<(), String> {
        match item {
            Item::Pair(id, value) => {
                let text = answer(&value).map_err(|problem| of_id(&id, &problem))?;
                if let Value::Object(fields) = &value {
                    self.add_probability(&id, fields)?;
                }
                self.insert(id, text);
            }
            Item::Record(fields) => {
                let id = record_id(&fields)?;
                self.add_probability(&id, &fields)?;
                let text = record_text(&fields).map_err(|problem| of_id(&id, &problem))?;
                self.insert(id, text);
            }
        }
        Ok(())
    }

    fn add_probability(&mut self, id: &str, fields: &Map<String, Value>) -> Result<(), String> {
        // Null, or an empty cell of a table.
        let is_blank = |value: &&Value| {
            value.is_null() || value.as_str().is_some_and(|cell| cell.trim().is_empty())
        };
        if let Some(value) = fields.get(NO_ANSWER_PROBABILITY).filter(|v| !is_blank(v)) {
            let value = number(value).ok_or_else(|| {
                of_id(
                    id,
                    &format!("its {NO_ANSWER_PROBABILITY} is {}", kind(value)),
                )
            })?;
            self.no_answer_probabilities.push((id.to_owned(), value));
        }
        Ok(())
    }

    fn insert(&mut self, id: String, text: String) {
        match self.texts.entry(id) {
            Entry::Vacant(vacant) => drop(vacant.insert(text)),
            Entry::Occupied(mut occupied) => {
                occupied.insert(text);
                self.num_duplicates += 1;
            }
        }
    }
}

impl NoAnswerProbabilities {
    /// Reads an object from ids to numbers, or objects with an id and `no_answer_probability`, in a list or one on each line.
    ///
    /// # Errors
    ///
    /// As [`PredictedAnswers::read`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut read = Self::default();
        let mut ids = std::collections::HashSet::new();
        read_items(path, PROBABILITIES, &mut |item| {
            let (id, value) = match item {
                Item::Pair(id, Value::Object(mut fields)) => {
                    let value = fields.remove(NO_ANSWER_PROBABILITY);
                    (id, value.unwrap_or(Value::Object(fields)))
                }
                Item::Pair(id, value) => (id, value),
                Item::Record(mut fields) => {
                    let id = record_id(&fields)?;
                    let missing = || of_id(&id, &format!("it has no {NO_ANSWER_PROBABILITY}"));
                    let value = fields.remove(NO_ANSWER_PROBABILITY).ok_or_else(missing)?;
                    (id, value)
                }
            };
            let wrong = || of_id(&id, &format!("{} instead of a number", kind(&value)));
            let value = number(&value).ok_or_else(wrong)?;
            read.num_duplicates += usize::from(!ids.insert(id.clone()));
            read.values.push((id, value));
            Ok(())
        })?;
        Ok(read)
    }
}

/// Names in the forms of files.
const ID_KEYS: [&str; 9] = [
    "id",
    "question_id",
    "query_id",
    "qid",
    "guid",
    "example_id",
    "uid",
    "_id",
    "key",
];
/// Names of a prediction. The last ones are AllenNLP's, and Kaggle's column `PredictionString`.
const PREDICTION_KEYS: [&str; 13] = [
    "prediction_text",
    "prediction",
    "predictions",
    "predicted_answer",
    "predicted_text",
    "predicted",
    "predict",
    "pred",
    "pred_answer",
    "pred_text",
    "best_span_str",
    "prediction_string",
    "predictionstring",
];
/// Names of an answer: beside a prediction, the gold one, or the context.
const ANSWER_KEYS: [&str; 3] = ["answer", "answer_text", "text"];
/// Names of an object from ids to answers inside another.
const WRAPPER_KEYS: [&str; 3] = ["predictions", "results", "answers"];
const SCORE_KEYS: [&str; 2] = ["probability", "score"];
const NO_ANSWER_PROBABILITY: &str = "no_answer_probability";
/// Names of the text in which a question's gold answers stand.
const CONTEXT_KEYS: [&str; 3] = ["context", "passage", "paragraph"];

/// Whether a field of this name has an answer's text.
fn is_text_key(name: &str) -> bool {
    PREDICTION_KEYS.contains(&name) || ANSWER_KEYS.contains(&name)
}

/// Whether a field of this name has what belongs to an id.
fn is_value_key(name: &str) -> bool {
    is_text_key(name) || name == NO_ANSWER_PROBABILITY
}

/// The columns of a table.
const COLUMNS: RecordColumns = RecordColumns {
    is_wanted: |name| {
        let name = plain(name);
        let is_beside = |name| CONTEXT_KEYS.contains(&name) || SCORE_KEYS.contains(&name);
        ID_KEYS.contains(&&*name) || is_value_key(&name) || is_beside(&*name)
    },
    is_header: |names| {
        let has = |is_wanted: fn(&str) -> bool| names.iter().any(|name| is_wanted(name));
        has(|name| ID_KEYS.contains(&name)) && has(is_value_key)
    },
};

/// What is wrong with gold answers.
const QUESTIONS: &str =
    "these are questions with their gold answers, and no predictions; is it the file of --dataset?";

/// The expected forms, for messages.
const ANSWERS: &str = r#"{"ID": "ANSWER", …}, or objects {"id": "ID", "prediction_text": "ANSWER"} in a list or one on each line, or a table with these columns"#;
const PROBABILITIES: &str = r#"{"ID": 0.25, …}, or objects {"id": "ID", "no_answer_probability": 0.25} in a list or one on each line, or a table with these columns"#;

/// An entry of a file.
enum Item {
    /// An id and what belongs to it.
    Pair(String, Value),
    /// An object that has its id inside.
    Record(Map<String, Value>),
}

type Sink<'a> = dyn FnMut(Item) -> Result<(), String> + 'a;

/// Reads a file's entries one after the other, so that memory does not hold the whole file.
fn read_items(path: &Path, expected: &'static str, sink: &mut Sink<'_>) -> Result<(), Error> {
    let wrong = |place: String, problem: String| Error::Predictions {
        file: path.display().to_string(),
        place,
        problem,
        expected,
    };
    let text = read_records(path, &COLUMNS, &mut |row, fields| {
        sink(Item::Record(plain_names(fields)))
            .map_err(|problem| wrong(format!("row {row}: "), problem))
    })?;
    let Some(mut text) = text else {
        return Ok(());
    };
    if !text.skip_space()? {
        return Err(wrong(String::new(), "the file is empty".to_owned()));
    }
    let first_line = text.peek()?.lines().next().unwrap_or_default();
    if !first_line.starts_with(['{', '[']) {
        let is_json = |text: &str| text.starts_with(['{', '[']);
        let problem = if first_line.strip_prefix('"').is_some_and(is_json) {
            JSON_IN_A_TEXT.to_owned()
        } else {
            let line = quote(first_line);
            format!("no object, no list and no header of such a table: {line}")
        };
        return Err(text.cause(wrong("line 1: ".to_owned(), problem)));
    }
    loop {
        let start = text.position();
        let mut fault = None;
        let items = Items {
            sink: &mut *sink,
            fault: &mut fault,
        };
        let mut json = serde_json::Deserializer::from_reader(&mut text);
        if let Err(error) = items.deserialize(&mut json) {
            let cause = text.take_fault();
            let error = cause.unwrap_or_else(|| {
                let (line, column) = start.of_error(&error);
                wrong(
                    format!("line {line}, column {column}: "),
                    fault.unwrap_or_else(|| problem(&error, no_json(text.last()))),
                )
            });
            return Err(text.cause(error));
        }
        if !text.skip_space_or_padding()? {
            return Ok(());
        }
    }
}

fn problem(error: &serde_json::Error, no_json: Option<&str>) -> String {
    let problem = without_position(error);
    match no_json {
        _ if error.is_eof() => {
            format!("the JSON ends too early: {problem}; is the file complete?")
        }
        Some(advice) if error.is_syntax() => format!("{problem}: {advice}"),
        _ => match in_a_text(&problem) {
            Some(advice) => format!("{problem}: {advice}"),
            None => problem,
        },
    }
}

/// Gives the entries of a top-level value to `sink`.
struct Items<'a, 'b> {
    sink: &'a mut Sink<'b>,
    /// The sink's complaint, which the deserializer's error cannot carry whole.
    fault: &'a mut Option<String>,
}

impl Items<'_, '_> {
    fn give<E: de::Error>(&mut self, item: Item) -> Result<(), E> {
        (self.sink)(item).map_err(|complaint| {
            *self.fault = Some(complaint);
            E::custom("an entry is wrong")
        })
    }

    /// Gives an entry of an object: by its key, or by an id of its own, beside which pandas' `orient="index"` has the row's
    /// number as key.
    fn give_entry<E: de::Error>(&mut self, key: String, value: Value) -> Result<(), E> {
        self.give(match value {
            Value::Object(fields) => {
                let fields = plain_names(fields);
                if record_id(&fields).is_ok() {
                    Item::Record(fields)
                } else {
                    Item::Pair(key, Value::Object(fields))
                }
            }
            value => Item::Pair(key, plain_inside(value)),
        })
    }

    /// Gives an object of a list or of a line: a record, or the records of the list inside it.
    fn give_record<E: de::Error>(&mut self, mut fields: Map<String, Value>) -> Result<(), E> {
        let list = wrapped(fields.iter()).cloned();
        match list.and_then(|name| fields.remove(&name)) {
            Some(Value::Array(records)) => records
                .into_iter()
                .try_for_each(|record| self.give_element(record)),
            _ if is_of_pairs(&fields) => fields
                .into_iter()
                .try_for_each(|(id, text)| self.give(Item::Pair(id, text))),
            _ => self.give(Item::Record(plain_names(fields))),
        }
    }

    fn give_element<E: de::Error>(&mut self, element: Value) -> Result<(), E> {
        match element {
            Value::Object(fields) => self.give_record(fields),
            other => {
                let advice = if other.is_array() {
                    format!("; {BY_COLUMN}")
                } else {
                    String::new()
                };
                let problem = format!("{} in the list, instead of an object{advice}", kind(&other));
                *self.fault = Some(problem);
                Err(E::custom("an entry is wrong"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Value>()? {
            self.give_element(entry)?;
        }
        Ok(())
    }

    /// The object is a record if it has a record's keys among its first entries; else its keys are ids.
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        const FIELDS_OF_A_RECORD: usize = 64;
        let mut first: Vec<(String, Value)> = Vec::new();
        let mut by_id = false;
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if by_id {
                self.give_entry(key, value)?;
                continue;
            }
            first.push((key, value));
            if first.len() == FIELDS_OF_A_RECORD {
                by_id = true;
                for (id, value) in std::mem::take(&mut first) {
                    self.give_entry(id, value)?;
                }
            }
        }
        let has = |is_wanted: fn(&str) -> bool| first.iter().any(|(key, _)| is_wanted(&plain(key)));
        let is_record = has(|key| ID_KEYS.contains(&key));
        if is_record || wrapped(first.iter().map(|(key, value)| (key, value))).is_some() {
            return self.give_record(first.into_iter().collect());
        }
        // pandas' orient="split".
        if ["columns", "data"]
            .iter()
            .all(|name| first.iter().any(|(key, _)| key == name))
        {
            *self.fault = Some(format!(
                "rows without the names of their columns; {BY_COLUMN}"
            ));
            return Err(de::Error::custom("rows without names"));
        }
        let lacks_id = has(is_value_key);
        let is_by_id = |(key, value): &(String, Value)| {
            let answers = value.as_object().filter(|_| WRAPPER_KEYS.contains(&&**key));
            answers.is_some_and(|answers| !answers.keys().any(|key| is_text_key(key)))
        };
        if let Some(wrapper) = first.iter().position(is_by_id)
            && let (_, Value::Object(answers)) = first.swap_remove(wrapper)
        {
            first = answers.into_iter().collect();
        } else if lacks_id {
            return self.give_record(first.into_iter().collect());
        }
        for (id, value) in first {
            self.give_entry(id, value)?;
        }
        Ok(())
    }
}

/// The list that an object is around: `predictions`, or its only list, if it has no id and each element has one.
fn wrapped<'v>(
    fields: impl Iterator<Item = (&'v String, &'v Value)> + Clone,
) -> Option<&'v String> {
    let is_id = |name: &String| ID_KEYS.contains(&&*plain(name));
    let mut lists = fields.clone().filter(|(_, value)| value.is_array());
    if let Some((name, _)) = lists.clone().find(|(name, _)| *name == "predictions") {
        return Some(name);
    }
    let (Some((name, list)), None) = (lists.next(), lists.next()) else {
        return None;
    };
    let has_id = |value: &Value| {
        let fields = value.as_object();
        fields.is_some_and(|fields| fields.keys().any(is_id))
    };
    let records = list.as_array().filter(|list| !list.is_empty())?;
    let is_wrapper = records.iter().all(has_id) && !fields.clone().any(|(name, _)| is_id(name));
    is_wrapper.then_some(name)
}

/// Whether an object has ids and texts alone.
fn is_of_pairs(fields: &Map<String, Value>) -> bool {
    let is_text = |value: &Value| value.is_string() || value.is_null();
    let mut names = fields.keys().map(|name| plain(name));
    fields.values().all(is_text)
        && !names.any(|name| ID_KEYS.contains(&&*name) || is_value_key(&name))
}

/// Fields by their names in the spelling of a table's columns. A name that has it already outranks one that gets it.
fn plain_names(fields: Map<String, Value>) -> Map<String, Value> {
    let (plain_ones, others): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .partition(|(name, _)| plain(name) == *name);
    let others = others
        .into_iter()
        .map(|(name, value)| (plain(&name), value));
    let named = others.chain(plain_ones);
    named
        .map(|(name, value)| (name, plain_inside(value)))
        .collect()
}

/// [`plain_names`] of the objects in a value.
fn plain_inside(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(plain_names(fields)),
        Value::Array(list) => Value::Array(list.into_iter().map(plain_inside).collect()),
        other => other,
    }
}

fn list_of<'v>(fields: &'v Map<String, Value>, key: &str) -> Option<&'v Vec<Value>> {
    fields.get(key).and_then(Value::as_array)
}

fn of_id(id: &str, problem: &str) -> String {
    format!("id {}: {problem}", quote(id))
}

/// A record's id; a number is its digits.
fn record_id(fields: &Map<String, Value>) -> Result<String, String> {
    let found = ID_KEYS.iter().find_map(|key| fields.get(*key));
    match found.map(only) {
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => number_text(id),
        Some(other @ (Value::Array(_) | Value::Object(_))) => Err(format!(
            "an id is {}; if the file goes by columns, {BY_COLUMN}",
            kind(other)
        )),
        Some(other) => Err(format!("an id is {}", kind(other))),
        None => Err("an object has no id, so its question is unknown".to_owned()),
    }
}

/// The answer that a value stands for.
fn answer(value: &Value) -> Result<String, String> {
    match value {
        Value::Object(fields) => text_field(fields),
        Value::Array(entries) => best(entries),
        plain => plain_text(plain),
    }
}

fn plain_text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("{} instead of an answer's text", kind(other))),
    }
}

/// The text of an object that has its id inside.
fn record_text(fields: &Map<String, Value>) -> Result<String, String> {
    if let Some(text) = one_text(fields, &PREDICTION_KEYS)? {
        return Ok(text);
    }
    // The pipelines of transformers give their answers a score.
    let is_scored = SCORE_KEYS.iter().any(|key| fields.contains_key(*key));
    let context = CONTEXT_KEYS.iter().find(|key| fields.contains_key(**key));
    if let Some(context) = context.filter(|_| !is_scored) {
        return Err(format!("`{context}`, and no prediction_text: {QUESTIONS}"));
    }
    match list_of(fields, "answers") {
        Some(answers) => best_answer(answers),
        None => text_field(fields),
    }
}

/// The best of FARM's and Haystack's `answers`.
fn best_answer(answers: &[Value]) -> Result<String, String> {
    // Else the gold answers would score themselves.
    let is_gold = |answer: &Value| answer.get("answer_start").is_some();
    if answers.iter().any(is_gold) {
        return Err(format!("`answers` with `answer_start`: {QUESTIONS}"));
    }
    let text = best(answers)?;
    // FARM's way to say that there is no answer.
    Ok(if text == "no_answer" {
        String::new()
    } else {
        text
    })
}

/// The text of an object.
fn text_field(fields: &Map<String, Value>) -> Result<String, String> {
    for keys in [&PREDICTION_KEYS[..], &ANSWER_KEYS] {
        if let Some(text) = one_text(fields, keys)? {
            return Ok(text);
        }
    }
    if let Some(answers) = list_of(fields, "answers") {
        return best_answer(answers);
    }
    let names = ["paragraphs", "qas", "answers"];
    if let Some(name) = names.into_iter().find(|name| fields.contains_key(*name)) {
        return Err(format!("`{name}`, and no prediction_text: {QUESTIONS}"));
    }
    Err("an object without prediction_text, prediction, answer or text".to_owned())
}

/// The text that an object has under one of these names, or the same under several.
fn one_text(fields: &Map<String, Value>, keys: &[&str]) -> Result<Option<String>, String> {
    let mut found: Option<(&str, String)> = None;
    for key in keys {
        let Some(value) = fields.get(*key) else {
            continue;
        };
        let text = answer(value)?;
        match &found {
            Some((first, other)) if *other != text => {
                return Err(format!("{first} and {key} are different answers"));
            }
            Some(_) => {}
            None => found = Some((key, text)),
        }
    }
    Ok(found.map(|(_, text)| text))
}

/// The best of a list: of objects, of pairs of text and score, or of a single text.
fn best(entries: &[Value]) -> Result<String, String> {
    let mut best: Option<(f64, String)> = None;
    for entry in entries {
        let (score, text) = match entry {
            Value::Object(fields) => {
                let score = SCORE_KEYS.iter().find_map(|key| fields.get(*key));
                (score.and_then(number), text_field(fields)?)
            }
            Value::Array(pair) => match pair.as_slice() {
                [text, score] => (number(score), plain_text(text)?),
                _ => return Err("a list that is no pair of text and score".to_owned()),
            },
            text if entries.len() == 1 => (None, plain_text(text)?),
            _ => return Err("several texts, of which none is the best".to_owned()),
        };
        // Without scores the first is the best.
        let score = score.filter(|score| !score.is_nan());
        let score = score.unwrap_or(f64::NEG_INFINITY);
        if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
            best = Some((score, text));
        }
    }
    Ok(best.map(|(_, text)| text).unwrap_or_default())
}

/// A number, also as a text, in which a table may have a decimal comma.
fn number(value: &Value) -> Option<f64> {
    match only(value) {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().replacen(',', ".", 1).parse().ok(),
        _ => None,
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", quote(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
