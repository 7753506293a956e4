//! What is wrong in a file of questions.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::error::{counted, quote};

/// Flaws of a kind that are kept with their place.
const MAX_LISTED: usize = 10;

/// A kind of flaw in a file of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FlawKind {
    /// The context does not have the answer at its `answer_start`, but elsewhere.
    StartWrong,
    /// The answer has no `answer_start`, and the context has its text more than once.
    StartMissing,
    /// The context has the answer with other upper and lower case.
    OtherCase,
    /// The context has the answer with other white space, for example a no-break space or a line end.
    OtherSpace,
    /// The context has the answer in another Unicode normal form, or with ligatures or full-width characters.
    OtherUnicodeForm,
    /// The context has the answer with other quotation marks, apostrophes or dashes.
    OtherMarks,
    /// The context or the answer has HTML entities such as `&amp;`.
    HtmlEntities,
    /// Two or more of the preceding five.
    SeveralDifferences,
    /// The context does not have the answer in any spelling.
    Absent,
    /// As [`FlawKind::Absent`], and `answer_start` is outside the context too, for example -1.
    OutsideContext,
    /// `is_impossible` is true but there are answers.
    Contradiction,
    /// `is_impossible` is false but there is no answer.
    AnswerMissing,
    /// The answer has no text but `start` and `end`; it is what the context has from `start` to before `end`.
    TextMissing,
    /// A field of a row, or a column, that is not read though its name has "answer" or "label" in it.
    FieldUnread,
    /// Quotation marks around cells are left out as quoting, but the table may have none: they may belong to the cells.
    QuotesUnclear,
    /// Cells of a table have backslashes such as `\n` or `\"`, which are read as they are, but may be escapes.
    BackslashesUnclear,
    /// The question has no id; it gets its number in the file, from 0.
    IdMissing,
    /// The id has occurred before.
    DuplicateId,
    /// The question is blank.
    EmptyQuestion,
    /// The context is blank.
    EmptyContext,
}

impl FlawKind {
    /// What it means, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Self::StartWrong => "answer_start is wrong, the text stands elsewhere",
            Self::StartMissing => "no answer_start, and the text stands in several places",
            Self::OtherCase => "the context has the answer in another case",
            Self::OtherSpace => "the context has the answer with other white space",
            Self::OtherUnicodeForm => "the context has the answer in another Unicode form",
            Self::OtherMarks => {
                "the context has the answer with other quotation marks, apostrophes or dashes"
            }
            Self::HtmlEntities => "HTML entities in the answer or the context",
            Self::SeveralDifferences => "the context has the answer in another spelling",
            Self::Absent => "the context does not have the answer",
            Self::OutsideContext => {
                "answer_start is outside the context, which does not have the answer"
            }
            Self::Contradiction => "is_impossible is true but there are answers",
            Self::AnswerMissing => "is_impossible is false but there is no answer",
            Self::TextMissing => {
                "no text: the answer is what the context has from start to before end"
            }
            Self::FieldUnread => "a field that is not read, by its name one of answers",
            Self::QuotesUnclear => {
                "quotation marks around cells are left out, but may belong to them: nothing says whether the table has quoting"
            }
            Self::BackslashesUnclear => {
                r#"cells have \n, \t, \r or \" of two characters, which are left as they are, but may be escapes: write the table as RFC 4180 has it, or as JSON Lines"#
            }
            Self::IdMissing => "no id: the question's number in its file, from 0, takes its place",
            Self::DuplicateId => "the id has occurred before",
            Self::EmptyQuestion => "the question is empty",
            Self::EmptyContext => "the context is empty",
        }
    }
}

