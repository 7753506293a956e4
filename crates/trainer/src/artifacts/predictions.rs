//! Files of predictions: those of an evaluation, and those of `predict` in every form.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use squad_data::{Prediction, SpanAnswer};

use crate::Error;

/// The form of a file of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictionFormat {
    /// An object from ids to answers, with files of n-best lists and null odds beside it, as SQuAD's scripts have them.
    Squad,
    /// One object on each line, with everything.
    Jsonl,
    /// A table of the answers.
    Csv,
    /// The list that `evaluate` takes: `id`, `prediction_text`, `no_answer_probability`.
    Evaluate,
}

impl PredictionFormat {
    /// The files that answers to `out` go to, `out` last. Files of these names are replaced.
    pub fn files(self, out: &Path) -> Vec<PathBuf> {
        let parts = self.parts(out).into_iter();
        parts.map(|(file, _)| file).collect()
    }

    /// [`PredictionFormat::files`] with their layouts.
    pub(crate) fn parts(self, out: &Path) -> Vec<(PathBuf, Layout)> {
        let is_json = out
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        // Another ending may be a part of the name: that of `minilm-0.5` and `minilm-0.9`.
        let stem = if is_json {
            out.with_extension("")
        } else {
            out.to_owned()
        };
        let beside = |ending: &str| {
            let mut name = stem.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let mut parts = Vec::new();
        if self == Self::Squad {
            parts.push((beside(".nbest.json"), Layout::NBestById));
            parts.push((beside(".null_odds.json"), Layout::NullOddsById));
        }
        parts.push((out.to_owned(), self.layout()));
        parts
    }

    /// The layout of the file itself.
    pub(crate) fn layout(self) -> Layout {
        match self {
            Self::Squad => Layout::ById,
            Self::Jsonl => Layout::Lines,
            Self::Csv => Layout::Table,
            Self::Evaluate => Layout::List,
        }
    }
}

/// The answer to a question with its scores.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PredictionRecord {
    pub(crate) id: String,
    pub(crate) prediction_text: String,
    /// Probability of the answer among the distinct n-best entries.
    probability: Option<f32>,
    /// Range of the answer in characters of the context.
    offsets: Option<[usize; 2]>,
    /// Probability of "no answer" among the n-best entries.
    no_answer_probability: f32,
    /// `None` is NaN. As `f64`, so that a threshold found in `null_odds.json` equals the one in `metrics.json`.
    null_odds: Option<f64>,
    n_best: Vec<NBestEntry>,
}

/// An entry of `nbest.json`, with run_qa's keys and `offsets` in characters.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct NBestEntry {
    text: String,
    probability: f32,
    start_logit: f32,
    end_logit: f32,
    offsets: [usize; 2],
}

/// An entry of the list that `evaluate` takes.
#[derive(Serialize)]
struct ListEntry<'a> {
    id: &'a str,
    prediction_text: &'a str,
    no_answer_probability: f32,
}

impl NBestEntry {
    fn new(span: &SpanAnswer) -> Self {
        Self {
            text: span.text.clone(),
            probability: span.probability,
            start_logit: span.start_logit,
            end_logit: span.end_logit,
            offsets: [span.chars.start, span.chars.end],
        }
    }
}

impl PredictionRecord {
    pub(crate) fn new(prediction: &Prediction) -> Self {
        let chosen = prediction.answer();
        Self {
            id: prediction.id.clone(),
            prediction_text: prediction.text.clone(),
            probability: chosen.map(|_| prediction.probability),
            offsets: chosen.map(|span| [span.chars.start, span.chars.end]),
            no_answer_probability: prediction.no_answer().map_or(0.0, |span| span.probability),
            null_odds: Some(f64::from(prediction.null_odds)).filter(|odds| !odds.is_nan()),
            n_best: prediction.n_best.iter().map(NBestEntry::new).collect(),
        }
    }

    /// The empty answer to a question that leaves no room for its context.
    pub(crate) fn too_long(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            prediction_text: String::new(),
            probability: None,
            offsets: None,
            no_answer_probability: 1.0,
            null_odds: None,
            n_best: Vec::new(),
        }
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.n_best.is_empty()
    }
}

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// An object from ids to answers.
    ById,
    /// An object from ids to n-best lists.
    NBestById,
    /// An object from ids to null odds.
    NullOddsById,
    /// A list of `evaluate`'s objects.
    List,
    /// A record on each line.
    Lines,
    /// CSV.
    Table,
}

