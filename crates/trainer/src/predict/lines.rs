use std::io::{BufRead, ErrorKind, Read, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use squad_data::Example;

use super::record::{PredictionFormat, Record, RecordWriter};
use super::{Predictor, standard_output};
use crate::Error;

/// Far longer than a question with any context.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// A line of questions.
#[derive(Deserialize)]
#[serde(expecting = "an object with `question` and `context`, and an `id` if you like")]
struct Line {
    id: Option<Value>,
    question: String,
    context: String,
}

impl Predictor {
    /// Answers questions that come one on each line, as JSON objects `{"id", "question", "context"}`, and writes each answer as
    /// one line at once. The id is the line's number, from 1, where there is none. Returns the number of questions.
    ///
    /// # Errors
    /// If a line is no such object, its question cannot be answered, or the format is not one of lines. Lines before it are
    /// answered. That nobody reads the answers any more is the end, and no error.
    pub fn predict_lines(
        &self,
        mut lines: impl BufRead,
        out: impl Write,
        format: PredictionFormat,
    ) -> Result<usize, Error> {
        if !matches!(format, PredictionFormat::Jsonl | PredictionFormat::Csv) {
            let message = "--format: questions from standard input are answered line by line, in jsonl or csv";
            return Err(Error::Config(vec![message.to_owned()]));
        }
        let options = self.options(true);
        let mut writer = RecordWriter::new(out, format.layout(), true);
        let mut count = 0;
        for example in examples(&mut lines) {
            for prediction in self.predict(&[example?], &options)? {
                let written = writer.write(&Record::new(&prediction));
                match written.and_then(|()| writer.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(count),
                    written => written.map_err(standard_output)?,
                }
            }
            count += 1;
        }
        match writer.finish() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(standard_output(error)),
            _ => Ok(count),
        }
    }
}

/// The question of each line that is not blank.
fn examples(lines: &mut impl BufRead) -> impl Iterator<Item = Result<Example, Error>> {
    (0..)
        .map_while(|number| next_example(lines, number).transpose())
        .filter_map(Result::transpose)
}

/// The next line's question; the inner option is empty for a blank line.
fn next_example(lines: &mut impl BufRead, number: usize) -> Result<Option<Option<Example>>, Error> {
    let Some(line) = next_line(lines, number)? else {
        return Ok(None);
    };
    let line = if number == 0 {
        atomic_fs::without_bom(&line)
    } else {
        &line
    };
    if line.trim().is_empty() {
        return Ok(Some(None));
    }
    example(line, number).map(|example| Some(Some(example)))
}

/// Reads questions as [`Predictor::predict_lines`] does; for the fuzz targets.
///
/// # Errors
/// If a line has no question.
#[doc(hidden)]
pub fn check_question_lines(mut lines: impl BufRead) -> Result<usize, Error> {
    examples(&mut lines).try_fold(0, |count, example| example.map(|_| count + 1))
}

/// The next line, which memory must hold.
fn next_line(lines: &mut impl BufRead, number: usize) -> Result<Option<String>, Error> {
    let mut line = Vec::new();
    let read = lines.take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
    match read.map_err(|error| wrong(number, error))? as u64 {
        0 => Ok(None),
        MAX_LINE_BYTES => Err(wrong(number, "longer than 256 MiB")),
        _ => String::from_utf8(line)
            .map(Some)
            .map_err(|_| wrong(number, "not UTF-8")),
    }
}

fn example(line: &str, number: usize) -> Result<Example, Error> {
    let line: Line = serde_json::from_str(line).map_err(|error| wrong(number, error))?;
    for (what, text) in [("question", &line.question), ("context", &line.context)] {
        if text.trim().is_empty() {
            return Err(wrong(number, format!("the {what} is empty")));
        }
    }
    let id = match line.id {
        None | Some(Value::Null) => (number + 1).to_string(),
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        Some(other) => return Err(wrong(number, format!("the id is {other}"))),
    };
    Ok(Example::new(id, line.question, line.context))
}

fn wrong(number: usize, problem: impl ToString) -> Error {
    let message = format!("line {}: {}", number + 1, problem.to_string());
    Error::file(Path::new("standard input"), message)
}
