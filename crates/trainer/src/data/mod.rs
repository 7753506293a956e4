use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use squad_data::{
    Dataset, Example, Feature, Gold, OnBadAnswer, QaTokenizer, ReadOptions, counted,
    make_features_with_progress,
};

use crate::Error;
use crate::artifacts::digest::{add_number, add_text};
use crate::config::{Config, FeatureConfig};

/// A dataset with its features.
#[derive(Debug)]
pub struct FeaturizedDataset {
    /// The questions, in the order of the files; without those that `long_questions = "skip"` leaves out.
    pub dataset: Dataset,
    /// The features, those of a question one after the other.
    pub features: Vec<Feature>,
}

impl FeaturizedDataset {
    /// Tokenizes a dataset.
    ///
    /// # Errors
    /// If a question is too long for a feature.
    pub fn new(
        dataset: Dataset,
        tokenizer: &QaTokenizer,
        config: &FeatureConfig,
    ) -> Result<Self, Error> {
        Self::with_progress(dataset, tokenizer, config, &mut |_| {})
    }

    /// As [`FeaturizedDataset::new`]; `progress` receives the number of finished questions now and then.
    ///
    /// # Errors
    /// As [`FeaturizedDataset::new`].
    pub fn with_progress(
        mut dataset: Dataset,
        tokenizer: &QaTokenizer,
        config: &FeatureConfig,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, Error> {
        let options = config.options();
        let mut features =
            make_features_with_progress(&dataset.examples, tokenizer, &options, progress)?;
        let skipped = drop_skipped(&mut dataset, &mut features);
        if skipped > 0 {
            tracing::warn!(
                "{}: left out {} too long for a feature",
                dataset.name,
                counted(skipped, "question")
            );
            dataset.flaws.skipped_questions += skipped;
            if dataset.is_empty() {
                let problem = "every question is too long for a feature: raise max_seq_length, or truncate long_questions";
                return Err(Error::file(Path::new(&dataset.name), problem));
            }
        }
        Ok(Self { dataset, features })
    }
}

/// Drops the questions without features; returns their number.
fn drop_skipped(dataset: &mut Dataset, features: &mut [Feature]) -> usize {
    let has_features = has_features(dataset.len(), features);
    let skipped = has_features.iter().filter(|has| !**has).count();
    if skipped > 0 {
        drop_without_features(&mut dataset.examples, features, &has_features);
    }
    skipped
}

/// Whether each of `count` questions has a feature.
pub(crate) fn has_features(count: usize, features: &[Feature]) -> Vec<bool> {
    let mut has_features = vec![false; count];
    for feature in features {
        has_features[feature.example_index] = true;
    }
    has_features
}

/// Drops the questions without features, and updates the indices that the features have of their questions.
pub(crate) fn drop_without_features(
    examples: &mut Vec<Example>,
    features: &mut [Feature],
    has_features: &[bool],
) {
    let mut new_index = Vec::with_capacity(has_features.len());
    let mut count = 0;
    for &has in has_features {
        new_index.push(count);
        count += usize::from(has);
    }
    for feature in features {
        feature.example_index = new_index[feature.example_index];
    }
    let mut keep = has_features.iter().copied();
    examples.retain(|_| keep.next().unwrap_or(false));
}

/// Reads the training set and the evaluation set of a configuration.
///
/// # Errors
/// If a file is not valid, a training question has no answer that can be labelled, or no question is left.
pub fn read_questions(config: &Config) -> Result<(Dataset, Dataset), Error> {
    let train = &config.train;
    let questions = read_train_files(config)?;
    if train.train_fraction > 0.0 {
        let count = questions.len();
        let (questions, eval) = questions.split(train.train_fraction, train.seed)?;
        if count > 0 && (questions.is_empty() || eval.is_empty()) {
            let problem = format!(
                "no question is left to work on: train.train_fraction = {} of {count} leaves none for training or for \
                 evaluation",
                train.train_fraction
            );
            return Err(Error::file(Path::new(&questions.name), problem));
        }
        let eval = first(eval, config.eval.max_eval_samples);
        return Ok((not_empty(questions)?, not_empty(eval)?));
    }
    Ok((not_empty(questions)?, read_eval_file(config)?))
}

/// Reads the evaluation set of a configuration. The training files are read only if the set is split from them.
///
/// # Errors
/// As [`read_questions`].
pub fn read_eval_questions(config: &Config) -> Result<Dataset, Error> {
    if config.train.train_fraction > 0.0 {
        Ok(read_questions(config)?.1)
    } else {
        read_eval_file(config)
    }
}

fn read_train_files(config: &Config) -> Result<Dataset, Error> {
    let train = &config.train;
    let options = ReadOptions {
        on_bad_answer: train.on_bad_answer,
        unique_ids: train.unique_ids,
        ..ReadOptions::default()
    };
    let mut questions = read(&train.files, &options)?;
    let mut unknown = questions
        .examples
        .iter()
        .filter(|e| e.gold == Gold::Unknown);
    if let (OnBadAnswer::Error, Some(first)) = (train.on_bad_answer, unknown.next()) {
        let count = 1 + unknown.count();
        let advice = if count == questions.len() {
            "answers are read from `answers`, or `answer_text` and `answer_start` (datasets/README.md lists the forms)"
        } else {
            "train.on_bad_answer = \"skip\" leaves such questions out"
        };
        let problem = format!(
            "no gold answer to train on, and not said to be impossible: {count} of {}, first {:?}; {advice}",
            counted(questions.len(), "question"),
            first.id
        );
        return Err(Error::file(Path::new(&questions.name), problem));
    }
    questions = labelled(questions);
    if train.answerable_only {
        let count = questions.len();
        questions = questions.answerable();
        if count > 0 && questions.is_empty() {
            let problem = format!(
                "no question is left to work on: train.answerable_only leaves none of {}",
                counted(count, "question")
            );
            return Err(Error::file(Path::new(&questions.name), problem));
        }
    }
    Ok(first(questions, train.max_train_samples))
}

fn read_eval_file(config: &Config) -> Result<Dataset, Error> {
    let eval = &config.eval;
    let options = ReadOptions {
        on_bad_answer: eval.on_bad_answer,
        ..ReadOptions::default()
    };
    let questions = read_scorable(&[&eval.file], &options)?;
    not_empty(first(questions, eval.max_eval_samples))
}

/// Reads questions whose answers are to be scored. A gold answer that is not in its context is kept as a text, unless
/// the options say otherwise; questions whose gold answers are not known are left out with a warning.
///
/// # Errors
/// If a file is not valid, or has no gold answer at all.
pub fn read_scorable<P: AsRef<Path>>(files: &[P], options: &ReadOptions) -> Result<Dataset, Error> {
    read_for_scores(files, options).map(labelled)
}

/// [`read_scorable`] of a file, with the ids of the questions that are left out.
///
/// # Errors
/// As [`read_scorable`].
pub fn read_scorable_and_unlabelled(
    file: &Path,
    options: &ReadOptions,
) -> Result<(Dataset, HashSet<String>), Error> {
    let questions = read_for_scores(&[file], options)?;
    let unknown = questions
        .examples
        .iter()
        .filter(|e| e.gold == Gold::Unknown);
    let ids = unknown.map(|example| example.id.clone()).collect();
    Ok((labelled(questions), ids))
}

/// Reads files, of which at least one question has a gold answer or says that it has none.
fn read_for_scores<P: AsRef<Path>>(files: &[P], options: &ReadOptions) -> Result<Dataset, Error> {
    let questions = read(files, options)?;
    if questions.num_unlabelled() == questions.len() && !questions.is_empty() {
        let problem = "no question has a gold answer or says that it is impossible, so there is nothing to score; \
                       trainer predict --dataset answers such a file";
        return Err(Error::file(Path::new(&questions.name), problem));
    }
    Ok(questions)
}

/// Reads files and logs the number of their flaws.
fn read<P: AsRef<Path>>(files: &[P], options: &ReadOptions) -> Result<Dataset, Error> {
    let paths: Vec<PathBuf> = files.iter().map(|path| path.as_ref().to_owned()).collect();
    let questions = Dataset::read_with(&paths, options)?;
    if let Some(summary) = questions.flaws.summary() {
        tracing::warn!("{}: {summary}; trainer inspect lists them", questions.name);
    }
    Ok(questions)
}

/// The questions whose gold answers are known.
fn labelled(questions: Dataset) -> Dataset {
    let unknown = questions.num_unlabelled();
    if unknown == 0 {
        return questions;
    }
    tracing::warn!(
        "{}: left out {} without gold answers",
        questions.name,
        counted(unknown, "question")
    );
    let mut questions = questions.labelled();
    questions.flaws.skipped_questions += unknown;
    questions
}

/// SHA-256 of the two sets of a run, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataDigests {
    pub(crate) train: String,
    pub(crate) eval: String,
}

