//! The checks that all file forms share: raw values go in, examples come out.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;

use crate::chars::CharIndex;
use crate::error::{Error, quote};
use crate::example::{Example, Gold, GoldAnswer};

/// An article, before it is checked.
#[derive(Deserialize)]
#[serde(expecting = "an article: an object with `title` and `paragraphs`")]
pub(super) struct RawArticle {
    title: Option<String>,
    paragraphs: Vec<RawParagraph>,
}

/// A paragraph, before it is checked.
#[derive(Deserialize)]
#[serde(expecting = "a paragraph: an object with `context` and `qas`")]
struct RawParagraph {
    context: String,
    #[serde(rename = "qas")]
    questions: Vec<RawQuestion>,
}

/// A question, before it is checked.
#[derive(Deserialize)]
#[serde(expecting = "a question: an object with `id`, `question` and `answers`")]
struct RawQuestion {
    id: String,
    question: String,
    answers: Option<Vec<RawAnswer>>,
    is_impossible: Option<bool>,
}

/// An answer, before it is checked.
#[derive(Deserialize)]
#[serde(expecting = "an answer: an object with `text` and `answer_start`")]
struct RawAnswer {
    text: String,
    /// In characters; may be outside the context.
    #[serde(rename = "answer_start")]
    start: i64,
}

/// A row of a flat file: one question with its own copy of title and context.
pub(super) struct RawRow {
    pub(super) id: String,
    pub(super) title: Option<String>,
    pub(super) context: String,
    pub(super) question: String,
    pub(super) answers: FlatAnswers,
    pub(super) is_impossible: Option<bool>,
}

/// The answers of a row: a pair of lists instead of a list of pairs.
#[derive(Deserialize)]
#[serde(expecting = "an object with two lists, `text` and `answer_start`")]
pub(super) struct FlatAnswers {
    #[serde(rename = "text")]
    pub(super) texts: Vec<String>,
    #[serde(rename = "answer_start")]
    pub(super) starts: Vec<i64>,
}

/// A place in a file, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Location {
    /// Article and paragraph, from 0 as in a JSON path.
    Paragraph(usize, usize),
    /// Line of a text, from 1.
    Line(usize),
    /// Row of a table, from 1.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code))]
    Row(usize),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paragraph(article, paragraph) => {
                write!(f, "data[{article}].paragraphs[{paragraph}]")
            }
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// Receives examples one by one; says whether it wants more.
pub(super) type ExampleSink<'a> = dyn FnMut(Example) -> ControlFlow<()> + 'a;

/// Checks what a file holds and makes examples of it.
pub(super) struct ExampleBuilder<'a> {
    file: &'a str,
    examples: Vec<Example>,
    /// Index of each id's example.
    ids: HashMap<String, usize>,
    /// Every distinct title and context.
    texts: HashSet<Arc<str>>,
    /// Whether any question has an answer or says that it has none.
    is_labelled: bool,
    /// Receives the examples instead of a dataset.
    sink: Option<&'a mut ExampleSink<'a>>,
    /// Number of examples that the sink received.
    num_given: usize,
    /// Whether the sink wants no more.
    pub(super) is_stopped: bool,
    /// The error for which a deserializer was stopped; its own error type cannot carry it.
    pub(super) fault: Option<Error>,
}

