use std::path::Path;

use sha2::{Digest, Sha256};
use squad_data::{Dataset, Feature, QaTokenizer, make_features, make_features_with_progress};

use crate::Error;
use crate::config::{Config, FeatureConfig};

/// Questions with the windows made of them.
#[derive(Debug)]
pub struct FeaturizedDataset {
    /// The questions, in file order.
    pub dataset: Dataset,
    /// Their windows, all of a question's together.
    pub features: Vec<Feature>,
}

impl FeaturizedDataset {
    /// Cuts a dataset into windows.
    ///
    /// # Errors
    /// If a question does not fit a window.
    pub fn new(
        dataset: Dataset,
        tokenizer: &QaTokenizer,
        windows: &FeatureConfig,
    ) -> Result<Self, Error> {
        let features = make_features(&dataset.examples, tokenizer, &windows.options())?;
        Ok(Self { dataset, features })
    }

    /// As [`FeaturizedDataset::new`]; calls `done` now and then with the number of finished questions.
    ///
    /// # Errors
    /// As [`FeaturizedDataset::new`].
    pub fn for_run(
        dataset: Dataset,
        tokenizer: &QaTokenizer,
        config: &Config,
        done: &mut dyn FnMut(usize),
    ) -> Result<Self, Error> {
        let windows = config.features.options();
        let features = make_features_with_progress(&dataset.examples, tokenizer, &windows, done)?;
        Ok(Self { dataset, features })
    }
}

/// Reads the questions to train on and those to score that a configuration asks for.
///
/// # Errors
/// If a file is not good SQuAD data, or nothing is left of it.
pub fn read_questions(config: &Config) -> Result<(Dataset, Dataset), Error> {
    let train = &config.train;
    let mut questions = Dataset::read_all(&train.files)?;
    if train.answerable_only {
        questions = questions.answerable();
    }
    let questions = first(questions, train.max_train_samples);
    let (questions, eval, eval_file) = if train.train_fraction > 0.0 {
        let (questions, rest) = questions.split(train.train_fraction, train.seed)?;
        (questions, rest, &train.files[0])
    } else {
        (
            questions,
            Dataset::read(&config.eval.file)?,
            &config.eval.file,
        )
    };
    let eval = first(eval, config.eval.max_eval_samples);
    Ok((
        not_empty(questions, &train.files[0])?,
        not_empty(eval, eval_file)?,
    ))
}

/// What tells these windows from any others: a digest of their tokens and labels in order.
pub(crate) fn digest(features: &[Feature]) -> String {
    let mut hasher = Sha256::new();
    for feature in features {
        hasher.update((feature.len() as u64).to_le_bytes());
        for id in &feature.input_ids {
            hasher.update(id.to_le_bytes());
        }
        for position in [feature.start_position, feature.end_position] {
            hasher.update((position as u64).to_le_bytes());
        }
    }
    format!("{:x}", hasher.finalize())
}

fn first(dataset: Dataset, count: usize) -> Dataset {
    match count {
        0 => dataset,
        count => dataset.take(count),
    }
}

fn not_empty(dataset: Dataset, path: &Path) -> Result<Dataset, Error> {
    match dataset.is_empty() {
        true => Err(Error::file(path, "no question is left to work on")),
        false => Ok(dataset),
    }
}
