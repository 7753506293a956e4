//! Answers files of any number of questions, in chunks.

mod answer_object;
mod journal;
mod lines;
mod pipeline;
mod shard;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, ErrorKind};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use bert_qa::{Pretrained, WeightCache, check_finite_logits, predict_logits};
use burn::tensor::Device;
use serde_json::json;
use sha2::{Digest, Sha256};
use squad_data::{AnswerOptions, Dataset, Example, FlawKind, Flaws, SpanLogits, extract_answers};

use crate::artifacts::digest::add_text;
use crate::artifacts::predictions::{PredictionFormat, PredictionRecord, PredictionWriter};
use crate::config::{AnswerConfig, FeatureConfig};
use crate::logging::output::ResultWriter;
use crate::{Error, data};
pub use answer_object::answer_object;
use journal::Journal;
pub use journal::check_prediction_journal;
pub use lines::check_question_lines;
pub use pipeline::predict_pipeline;
pub use shard::DatasetShard;

/// Number of questions that are answered together. A resumed run begins at a multiple of it, so that its batches are those of
/// an uninterrupted one.
const CHUNK: usize = 256;

/// A model that answers, and how.
#[derive(Debug)]
pub struct Predictor {
    /// A digest of the model, by [`model_digest`](crate::model_digest), and its precision: a resumed run must have the same.
    pub digest: String,
    /// The model with its tokenizer.
    pub pretrained: Pretrained,
    /// How contexts are cut into features.
    pub features: FeatureConfig,
    /// How answers are extracted.
    pub answers: AnswerConfig,
    /// Whether every question gets an answer, even if "no answer" has a higher score.
    pub must_answer: bool,
    /// The model's device.
    pub device: Device,
    /// Weights packed for the precision of `autocast`.
    pub weights: WeightCache,
}

/// What [`Predictor::predict_dataset`] answers, and where the answers go.
#[derive(Clone, Debug)]
pub struct PredictDataset {
    /// A file of questions, in any form that [`Dataset::read`] takes.
    pub dataset: PathBuf,
    /// The part of the file to answer.
    pub shard: DatasetShard,
    /// The file of answers; standard output without one.
    pub out: Option<PathBuf>,
    /// Its form.
    pub format: PredictionFormat,
}

/// What [`Predictor::predict_dataset`] or [`Predictor::predict_lines`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictedDataset {
    /// Number of questions of the shard.
    pub questions: usize,
    /// Number of questions of the file that have no id. Their number in it, from 0, takes its place.
    pub numbered: usize,
    /// Number of the shard's questions that an earlier run had answered.
    pub resumed: usize,
    /// Number of these that this run gave an empty answer because they are too long, under `long_questions = "skip"`.
    pub too_long: usize,
}