impl<'a> ExampleBuilder<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self {
            file,
            examples: Vec::new(),
            ids: HashMap::new(),
            texts: HashSet::new(),
            is_labelled: false,
            sink: None,
            num_given: 0,
            is_stopped: false,
            fault: None,
        }
    }

    /// Gives the examples of each article or row to `sink` and forgets them.
    pub(super) fn with_sink(mut self, sink: &'a mut ExampleSink<'a>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Empties the builder into the sink, if it has one. The error stops the reader; `is_stopped` tells it from others.
    fn give(&mut self) -> Result<(), Error> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        for example in self.examples.drain(..) {
            self.num_given += 1;
            if sink(example).is_break() {
                self.is_stopped = true;
                return Err(Error::Empty {
                    file: self.file.to_owned(),
                    problem: "no more questions are wanted",
                });
            }
        }
        self.ids.clear();
        self.texts.clear();
        Ok(())
    }

    /// The examples in file order.
    pub(super) fn finish(mut self) -> Result<Vec<Example>, Error> {
        if self.examples.is_empty() && self.num_given == 0 {
            return Err(Error::Empty {
                file: self.file.to_owned(),
                problem: "no question in it",
            });
        }
        // Without a single answer, and without a word that there is none, empty lists stand for answers not given.
        if !self.is_labelled {
            let examples = self.examples.iter_mut();
            examples.for_each(|example| example.gold = Gold::Unknown);
        }
        self.examples.shrink_to_fit();
        Ok(self.examples)
    }

    /// Adds the questions of an article; `number` is its place in the file.
    pub(super) fn article(&mut self, number: usize, article: RawArticle) -> Result<(), Error> {
        let title = self.shared(article.title.unwrap_or_default());
        for (paragraph, raw) in article.paragraphs.into_iter().enumerate() {
            self.paragraph(Location::Paragraph(number, paragraph), &title, raw)?;
        }
        self.give()
    }

    /// Adds the question of a row.
    pub(super) fn row(&mut self, location: Location, row: RawRow) -> Result<(), Error> {
        let FlatAnswers { texts, starts } = row.answers;
        if texts.len() != starts.len() {
            return Err(Error::Question {
                file: self.at(location),
                id: row.id,
                problem: format!(
                    "answers.text has {} entries and answers.answer_start {}; give each answer one entry in both",
                    texts.len(),
                    starts.len()
                ),
            });
        }
        let answers = texts.into_iter().zip(starts);
        let answers = answers.map(|(text, start)| RawAnswer { text, start });
        let question = RawQuestion {
            id: row.id,
            question: row.question,
            answers: Some(answers.collect()),
            is_impossible: row.is_impossible,
        };
        let title = self.shared(row.title.unwrap_or_default());
        let paragraph = RawParagraph {
            context: row.context,
            questions: vec![question],
        };
        self.paragraph(location, &title, paragraph)?;
        self.give()
    }

    fn paragraph(
        &mut self,
        location: Location,
        title: &Arc<str>,
        paragraph: RawParagraph,
    ) -> Result<(), Error> {
        if paragraph.questions.is_empty() {
            return Ok(());
        }
        let wrong = |problem: &str| {
            Err(Error::Paragraph {
                file: self.file.to_owned(),
                path: location.to_string(),
                problem: problem.to_owned(),
            })
        };
        if paragraph.context.trim().is_empty() {
            return wrong("the context is empty; drop the paragraph");
        }
        if u32::try_from(paragraph.context.len()).is_err() {
            return wrong("the context is longer than 4 GiB; split it into paragraphs");
        }
        let context = self.shared(paragraph.context);
        let index = CharIndex::new(&context);
        for question in paragraph.questions {
            let mut example = self.question(location, &context, &index, question)?;
            example.title = title.clone();
            self.ids.insert(example.id.clone(), self.examples.len());
            self.examples.push(example);
        }
        Ok(())
    }

    fn question(
        &mut self,
        location: Location,
        context: &Arc<str>,
        index: &CharIndex<'_>,
        raw: RawQuestion,
    ) -> Result<Example, Error> {
        let RawQuestion {
            id,
            question,
            answers,
            is_impossible,
        } = raw;
        if let Some(first) = self.ids.get(&id) {
            return Err(Error::DuplicateId {
                id,
                first: format!("{}: question {}", self.file, first + 1),
                second: self.at(location),
            });
        }
        let wrong = |problem: &str| Error::Question {
            file: self.at(location),
            id: id.clone(),
            problem: problem.to_owned(),
        };
        if question.trim().is_empty() {
            return Err(wrong("the question is empty; drop it"));
        }
        let answers = match (answers, is_impossible) {
            (Some(answers), Some(true)) if !answers.is_empty() => {
                return Err(wrong(
                    "is_impossible is true but answers are given; correct one of the two",
                ));
            }
            (Some(answers), Some(false)) if answers.is_empty() => {
                return Err(wrong(
                    "is_impossible is false but no answer is given; correct one of the two",
                ));
            }
            (answers, Some(true)) => Some(answers.unwrap_or_default()),
            (answers, _) => answers,
        };
        self.is_labelled |= is_impossible == Some(true);
        let example = Example::new(id, question, context.clone());
        let Some(answers) = answers else {
            return Ok(example);
        };
        self.is_labelled |= !answers.is_empty();
        let mut answers = answers
            .into_iter()
            .map(|raw| self.answer(location, &example.id, context, index, raw))
            .collect::<Result<Vec<_>, _>>()?;
        answers.shrink_to_fit();
        Ok(example.with_answers(answers))
    }

    fn answer(
        &self,
        location: Location,
        id: &str,
        context: &str,
        index: &CharIndex<'_>,
        raw: RawAnswer,
    ) -> Result<GoldAnswer, Error> {
        let RawAnswer { text, start } = raw;
        if text.trim().is_empty() {
            return Err(Error::Question {
                file: self.at(location),
                id: id.to_owned(),
                problem: format!("an answer's text is {}; drop that answer", quote(&text)),
            });
        }
        let inside = usize::try_from(start).ok().filter(|&at| at < index.len());
        let found = inside.and_then(|at| {
            let end = at.saturating_add(text.chars().count()).min(index.len());
            index.slice(at..end)
        });
        match (inside, found) {
            (Some(start), Some(found)) if found == text => Ok(GoldAnswer {
                text,
                start: Some(start),
            }),
            (_, found) => Err(Error::AnswerMismatch {
                file: self.at(location),
                id: id.to_owned(),
                start,
                found: found.map(str::to_owned),
                elsewhere: context
                    .match_indices(&text)
                    .map(|(byte, _)| index.char_at(byte))
                    .min_by_key(|&at| (at as i64).abs_diff(start)),
                text,
            }),
        }
    }

    /// The one copy of a text that all examples share.
    fn shared(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(text.as_str()) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    fn at(&self, location: Location) -> String {
        format!("{}: {location}", self.file)
    }
}
