//! Examples to a file.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::example::{Example, Gold};

#[derive(Serialize)]
struct Document<'a> {
    version: &'a str,
    data: Vec<Article<'a>>,
}

#[derive(Serialize)]
struct Article<'a> {
    title: &'a str,
    paragraphs: Vec<Paragraph<'a>>,
}

#[derive(Serialize)]
struct Paragraph<'a> {
    context: &'a str,
    qas: Vec<Question<'a>>,
}

#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    question: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_impossible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<Answer<'a>>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    text: &'a str,
    answer_start: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    title: &'a str,
    context: &'a str,
    question: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_impossible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<AnswerLists<'a>>,
}

#[derive(Serialize)]
struct AnswerLists<'a> {
    text: Vec<&'a str>,
    answer_start: Vec<usize>,
}

impl Dataset {
    /// Writes the questions as SQuAD v2.0's JSON, or as the Hub's rows in JSON Lines if the name ends in `.jsonl`.
    ///
    /// Answers without a place are left out: both forms need `answer_start`. Reading the file gives the same examples
    /// where no answer is left out. The file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let is_lines = path
            .extension()
            .is_some_and(|extension| extension == "jsonl");
        let text = if is_lines {
            self.to_lines()
        } else {
            self.to_document()
        };
        atomic_fs::write_file(path, text).map_err(|error| Error::write(path, error.source))
    }

    fn to_lines(&self) -> String {
        let mut lines = String::new();
        // In a file without a single answer, empty lists stand for answers that are not given.
        let needs_flag = self.examples.iter().all(|e| located(e).is_empty());
        for example in &self.examples {
            let answers = located(example);
            let lists = AnswerLists {
                text: answers.iter().map(|answer| answer.text).collect(),
                answer_start: answers.iter().map(|answer| answer.answer_start).collect(),
            };
            let row = Row {
                id: &example.id,
                title: &example.title,
                context: &example.context,
                question: &example.question,
                is_impossible: (needs_flag && example.is_impossible()).then_some(true),
                answers: (example.gold != Gold::Unknown).then_some(lists),
            };
            lines.push_str(&serde_json::to_string(&row).expect("texts and numbers are plain JSON"));
            lines.push('\n');
        }
        lines
    }

    fn to_document(&self) -> String {
        let mut data: Vec<Article<'_>> = Vec::new();
        let mut last: Option<&Example> = None;
        for example in &self.examples {
            let shares =
                |of: fn(&Example) -> &Arc<str>| last.is_some_and(|last| of(last) == of(example));
            let (same_title, same_context) = (shares(|e| &e.title), shares(|e| &e.context));
            last = Some(example);
            if !same_title {
                data.push(Article {
                    title: &example.title,
                    paragraphs: Vec::new(),
                });
            }
            let Some(article) = data.last_mut() else {
                continue;
            };
            if !(same_title && same_context) {
                article.paragraphs.push(Paragraph {
                    context: &example.context,
                    qas: Vec::new(),
                });
            }
            if let Some(paragraph) = article.paragraphs.last_mut() {
                paragraph.qas.push(question(example));
            }
        }
        let version = self.version.as_deref().unwrap_or("v2.0");
        let document = Document { version, data };
        serde_json::to_string(&document).expect("texts and numbers are plain JSON")
    }
}

fn question(example: &Example) -> Question<'_> {
    let is_known = example.gold != Gold::Unknown;
    Question {
        id: &example.id,
        question: &example.question,
        is_impossible: is_known.then(|| example.is_impossible()),
        answers: is_known.then(|| located(example)),
    }
}

fn located(example: &Example) -> Vec<Answer<'_>> {
    let answers = example.answers().iter();
    answers
        .filter_map(|gold| {
            Some(Answer {
                text: &gold.text,
                answer_start: gold.start?,
            })
        })
        .collect()
}