/// Writes a file of records, whole or not at all. Only the first of several parts of a table has a header.
pub(crate) fn write_predictions(
    path: &Path,
    layout: Layout,
    is_first_part: bool,
    mut records: impl Iterator<Item = io::Result<PredictionRecord>>,
) -> Result<(), Error> {
    Ok(atomic_fs::write_file_with(path, |file| {
        let mut writer = PredictionWriter::new(BufWriter::new(file), layout, is_first_part);
        records.try_for_each(|record| writer.write(&record?))?;
        writer.finish().map(drop)
    })?)
}

/// Writes records one after the other.
pub(crate) struct PredictionWriter<W> {
    out: W,
    layout: Layout,
    /// Whether nothing has been written.
    is_empty: bool,
    /// Whether a table begins with the names of its columns.
    has_header: bool,
}

const COLUMNS: &str =
    "id,prediction_text,probability,start,end,no_answer_probability,null_odds\r\n";

impl<W: Write> PredictionWriter<W> {
    /// Only the first of several parts of a table has a header, so that they can be concatenated.
    pub(crate) fn new(out: W, layout: Layout, is_first_part: bool) -> Self {
        Self {
            out,
            layout,
            is_empty: true,
            has_header: is_first_part,
        }
    }

    pub(crate) fn write(&mut self, record: &PredictionRecord) -> io::Result<()> {
        self.begin()?;
        let is_first = std::mem::take(&mut self.is_empty);
        match self.layout {
            Layout::ById => self.entry(is_first, &record.id, &json(&record.prediction_text)?),
            Layout::NullOddsById => self.entry(is_first, &record.id, &json(&record.null_odds)?),
            Layout::NBestById => {
                let entries: Result<Vec<_>, _> = record.n_best.iter().map(json).collect();
                let list = entries?.join(",\n    ");
                self.entry(is_first, &record.id, &format!("[\n    {list}\n  ]"))
            }
            Layout::List => {
                let entry = json(&ListEntry {
                    id: &record.id,
                    prediction_text: &record.prediction_text,
                    no_answer_probability: record.no_answer_probability,
                })?;
                let separator = if is_first { "" } else { "," };
                write!(self.out, "{separator}\n  {entry}")
            }
            Layout::Lines => writeln!(self.out, "{}", json(record)?),
            Layout::Table => self.row(record),
        }
    }

    /// The beginning of the file, before the first record.
    fn begin(&mut self) -> io::Result<()> {
        match self.layout {
            _ if !self.is_empty => Ok(()),
            Layout::ById | Layout::NBestById | Layout::NullOddsById => write!(self.out, "{{"),
            Layout::List => write!(self.out, "["),
            Layout::Table if self.has_header => write!(self.out, "{COLUMNS}"),
            Layout::Lines | Layout::Table => Ok(()),
        }
    }

    fn entry(&mut self, is_first: bool, id: &str, value: &str) -> io::Result<()> {
        let separator = if is_first { "" } else { "," };
        write!(self.out, "{separator}\n  {}: {value}", json(&id)?)
    }

    fn row(&mut self, record: &PredictionRecord) -> io::Result<()> {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let offset = |side: usize| {
            let offset = record.offsets.map(|offsets| offsets[side]);
            offset.map_or_else(String::new, |offset| offset.to_string())
        };
        let probability = record.probability.map(|p| p.to_string());
        write!(
            self.out,
            "{},{},{},{},{},{},{}\r\n",
            cell(&record.id),
            cell(&record.prediction_text),
            probability.unwrap_or_default(),
            offset(0),
            offset(1),
            record.no_answer_probability,
            number(record.null_odds),
        )
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes the end of the file and returns what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.begin()?;
        match self.layout {
            Layout::ById | Layout::NBestById | Layout::NullOddsById => writeln!(self.out, "\n}}")?,
            Layout::List => writeln!(self.out, "\n]")?,
            Layout::Lines | Layout::Table => {}
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// A cell of a CSV file (RFC 4180).
fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