impl DataDigests {
    pub(crate) fn new(train: &FeaturizedDataset, eval: &FeaturizedDataset) -> Self {
        Self {
            train: train.digest(),
            eval: eval.digest(),
        }
    }
}

impl FeaturizedDataset {
    /// SHA-256 of all questions, contexts and answers, and of the tokens and labels of all features, in order.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        let mut previous = None;
        for example in &self.dataset.examples {
            add_text(&mut hasher, &example.id);
            add_text(&mut hasher, &example.question);
            // Questions about one context follow each other.
            if previous != Some(&example.context) {
                add_text(&mut hasher, &example.context);
            }
            previous = Some(&example.context);
            hasher.update([u8::from(example.is_impossible())]);
            add_number(&mut hasher, example.answers().len());
            for answer in example.answers() {
                add_text(&mut hasher, &answer.text);
                add_number(&mut hasher, answer.start.map_or(0, |start| start + 1));
            }
        }
        for feature in &self.features {
            add_number(&mut hasher, feature.len());
            for id in &feature.input_ids {
                hasher.update(id.to_le_bytes());
            }
            add_number(&mut hasher, feature.start_position);
            add_number(&mut hasher, feature.end_position);
        }
        format!("{:x}", hasher.finalize())
    }
}

/// The first `count` questions; 0: all.
fn first(dataset: Dataset, count: usize) -> Dataset {
    if count == 0 {
        dataset
    } else {
        dataset.take(count)
    }
}

fn not_empty(dataset: Dataset) -> Result<Dataset, Error> {
    if dataset.is_empty() {
        let problem = "no question is left to work on";
        Err(Error::file(Path::new(&dataset.name), problem))
    } else {
        Ok(dataset)
    }
}

/// A feature of these tokens, all but the first and the last of the context, with this label.
#[cfg(test)]
pub(crate) fn test_feature(input_ids: Vec<u32>, label: std::ops::RangeInclusive<usize>) -> Feature {
    let context = 1..input_ids.len() - 1;
    Feature {
        example_index: 0,
        input_ids,
        template: squad_data::PairTemplate::bert(101, 102).into(),
        max_context: context.clone(),
        context,
        offsets: Vec::new(),
        word_starts: Vec::new(),
        start_position: *label.start(),
        end_position: *label.end(),
    }
}