/// One flaw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// What is wrong.
    pub kind: FlawKind,
    /// The file and the place in it.
    pub place: String,
    /// The question's id; empty for a context.
    pub id: String,
    /// The answer's text; `None` if the flaw is not one of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The answer's `answer_start`, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// What the context has there; `None` if that is outside the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The nearest place in the context that has the answer in any spelling, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_start: Option<usize>,
    /// What the context has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_text: Option<String>,
    /// How far `nearest_start` is from `start`, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<u64>,
    /// What `start` counts instead of characters, if `nearest_start` is the place that it then means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// The name of a field that is not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.id.is_empty() {
            write!(f, "question {}: ", quote(&self.id))?;
        }
        let Some(text) = &self.text else {
            f.write_str(self.kind.description())?;
            return match &self.field {
                Some(field) => write!(f, ": {}", quote(field)),
                None => Ok(()),
            };
        };
        write!(f, "answer {} ", quote(text))?;
        match (self.start, &self.found) {
            (Some(start), Some(found)) => write!(
                f,
                "does not match its context, which has {} at answer_start {start}",
                quote(found)
            )?,
            (Some(start), None) => {
                write!(f, "has answer_start {start}, which is outside its context")?;
            }
            (None, _) if self.kind == FlawKind::StartMissing => {
                f.write_str("has no answer_start and stands in several places")?;
            }
            (None, _) => f.write_str("is not in its context")?,
        }
        match (self.nearest_start, &self.nearest_text) {
            (Some(at), _) if self.kind == FlawKind::StartMissing => {
                write!(f, ", first at character {at}")
            }
            (Some(at), _) if self.kind == FlawKind::StartWrong => {
                let distance = self.distance.unwrap_or_default();
                write!(f, "; the text occurs at character {at}, {distance} away")?;
                match self.unit {
                    Some(unit) => write!(f, ": answer_start counts {unit}"),
                    None => Ok(()),
                }
            }
            (Some(at), Some(nearest)) => {
                let kind = self.kind.description();
                write!(f, "; {kind}: {} at character {at}", quote(nearest))
            }
            _ => f.write_str("; the text does not occur in the context"),
        }
    }
}

/// What is wrong in the files of a dataset, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flaws {
    /// Number of flaws of each kind.
    pub counts: BTreeMap<FlawKind, usize>,
    /// The first ten flaws of each kind, by kind.
    pub first: Vec<Flaw>,
    /// Questions that were left out.
    pub skipped_questions: usize,
    /// Answers whose place or text was corrected.
    pub repaired_answers: usize,
    /// Answers that the context does not have at their `answer_start`. They score predictions and label nothing.
    pub unlocated_answers: usize,
    /// Questions with answers of which none has a place. Such a question is labelled "no answer".
    pub unlocated_questions: usize,
}

impl Flaws {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Number of flaws of all kinds.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// Number of flaws of a kind.
    pub fn count(&self, kind: FlawKind) -> usize {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// The first flaws of a kind, at most ten.
    pub fn of(&self, kind: FlawKind) -> impl Iterator<Item = &Flaw> {
        self.first.iter().filter(move |flaw| flaw.kind == kind)
    }

    /// One line that says what was left out, repaired, not found, guessed, numbered or not read; `None` if nothing was.
    pub fn summary(&self) -> Option<String> {
        let mut parts: Vec<String> = [
            (self.skipped_questions, "skipped", "question"),
            (self.repaired_answers, "repaired", "answer"),
            (self.unlocated_answers, "not in their context", "answer"),
            (
                self.count(FlawKind::StartMissing),
                "without answer_start labelled at the first of several places",
                "answer",
            ),
            (
                self.count(FlawKind::TextMissing),
                "without text taken from start to before end",
                "answer",
            ),
            (
                self.count(FlawKind::IdMissing),
                "numbered for lack of an id",
                "question",
            ),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, noun)| format!("{} {what}", counted(count, noun)))
        .collect();
        let unread = self.of(FlawKind::FieldUnread);
        let unread: Vec<String> = unread
            .flat_map(|flaw| &flaw.field)
            .map(|f| quote(f))
            .collect();
        if !unread.is_empty() {
            parts.push(format!("fields not read: {}", unread.join(", ")));
        }
        if self.count(FlawKind::QuotesUnclear) > 0 {
            parts.push("quotation marks around cells left out as quoting".to_owned());
        }
        if self.count(FlawKind::BackslashesUnclear) > 0 {
            parts.push(r"backslashes in cells left as they are".to_owned());
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    pub(crate) fn add(&mut self, flaw: Flaw) {
        let count = self.counts.entry(flaw.kind).or_default();
        *count += 1;
        if *count <= MAX_LISTED {
            let behind = self.first.partition_point(|known| known.kind <= flaw.kind);
            self.first.insert(behind, flaw);
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        for flaw in other.first {
            if self.of(flaw.kind).count() < MAX_LISTED {
                let behind = self.first.partition_point(|known| known.kind <= flaw.kind);
                self.first.insert(behind, flaw);
            }
        }
        self.skipped_questions += other.skipped_questions;
        self.repaired_answers += other.repaired_answers;
        self.unlocated_answers += other.unlocated_answers;
        self.unlocated_questions += other.unlocated_questions;
    }
}
