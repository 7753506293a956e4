//! The checks that all forms share: what files say goes in, examples come out.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::{Error, quote};
use crate::example::{Example, Gold, GoldAnswer};
use crate::read::flaw::{Flaw, FlawKind, Flaws};
use crate::read::foreign::{Foreign, MAX_NAMES};
use crate::read::locate::{Locator, Mismatch, Occurrence};
use crate::read::options::{OnBadAnswer, ReadOptions};
use crate::read::raw::{BY_COLUMN, Context, Detected, RawAnswer, RawAnswers, RawItem, RawQuestion};

/// Characters of a text that a [`Flaw`] keeps.
const MAX_TEXT: usize = 200;

/// A place in a file, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Location {
    /// An element of a document's list of this name, such as `data`, from 0.
    In(&'static str, usize),
    /// An element of a list at the top level, from 0.
    Element(usize),
    /// Line of a text, from 1.
    Line(usize),
    /// Row of a table, from 1.
    #[cfg_attr(not(any(feature = "csv", feature = "parquet")), expect(dead_code))]
    Row(usize),
    /// The whole document.
    Document,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(list, number) => write!(f, "{list}[{number}]"),
            Self::Element(number) => write!(f, "[{number}]"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
            Self::Document => f.write_str("the top level"),
        }
    }
}

/// A [`Location`] and a paragraph in it.
#[derive(Clone, Copy)]
struct Place(Location, Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (location, None) => location.fmt(f),
            (Location::Document, Some(paragraph)) => write!(f, "paragraphs[{paragraph}]"),
            (location @ (Location::In(..) | Location::Element(_)), Some(paragraph)) => {
                write!(f, "{location}.paragraphs[{paragraph}]")
            }
            (location, Some(paragraph)) => write!(f, "{location}, paragraphs[{paragraph}]"),
        }
    }
}

/// Receives examples one by one; says whether it wants more.
pub(super) type ExampleSink<'a> = dyn FnMut(Example) -> ControlFlow<()> + 'a;

/// Checks what files hold and makes examples of it.
pub(super) struct ExampleBuilder<'a> {
    options: ReadOptions,
    /// The file that is read, for messages.
    file: String,
    /// Its fields that are not read and may have answers.
    unread: Vec<String>,
    /// What comes before its ids.
    id_prefix: String,
    /// Number of questions in the data set so far.
    num_in_set: usize,
    /// The first example of each file.
    files: Vec<(usize, String)>,
    dataset: Dataset,
    /// Index of the example of each id, by the id's hash: the ids themselves are in the examples. Ids of one hash take the
    /// next free numbers.
    ids: HashMap<u64, usize>,
    hasher: RandomState,
    /// Every distinct title and context.
    texts: HashSet<Arc<str>>,
    no_title: Arc<str>,
    set: FileSet,
    /// Receives the examples instead of a dataset.
    sink: Option<&'a mut ExampleSink<'a>>,
    /// Number of examples that the sink received.
    num_given: usize,
    /// As [`TextReader::text_bytes`](crate::read::TextReader::text_bytes) of the file that is read.
    pub(super) text_bytes: Rc<Cell<u64>>,
    /// Whether the sink wants no more.
    pub(super) is_stopped: bool,
    /// The first question of which no answer has a place, and the number of such questions.
    bad: Option<(Box<Flaw>, usize)>,
    /// The error for which a deserializer was stopped; its own error type cannot carry it.
    pub(super) fault: Option<Error>,
}

/// The files that are one data set: the shards of a folder, or a single file.
#[derive(Default)]
struct FileSet {
    first_example: usize,
    /// Questions that were left out of the data sets before.
    skipped_before: usize,
    /// Whether any question has an answer, or says that it has none.
    is_labelled: bool,
    /// Questions that say that they have an answer and give none. Without any answer in the files they are to be answered.
    answer_missing: Flaws,
    /// Names of the unknown fields of the first paragraph that has some in place of questions.
    unknown: Option<String>,
}

/// A paragraph whose questions are read.
struct Paragraph<'a> {
    place: Place,
    title: Arc<str>,
    context: Arc<str>,
    locator: &'a Locator<'a>,
    /// A form that is known and not read, if its fields are here.
    foreign: Option<Foreign>,
}

