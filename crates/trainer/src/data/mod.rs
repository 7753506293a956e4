use std::path::Path;

use serde::{Deserialize, Serialize};
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

fn add_number(hasher: &mut Sha256, number: usize) {
    hasher.update((number as u64).to_le_bytes());
}

/// With its length, so that no two lists of texts give the same bytes.
fn add_text(hasher: &mut Sha256, text: &str) {
    add_number(hasher, text.len());
    hasher.update(text);
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
