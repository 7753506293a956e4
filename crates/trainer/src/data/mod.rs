use std::path::Path;

use sha2::{Digest, Sha256};
use squad_data::{Dataset, Feature, QaTokenizer, make_features, make_features_with_progress};

use crate::Error;
use crate::config::{Config, FeatureConfig};

/// A dataset with its features.
#[derive(Debug)]
pub struct FeaturizedDataset {
    /// The questions, in the order of the files.
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
        let features = make_features(&dataset.examples, tokenizer, &config.options())?;
        Ok(Self { dataset, features })
    }

    /// As [`FeaturizedDataset::new`]; calls `progress` now and then with the number of finished questions.
    ///
    /// # Errors
    /// As [`FeaturizedDataset::new`].
    pub fn with_progress(
        dataset: Dataset,
        tokenizer: &QaTokenizer,
        config: &FeatureConfig,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, Error> {
        let options = config.options();
        let features =
            make_features_with_progress(&dataset.examples, tokenizer, &options, progress)?;
        Ok(Self { dataset, features })
    }
}

/// Reads the training set and the evaluation set of a configuration.
///
/// # Errors
/// If a file is not valid SQuAD data, or no question is left.
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

/// SHA-256 of the tokens and labels of all features, in order.
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
    if count == 0 {
        dataset
    } else {
        dataset.take(count)
    }
}

fn not_empty(dataset: Dataset, path: &Path) -> Result<Dataset, Error> {
    if dataset.is_empty() {
        Err(Error::file(path, "no question is left to work on"))
    } else {
        Ok(dataset)
    }
}