impl<'a> ExampleBuilder<'a> {
    pub(super) fn new(options: ReadOptions) -> Self {
        Self {
            options,
            file: String::new(),
            unread: Vec::new(),
            id_prefix: String::new(),
            num_in_set: 0,
            files: Vec::new(),
            dataset: Dataset::default(),
            ids: HashMap::new(),
            hasher: RandomState::new(),
            texts: HashSet::new(),
            no_title: Arc::default(),
            set: FileSet::default(),
            sink: None,
            num_given: 0,
            text_bytes: Rc::default(),
            is_stopped: false,
            bad: None,
            fault: None,
        }
    }

    /// Gives the examples of each element of a file to `sink` and forgets them.
    pub(super) fn with_sink(mut self, sink: &'a mut ExampleSink<'a>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Whether examples are forgotten as soon as they are made.
    #[cfg(feature = "parquet")]
    pub(super) fn has_sink(&self) -> bool {
        self.sink.is_some()
    }

    /// Empties the builder into the sink, if it has one. The error stops the reader; `is_stopped` tells it from others.
    fn give(&mut self) -> Result<(), Error> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        for example in self.dataset.examples.drain(..) {
            self.num_given += 1;
            if sink(example).is_break() {
                self.is_stopped = true;
                return Err(Error::Empty {
                    file: self.file.clone(),
                    problem: "no more questions are wanted".to_owned(),
                });
            }
        }
        self.ids.clear();
        self.texts.clear();
        self.text_bytes.set(0);
        Ok(())
    }

    /// A file begins; `id_prefix` comes before its ids.
    pub(super) fn begin_file(&mut self, file: &str, id_prefix: String) {
        file.clone_into(&mut self.file);
        self.unread.clear();
        self.id_prefix = id_prefix;
        self.files.push((self.dataset.len(), file.to_owned()));
    }

    /// The files since the last call are one data set.
    pub(super) fn end_set(&mut self, name: &str, version: Option<String>) -> Result<(), Error> {
        let set = std::mem::replace(
            &mut self.set,
            FileSet {
                first_example: self.dataset.len(),
                skipped_before: self.dataset.flaws.skipped_questions,
                ..FileSet::default()
            },
        );
        let num_skipped = self.dataset.flaws.skipped_questions - set.skipped_before;
        let examples = &mut self.dataset.examples[set.first_example..];
        if examples.is_empty() && self.num_given == 0 && num_skipped == 0 {
            let problem = match set.unknown {
                Some(names) => format!("no question in it, but fields that are not read: {names}"),
                None => "no question in it".to_owned(),
            };
            return Err(Error::Empty {
                file: name.to_owned(),
                problem,
            });
        }
        if set.is_labelled {
            self.dataset.flaws.extend(set.answer_missing);
        } else {
            // Without a single answer, and without a word that there is none, empty lists stand for answers not given.
            let examples = examples.iter_mut();
            examples.for_each(|example| example.gold = Gold::Unknown);
        }
        let dataset = &mut self.dataset;
        if dataset.name.is_empty() {
            name.clone_into(&mut dataset.name);
            dataset.version = version;
        } else {
            dataset.name = format!("{}, {name}", dataset.name);
            if dataset.version != version {
                dataset.version = None;
            }
        }
        self.num_in_set = 0;
        Ok(())
    }

    /// The questions of this file so far.
    pub(super) fn num_in_set(&self) -> usize {
        self.num_in_set
    }

    /// What is wrong in the files.
    pub(super) fn into_flaws(self) -> Flaws {
        self.dataset.flaws
    }

    /// The examples in file order.
    pub(super) fn finish(mut self) -> Result<Dataset, Error> {
        if let Some((flaw, count)) = self.bad
            && self.options.on_bad_answer == OnBadAnswer::Error
        {
            let others = count - 1;
            return Err(Error::BadAnswer { flaw, others });
        }
        self.dataset.examples.shrink_to_fit();
        Ok(self.dataset)
    }

    /// Adds the questions of an article, a paragraph or a row.
    pub(super) fn item(&mut self, location: Location, item: RawItem) -> Result<(), Error> {
        self.questions(location, item)?;
        self.give()
    }