impl Predictor {
    /// Answers the questions of a file and writes the answers as they come, in the order of the file. Memory does not grow
    /// with the number of questions, but for a number for each with [`PredictionFormat::Squad`]. `progress` receives the number of answered questions and their total.
    ///
    /// A question may get no answer where the file has questions that have none, or whose answers are not known, unless
    /// `must_answer`. In a file of SQuAD 1.1 each gets one. So the answers are those of an evaluation.
    ///
    /// With `out` the answers go to `OUT.partial` first, from which an interrupted run resumes. The files of the format appear
    /// whole in the end, and `OUT.partial` is removed.
    ///
    /// # Errors
    /// If the dataset cannot be read, a question cannot be answered, a file cannot be written, or `OUT.partial` is of a run
    /// with other settings. If two questions have one id and the format has one answer for each.
    pub fn predict_dataset(
        &self,
        what: &PredictDataset,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<PredictedDataset, Error> {
        let summary = DatasetSummary::read(&what.dataset, what.format)?;
        match &what.out {
            Some(out) => self.predict_to_file(what, out, &summary, progress),
            None => self.predict_to_standard_output(what, &summary, progress),
        }
    }

    fn predict_to_standard_output(
        &self,
        what: &PredictDataset,
        summary: &DatasetSummary,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<PredictedDataset, Error> {
        let questions = what.shard.of(summary.questions);
        let (total, options) = (questions.len(), self.options(summary.has_unanswerable));
        let (mut done, mut too_long) = (0, 0);
        let output = BufWriter::new(ResultWriter::new());
        let mut writer = PredictionWriter::new(output, what.format.layout(), what.shard.is_first());
        for_each_chunk(&what.dataset, questions, |examples| {
            let records = self.predict(examples, &options)?;
            too_long += num_too_long(&records);
            let written = records.iter().try_for_each(|record| writer.write(record));
            if is_closed(written.and_then(|()| writer.flush()), STANDARD_OUTPUT)? {
                return Ok(ControlFlow::Break(()));
            }
            done += examples.len();
            progress(done, total);
            Ok(ControlFlow::Continue(()))
        })?;
        is_closed(writer.finish().map(drop), STANDARD_OUTPUT)?;
        Ok(PredictedDataset {
            questions: total,
            numbered: summary.numbered,
            resumed: 0,
            too_long,
        })
    }

    fn predict_to_file(
        &self,
        what: &PredictDataset,
        out: &Path,
        summary: &DatasetSummary,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<PredictedDataset, Error> {
        let questions = what.shard.of(summary.questions);
        let (total, options) = (questions.len(), self.options(summary.has_unanswerable));
        let settings = self.settings(summary, &questions);
        let mut journal = Journal::open(out, what.format, &settings, CHUNK)?;
        let (resumed, mut too_long) = (journal.len(), 0);
        progress(resumed, total);
        let rest = questions.start + resumed..questions.end;
        for_each_chunk(&what.dataset, rest, |examples| {
            let records = self.predict(examples, &options)?;
            too_long += num_too_long(&records);
            journal.append(&records)?;
            progress(journal.len(), total);
            Ok(ControlFlow::Continue(()))
        })?;
        journal.finish(what.shard.is_first())?;
        Ok(PredictedDataset {
            questions: total,
            numbered: summary.numbered,
            resumed,
            too_long,
        })
    }

    /// `may_have_no_answer`: whether a question of the file may have none.
    fn options(&self, may_have_no_answer: bool) -> AnswerOptions {
        self.answers
            .options(may_have_no_answer && !self.must_answer)
    }

    /// The answers to questions, in their order. A question that `long_questions` leaves out has an empty one.
    fn predict(
        &self,
        examples: &[Example],
        options: &AnswerOptions,
    ) -> Result<Vec<PredictionRecord>, Error> {
        let Pretrained { model, assets, .. } = &self.pretrained;
        let mut features =
            squad_data::make_features(examples, &assets.tokenizer, &self.features.options())?;
        let has_features = data::has_features(examples.len(), &features);
        let mut answerable = Cow::Borrowed(examples);
        if has_features.contains(&false) {
            data::drop_without_features(answerable.to_mut(), &mut features, &has_features);
        }
        let mut predictions = Vec::new();
        if !features.is_empty() {
            let logits = self
                .weights
                .scope(|| predict_logits(model, &features, &self.device, &mut |_| {}));
            check_finite_logits(&answerable, &features, &logits)?;
            let spans: Vec<_> = logits
                .iter()
                .map(|[start, end]| SpanLogits { start, end })
                .collect();
            predictions = extract_answers(&answerable, &features, &spans, options)?;
        }
        let mut predictions = predictions.iter();
        let records = examples.iter().zip(has_features).map(|(example, has)| {
            let prediction = has.then(|| predictions.next()).flatten();
            prediction.map_or_else(
                || PredictionRecord::too_long(&example.id),
                PredictionRecord::new,
            )
        });
        Ok(records.collect())
    }

    /// What a run must share with the one that it continues.
    fn settings(&self, dataset: &DatasetSummary, questions: &Range<usize>) -> serde_json::Value {
        json!({
            "model": self.digest,
            "dataset": dataset.digest,
            "from": questions.start,
            "to": questions.end,
            "features": self.features,
            "answers": self.answers,
            "must_answer": self.must_answer,
        })
    }
}

/// Gives a range of a file's questions to `each`, some at a time, until it breaks or fails. Returns what is wrong in the part
/// of the file that was read.
fn for_each_chunk(
    dataset: &Path,
    range: Range<usize>,
    mut each: impl FnMut(&[Example]) -> Result<ControlFlow<()>, Error>,
) -> Result<Flaws, Error> {
    let (mut index, mut chunk) = (0, Vec::with_capacity(CHUNK));
    let mut outcome = Ok(ControlFlow::Continue(()));
    let flaws = Dataset::for_each(dataset, &mut |example| {
        if range.contains(&index) {
            chunk.push(example);
        }
        index += 1;
        if chunk.len() == CHUNK {
            outcome = each(&chunk);
            chunk.clear();
        }
        match outcome {
            Ok(ControlFlow::Continue(())) if index < range.end => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    })?;
    if outcome?.is_continue() && !chunk.is_empty() {
        let _ = each(&chunk)?;
    }
    Ok(flaws)
}

fn num_too_long(records: &[PredictionRecord]) -> usize {
    records.iter().filter(|record| record.is_too_long()).count()
}

/// What is known of a file of questions before its first answer.
struct DatasetSummary {
    questions: usize,
    /// Questions without an id.
    numbered: usize,
    /// Whether a question may have no answer: one has none, or it is not known whether it has.
    has_unanswerable: bool,
    /// SHA-256 of ids, questions and contexts.
    digest: String,
}

impl DatasetSummary {
    /// Reads the whole file, and so finds its errors too. An id that occurs again is one where answers go by id.
    fn read(path: &Path, format: PredictionFormat) -> Result<Self, Error> {
        let (mut questions, mut has_unanswerable) = (0, false);
        let mut hasher = Sha256::new();
        // Hashes of ids: the ids themselves take more memory.
        let (mut ids, id_hasher) = (HashSet::new(), RandomState::new());
        let mut twice = None;
        let flaws = Dataset::for_each(path, &mut |example| {
            questions += 1;
            if format == PredictionFormat::Squad && !ids.insert(id_hasher.hash_one(&example.id)) {
                twice.get_or_insert_with(|| example.id.clone());
            }
            has_unanswerable |= example.answers().is_empty();
            for text in [&*example.id, &example.question, &example.context] {
                add_text(&mut hasher, text);
            }
            ControlFlow::Continue(())
        })?;
        if let Some(id) = twice {
            let message = format!(
                "question id {id:?} occurs twice, and --format squad has one answer for each id; \
                 --format jsonl has one for each question"
            );
            return Err(Error::file(path, message));
        }
        Ok(Self {
            questions,
            numbered: flaws.count(FlawKind::IdMissing),
            has_unanswerable,
            digest: format!("{:x}", hasher.finalize()),
        })
    }
}

const STANDARD_OUTPUT: &str = "standard output";

/// Whether the reader of `place` has closed its pipe, which is no error.
fn is_closed(written: io::Result<()>, place: impl AsRef<Path>) -> Result<bool, Error> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(Error::file(place.as_ref(), error)),
    }
}
