//! Examples out of paragraphs, checked: the one way that every form of file goes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::chars::CharIndex;
use crate::error::{Error, quote};
use crate::example::{Example, GoldAnswer};
use crate::read::raw::{FlatAnswers, Place, RawAnswer, RawParagraph, RawQuestion, RawRow};

/// Checks what a file holds and makes examples of it.
pub(crate) struct Builder<'a> {
    file: &'a str,
    examples: Vec<Example>,
    /// For the hash of each id the question that has it; see [`Builder::first_with`].
    ids: HashMap<u64, usize>,
    hasher: RandomState,
    /// Every title and context once.
    texts: HashSet<Arc<str>>,
    /// The error that a deserializer, which has its own kind of errors, was stopped for.
    pub(crate) fault: Option<Error>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self {
            file,
            examples: Vec::new(),
            ids: HashMap::new(),
            hasher: RandomState::new(),
            texts: HashSet::new(),
            fault: None,
        }
    }

    /// Number of questions until now.
    pub(crate) fn len(&self) -> usize {
        self.examples.len()
    }

    /// The examples in file order.
    pub(crate) fn finish(mut self) -> Result<Vec<Example>, Error> {
        if self.examples.is_empty() {
            return Err(Error::Empty {
                file: self.file.to_owned(),
                problem: "no question in it",
            });
        }
        self.examples.shrink_to_fit();
        Ok(self.examples)
    }

    /// Gives all questions from number `first` on a title.
    pub(crate) fn title(&mut self, first: usize, title: String) {
        let title = self.shared(title);
        for example in &mut self.examples[first..] {
            example.title = title.clone();
        }
    }

    pub(crate) fn row(&mut self, place: Place, row: RawRow) -> Result<(), Error> {
        let FlatAnswers { texts, starts } = row.answers;
        if texts.len() != starts.len() {
            return Err(Error::Question {
                file: self.at(place),
                id: row.id,
                problem: format!(
                    "answers.text has {} entries and answers.answer_start {}; give each answer one of both",
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
        let first = self.len();
        let paragraph = RawParagraph {
            context: row.context,
            questions: vec![question],
        };
        self.paragraph(place, paragraph)?;
        self.title(first, row.title.unwrap_or_default());
        Ok(())
    }

    pub(crate) fn paragraph(&mut self, place: Place, paragraph: RawParagraph) -> Result<(), Error> {
        if paragraph.questions.is_empty() {
            return Ok(());
        }
        let wrong = |problem: &str| {
            Err(Error::Paragraph {
                file: self.file.to_owned(),
                path: place.to_string(),
                problem: problem.to_owned(),
            })
        };
        if paragraph.context.trim().is_empty() {
            return wrong(
                "the context is empty, so nothing in it can be answered; drop the paragraph",
            );
        }
        if u32::try_from(paragraph.context.len()).is_err() {
            return wrong("the context is longer than 4 GiB; split it into paragraphs");
        }
        let context = self.shared(paragraph.context);
        let index = CharIndex::new(&context);
        for question in paragraph.questions {
            let example = self.question(place, &context, &index, question)?;
            self.examples.push(example);
        }
        Ok(())
    }

    fn question(
        &mut self,
        place: Place,
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
        if let Some(first) = self.first_with(&id) {
            return Err(Error::DuplicateId {
                id,
                first: format!("{}: question {}", self.file, first + 1),
                second: self.at(place),
            });
        }
        let wrong = |problem: &str| Error::Question {
            file: self.at(place),
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
            (None, Some(true)) => Vec::new(),
            (None, _) => {
                return Err(wrong(
                    "no `answers`; give a list, empty where is_impossible is true",
                ));
            }
            (Some(answers), _) => answers,
        };
        let is_impossible = answers.is_empty();
        let mut answers = answers
            .into_iter()
            .map(|raw| self.answer(place, &id, context, index, raw))
            .collect::<Result<Vec<_>, _>>()?;
        answers.shrink_to_fit();
        Ok(Example {
            id,
            title: Arc::default(),
            context: context.clone(),
            question,
            answers,
            is_impossible,
        })
    }

    fn answer(
        &self,
        place: Place,
        id: &str,
        context: &str,
        index: &CharIndex<'_>,
        raw: RawAnswer,
    ) -> Result<GoldAnswer, Error> {
        let RawAnswer { text, start } = raw;
        if text.trim().is_empty() {
            return Err(Error::Question {
                file: self.at(place),
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
            (Some(start), Some(found)) if found == text => Ok(GoldAnswer { text, start }),
            (_, found) => Err(Error::AnswerMismatch {
                file: self.at(place),
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

    /// The question that has this id already; if there is none, the id is noted for the question that comes next.
    ///
    /// The ids themselves stand in the examples, so that only their hashes are kept. Ids of one hash, which is
    /// all but impossible, take the next free number.
    fn first_with(&mut self, id: &str) -> Option<usize> {
        let mut hash = self.hasher.hash_one(id);
        while let Some(&question) = self.ids.get(&hash) {
            if self.examples[question].id == id {
                return Some(question);
            }
            hash = hash.wrapping_add(1);
        }
        self.ids.insert(hash, self.examples.len());
        None
    }

    /// The text as every example has it that has the same.
    fn shared(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(text.as_str()) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    fn at(&self, place: Place) -> String {
        format!("{}: {place}", self.file)
    }
}