    fn questions(&mut self, location: Location, item: RawItem) -> Result<(), Error> {
        let Some(paragraphs) = item.paragraphs else {
            let title = self.shared(item.title.clone().unwrap_or_default());
            return self.paragraph(Place(location, None), &title, item);
        };
        let first = self.len();
        for (number, paragraph) in paragraphs.into_iter().enumerate() {
            self.paragraph_of_article(location, number, paragraph)?;
        }
        self.set_title(first, item.title);
        Ok(())
    }

    /// Number of examples that wait in the builder.
    pub(super) fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Adds the questions of a paragraph of an article, which [`ExampleBuilder::end_article`] gives their title.
    pub(super) fn paragraph_of_article(
        &mut self,
        location: Location,
        number: usize,
        paragraph: RawItem,
    ) -> Result<(), Error> {
        let place = Place(location, Some(number));
        if let Some(nested) = paragraph.paragraphs {
            let problem = format!(
                "{} paragraphs inside a paragraph; expected `context` and `qas`",
                nested.len()
            );
            return Err(self.wrong_paragraph(place, &problem));
        }
        let title = Arc::clone(&self.no_title);
        self.paragraph(place, &title, paragraph)
    }

    /// An article ends, whose first example is this.
    pub(super) fn end_article(&mut self, first: usize, title: Option<String>) -> Result<(), Error> {
        self.set_title(first, title);
        self.give()
    }

    fn set_title(&mut self, first: usize, title: Option<String>) {
        let title = self.shared(title.unwrap_or_default());
        for example in &mut self.dataset.examples[first..] {
            example.title = Arc::clone(&title);
        }
    }

    fn paragraph(
        &mut self,
        place: Place,
        title: &Arc<str>,
        mut item: RawItem,
    ) -> Result<(), Error> {
        let questions = item.qas.iter().flatten();
        let in_questions = questions.filter_map(|question| question.foreign);
        let mut all = item.foreign.into_iter().chain(in_questions);
        if let Some(foreign) = all.find(Foreign::is_decisive) {
            return Err(Error::foreign(&self.file, &foreign));
        }
        let foreign = item.foreign.or(item.foreign_inside);
        let questions = self.take_questions(place, &mut item, foreign)?;
        if questions.is_empty() {
            return Ok(());
        }
        let context = match item.context {
            Some(Context::Text(context)) => Ok(context),
            Some(Context::Other) => {
                let is_no_text = |q: &RawQuestion| matches!(q.question, Some(Context::Other));
                let advice = if questions.iter().all(is_no_text) {
                    format!(", and so is the question; if the file goes by columns, {BY_COLUMN}")
                } else {
                    String::new()
                };
                Err(format!(
                    "the context is not a text but a list or an object{advice}"
                ))
            }
            None if item.unknown.is_empty() => Err("no `context`".to_owned()),
            None => {
                let names = quote(&item.unknown.join(", "));
                Err(format!(
                    "no `context`, but fields that are not read: {names}"
                ))
            }
        };
        let context = context.map_err(|problem| {
            self.foreign_or(foreign, || self.wrong_paragraph(place, &problem))
        })?;
        if context.trim().is_empty() && !self.options.keep_empty {
            if self.options.leaves_out_empty() {
                let count = questions.len();
                self.num_in_set += count;
                self.skip(FlawKind::EmptyContext, place, String::new(), count);
                return Ok(());
            }
            return Err(self.wrong_paragraph(place, "the context is empty; drop the paragraph"));
        }
        if u32::try_from(context.len()).is_err() {
            let problem = "the context is longer than 4 GiB; split it into paragraphs";
            return Err(self.wrong_paragraph(place, problem));
        }
        let context = self.shared(context);
        let text = context.clone();
        let locator = Locator::new(&text);
        let paragraph = Paragraph {
            place,
            title: title.clone(),
            context,
            locator: &locator,
            foreign,
        };
        for question in questions {
            self.question(&paragraph, question)?;
        }
        Ok(())
    }

    /// The questions of a paragraph or a row. MRQA's first line, an article without paragraphs, and a paragraph nobody has
    /// asked about have none.
    fn take_questions(
        &mut self,
        place: Place,
        item: &mut RawItem,
        foreign: Option<Foreign>,
    ) -> Result<Vec<RawQuestion>, Error> {
        if let Some(questions) = item.qas.take() {
            return Ok(questions);
        }
        if item.question.question.is_some() {
            self.note_unread(std::mem::take(&mut item.unread));
            return Ok(vec![std::mem::take(&mut item.question)]);
        }
        let is_passed_over = match &item.context {
            None => item.is_header || item.is_null,
            Some(Context::Text(_)) => place.1.is_some() || item.question.is_empty(),
            Some(Context::Other) => false,
        };
        if is_passed_over {
            if !item.unknown.is_empty() {
                let names = || quote(&item.unknown.join(", "));
                self.set.unknown.get_or_insert_with(names);
            }
            return Ok(Vec::new());
        }
        let has_context = item.context.is_some();
        Err(self.foreign_or(foreign, || {
            self.no_question(place, has_context, item.has_rows, &item.unknown)
        }))
    }

    fn question(&mut self, paragraph: &Paragraph<'_>, mut raw: RawQuestion) -> Result<(), Error> {
        let place = paragraph.place;
        let id = raw.take_id();
        let id = self.question_id(place, id, raw.other_id);
        let (key, first) = self.find(&id);
        if let Some(first) = first {
            if self.options.keep_going {
                self.skip(FlawKind::DuplicateId, place, id, 1);
                return Ok(());
            }
            return Err(Error::DuplicateId {
                first: self.question_at(first),
                second: self.at(place),
                id,
            });
        }
        let foreign = raw.foreign.or(paragraph.foreign);
        let question = match raw.question {
            Some(Context::Text(question)) => question,
            Some(Context::Other) => {
                let problem = "the question is not a text but a list or an object";
                return Err(self.foreign_or(foreign, || self.wrong_question(place, id, problem)));
            }
            None => {
                if let Some(foreign) = raw.foreign {
                    return Err(Error::foreign(&self.file, &foreign));
                }
                String::new()
            }
        };
        if question.trim().is_empty() && !self.options.keep_empty {
            if self.options.leaves_out_empty() {
                self.skip(FlawKind::EmptyQuestion, place, id, 1);
                return Ok(());
            }
            return Err(self.wrong_question(place, id, "the question is empty; drop it"));
        }
        let answers = match Answers::new(raw.answers, raw.detected, paragraph.locator) {
            Ok(answers) => answers,
            Err(problem) => {
                return Err(self.foreign_or(foreign, || self.wrong_question(place, id, &problem)));
            }
        };
        for _ in 0..answers.num_spans {
            self.flaw(FlawKind::TextMissing, place, id.clone());
        }
        let Some(gold) = self.gold(paragraph, &id, answers, raw.is_impossible)? else {
            self.dataset.flaws.skipped_questions += 1;
            return Ok(());
        };
        self.ids.insert(key, self.dataset.len());
        self.dataset.examples.push(Example {
            id,
            title: paragraph.title.clone(),
            context: paragraph.context.clone(),
            question,
            gold,
        });
        Ok(())
    }

    /// The id of the next question, behind the file's prefix; a question without one gets its number, or `3-2` if another
    /// has the id 3. So does one whose `other_id` has occurred: other data sets may count something else by that name.
    fn question_id(
        &mut self,
        place: Place,
        id: Option<String>,
        other_id: Option<String>,
    ) -> String {
        let number = self.num_in_set;
        self.num_in_set += 1;
        let given = |id: Option<String>| {
            let id = id.filter(|id| !id.is_empty())?;
            Some(format!("{}{id}", self.id_prefix))
        };
        let other = || given(other_id).filter(|id| self.find(id).1.is_none());
        if let Some(id) = given(id).or_else(other) {
            return id;
        }
        let mut id = format!("{}{number}", self.id_prefix);
        for again in 2.. {
            if self.find(&id).1.is_none() {
                break;
            }
            id = format!("{}{number}-{again}", self.id_prefix);
        }
        self.flaw(FlawKind::IdMissing, place, id.clone());
        id
    }

    /// The key of an id in `ids`, and its example if it has one.
    fn find(&self, id: &str) -> (u64, Option<usize>) {
        let mut key = self.hasher.hash_one(id);
        while let Some(&example) = self.ids.get(&key) {
            if self.dataset.examples[example].id == id {
                return (key, Some(example));
            }
            key = key.wrapping_add(1);
        }
        (key, None)
    }

    /// What is known about a question's answer; `None` if the question is to be left out.
    fn gold(
        &mut self,
        paragraph: &Paragraph<'_>,
        id: &str,
        mut answers: Answers,
        is_impossible: Option<bool>,
    ) -> Result<Option<Gold>, Error> {
        // Some tools write "no answer" as an answer without text.
        answers
            .claimed
            .retain(|answer| !answer.text.trim().is_empty());
        answers.texts.retain(|text| !text.trim().is_empty());
        let has_answers = !answers.claimed.is_empty() || !answers.texts.is_empty();
        self.set.is_labelled |= has_answers || is_impossible == Some(true);
        if !has_answers {
            if is_impossible == Some(false) {
                let flaw = Flaw::of_question(
                    FlawKind::AnswerMissing,
                    self.at(paragraph.place),
                    id.to_owned(),
                );
                self.set.answer_missing.add(flaw);
            }
            return Ok(Some(match is_impossible {
                Some(true) => Gold::Unanswerable,
                Some(false) => Gold::Unknown,
                None if answers.is_missing => Gold::Unknown,
                None => Gold::Unanswerable,
            }));
        }
        if is_impossible == Some(true) {
            self.flaw(FlawKind::Contradiction, paragraph.place, id.to_owned());
            match self.options.on_bad_answer {
                OnBadAnswer::Keep => {}
                OnBadAnswer::Error => {
                    let problem =
                        "is_impossible is true but answers are given; correct one of the two";
                    return Err(self.wrong_question(paragraph.place, id.to_owned(), problem));
                }
                OnBadAnswer::Skip => return Ok(None),
                OnBadAnswer::Repair => {
                    self.dataset.flaws.repaired_answers += answers.claimed.len();
                    return Ok(Some(Gold::Unanswerable));
                }
            }
        }
        Ok(self.located(paragraph, id, answers))
    }

    /// The answers with their places; `None` if the question is to be left out.
    fn located(&mut self, paragraph: &Paragraph<'_>, id: &str, answers: Answers) -> Option<Gold> {
        let repairs = self.options.on_bad_answer == OnBadAnswer::Repair;
        let mut gold = Vec::with_capacity(answers.claimed.len() + answers.texts.len());
        let mut first_flaw = None;
        let (mut unlocated, mut repaired) = (0, 0);
        for answer in answers.claimed {
            let at_hint = || paragraph.locator.at(&answer.text, answer.hint?);
            let start = answer.start.or_else(|| Some(at_hint()? as i64));
            let mismatch = match paragraph.locator.locate(&answer.text, start) {
                Ok(start) => {
                    gold.push(GoldAnswer {
                        text: answer.text,
                        start: Some(start),
                    });
                    continue;
                }
                Err(mismatch) => mismatch,
            };
            let flaw = Flaw::of_answer(self.at(paragraph.place), id, &answer, &mismatch);
            let is_missing_start = mismatch.kind == FlawKind::StartMissing;
            let nearest = mismatch.nearest.filter(|_| repairs || is_missing_start);
            if let Some(Occurrence { start, text }) = nearest {
                repaired += usize::from(!is_missing_start);
                gold.push(GoldAnswer {
                    text,
                    start: Some(start),
                });
            } else {
                unlocated += 1;
                gold.push(GoldAnswer {
                    text: answer.text,
                    start: None,
                });
            }
            self.dataset.flaws.add(flaw.clone());
            first_flaw.get_or_insert(flaw);
        }
        gold.extend(
            answers
                .texts
                .into_iter()
                .map(|text| GoldAnswer { text, start: None }),
        );
        if gold.iter().all(|answer| answer.start.is_none()) {
            if matches!(
                self.options.on_bad_answer,
                OnBadAnswer::Skip | OnBadAnswer::Repair
            ) {
                return None;
            }
            self.dataset.flaws.unlocated_questions += 1;
            match (&mut self.bad, first_flaw) {
                (Some((_, count)), _) => *count += 1,
                (bad @ None, Some(flaw)) => *bad = Some((Box::new(flaw), 1)),
                (None, None) => {}
            }
        }
        self.dataset.flaws.unlocated_answers += unlocated;
        self.dataset.flaws.repaired_answers += repaired;
        gold.shrink_to_fit();
        Some(Gold::Answers(gold))
    }

    /// Notes fields of a row that are not read and may have answers, each once in a file.
    pub(super) fn note_unread(&mut self, fields: impl IntoIterator<Item = String>) {
        for field in fields {
            if self.unread.len() < MAX_NAMES && !self.unread.contains(&field) {
                let flaw = Flaw {
                    field: Some(clipped(&field)),
                    ..Flaw::of_file(FlawKind::FieldUnread, self.file.clone())
                };
                self.dataset.flaws.add(flaw);
                self.unread.push(field);
            }
        }
    }

    /// Notes a flaw of a table as a whole.
    #[cfg(feature = "csv")]
    pub(super) fn note_table(&mut self, kind: FlawKind) {
        let flaw = Flaw::of_file(kind, self.file.clone());
        self.dataset.flaws.add(flaw);
    }

    fn flaw(&mut self, kind: FlawKind, place: Place, id: String) {
        let flaw = Flaw::of_question(kind, self.at(place), id);
        self.dataset.flaws.add(flaw);
    }

    /// Leaves questions out because of a flaw.
    fn skip(&mut self, kind: FlawKind, place: Place, id: String, questions: usize) {
        self.flaw(kind, place, id);
        self.dataset.flaws.skipped_questions += questions;
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

    /// The file and the number in it of an example, for messages.
    fn question_at(&self, example: usize) -> String {
        let files = self.files.iter().rev();
        let file = files.clone().find(|(first, _)| *first <= example);
        file.map_or_else(String::new, |(first, file)| {
            format!("{file}: question {}", example - first + 1)
        })
    }

    fn at(&self, place: Place) -> String {
        format!("{}: {place}", self.file)
    }

    /// The error of a form that is known and not read, if there is one: it is the cause of what is wrong.
    fn foreign_or(&self, foreign: Option<Foreign>, wrong: impl FnOnce() -> Error) -> Error {
        foreign.map_or_else(wrong, |foreign| Error::foreign(&self.file, &foreign))
    }

    fn wrong_paragraph(&self, place: Place, problem: &str) -> Error {
        Error::Paragraph {
            file: self.file.clone(),
            path: place.to_string(),
            problem: problem.to_owned(),
        }
    }

    fn wrong_question(&self, place: Place, id: String, problem: &str) -> Error {
        Error::Question {
            file: self.at(place),
            id,
            problem: problem.to_owned(),
        }
    }

    fn no_question(
        &self,
        place: Place,
        has_context: bool,
        has_rows: bool,
        unknown: &[String],
    ) -> Error {
        let found = match unknown {
            [] if has_context => "`context` alone".to_owned(),
            [] => "none of them".to_owned(),
            names => quote(&names[..names.len().min(MAX_NAMES)].join(", ")),
        };
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let advice = if !has_context && !unknown.is_empty() && unknown.iter().all(is_number) {
            format!("if these are rows by their numbers, {BY_COLUMN}; ")
        } else if has_rows {
            "if these are rows by their ids, write them as a list, and each id in its row; "
                .to_owned()
        } else {
            String::new()
        };
        let problem = format!(
            "no question: expected `context` with `question` (a row) or `qas` (a paragraph), or `paragraphs` (an \
             article), but found {found}; {advice}datasets/README.md lists the forms"
        );
        self.wrong_paragraph(place, &problem)
    }
}

/// Takes a doubtful text as what it is: an answer if the context has it, at its start if it has one. For a text such as
/// `none` the context alone says too little.
fn without_doubt(answers: RawAnswers, locator: &Locator<'_>) -> RawAnswers {
    let RawAnswers::Doubtful(answer, other) = answers else {
        return answers;
    };
    let mut starts = answer.start.into_iter().chain(answer.hint);
    let is_at_start = starts.any(|start| locator.at(&answer.text, start).is_some());
    let is_text = is_at_start
        || if *other == RawAnswers::Null {
            answer.start > Some(0)
        } else {
            answer.start.is_none() && locator.has(&answer.text)
        };
    if is_text {
        RawAnswers::Given(vec![answer])
    } else {
        *other
    }
}

/// The answers of a question.
#[derive(Default)]
struct Answers {
    /// Those that are said to be in the context.
    claimed: Vec<RawAnswer>,
    /// Further texts that count as right.
    texts: Vec<String>,
    /// Whether nothing is said about answers at all.
    is_missing: bool,
    /// Number of those that were given without a text.
    num_spans: usize,
}

impl Answers {
    /// What a question says about its answers; the error says what is wrong with it.
    fn new(
        answers: RawAnswers,
        detected: Option<Vec<Detected>>,
        locator: &Locator<'_>,
    ) -> Result<Self, String> {
        let answers = without_doubt(answers, locator);
        if let RawAnswers::Unequal(texts, starts) = answers {
            return Err(format!(
                "answers.text has {texts} entries and answers.answer_start {starts}; give each answer one entry in both"
            ));
        }
        if let Some(detected) = detected.filter(|detected| !detected.is_empty()) {
            return Ok(Self::of_mrqa(detected, answers, locator));
        }
        let is_missing = answers == RawAnswers::Missing;
        let mut claimed = match answers {
            RawAnswers::Given(answers) => answers,
            _ => Vec::new(),
        };
        let mut num_spans = 0;
        for answer in &mut claimed {
            num_spans += usize::from(take_text(answer, locator)?);
        }
        Ok(Self {
            claimed,
            is_missing,
            num_spans,
            ..Self::default()
        })
    }

    /// MRQA's answers: `detected` are in the context, with the context's spelling; `answers` score predictions.
    fn of_mrqa(detected: Vec<Detected>, answers: RawAnswers, locator: &Locator<'_>) -> Self {
        let mut claimed = Vec::new();
        for answer in detected {
            let mut spans = answer.char_spans.into_iter().peekable();
            if spans.peek().is_none() {
                claimed.push(RawAnswer {
                    text: answer.text.clone(),
                    ..RawAnswer::default()
                });
            }
            for (start, last) in spans {
                let range = usize::try_from(start).ok().zip(usize::try_from(last).ok());
                let text =
                    range.and_then(|(start, last)| locator.slice(start..last.checked_add(1)?));
                // The dataset's texts are normalized, so the spelling may be another. The length tells an exclusive end.
                let text = text.filter(|text| text.chars().count() == answer.text.chars().count());
                let text = text.map_or_else(|| answer.text.clone(), str::to_owned);
                claimed.push(RawAnswer {
                    text,
                    start: Some(start),
                    ..RawAnswer::default()
                });
            }
        }
        let RawAnswers::Given(texts) = answers else {
            return Self {
                claimed,
                ..Self::default()
            };
        };
        let known = |text: &String| claimed.iter().any(|answer| answer.text == *text);
        let texts = texts.into_iter().map(|answer| answer.text);
        let texts = texts.filter(|text| !known(text)).collect();
        Self {
            claimed,
            texts,
            ..Self::default()
        }
    }
}

/// Gives an answer that has no text but its end the context's text; `false` if it has none there, as -1 or an empty range
/// says.
fn take_text(answer: &mut RawAnswer, locator: &Locator<'_>) -> Result<bool, String> {
    let (Some(start), Some(end)) = (answer.start, answer.end) else {
        return Ok(false);
    };
    if start < 0 || end == start {
        return Ok(false);
    }
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let text = range.and_then(|(start, end)| locator.slice(start..end));
    let text = text.ok_or_else(|| {
        format!(
            "its answer has no text, and the context has no characters from {start} to before {end}; correct `start` and `end`, \
             or give the answer's text"
        )
    })?;
    text.clone_into(&mut answer.text);
    Ok(!text.trim().is_empty())
}

impl Flaw {
    fn of_file(kind: FlawKind, file: String) -> Self {
        Self::of_question(kind, file, String::new())
    }

    fn of_question(kind: FlawKind, place: String, id: String) -> Self {
        Self {
            kind,
            place,
            id,
            text: None,
            start: None,
            found: None,
            nearest_start: None,
            nearest_text: None,
            distance: None,
            unit: None,
            field: None,
        }
    }

    fn of_answer(place: String, id: &str, answer: &RawAnswer, mismatch: &Mismatch) -> Self {
        let nearest = mismatch.nearest.as_ref();
        let distance = |nearest: &Occurrence| Some((nearest.start as i64).abs_diff(answer.start?));
        Self {
            text: Some(clipped(&answer.text)),
            start: answer.start,
            found: mismatch.found.as_deref().map(clipped),
            nearest_start: nearest.map(|nearest| nearest.start),
            nearest_text: nearest.map(|nearest| clipped(&nearest.text)),
            distance: nearest.and_then(distance),
            unit: mismatch.unit,
            ..Self::of_question(mismatch.kind, place, id.to_owned())
        }
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
