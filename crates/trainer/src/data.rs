use std::path::Path;

use squad_data::{Dataset, Feature, FeatureCache, QaTokenizer, make_features};

use crate::Error;
use crate::config::{Config, WindowConfig};

/// Questions with the windows made of them.
#[derive(Debug)]
pub struct Questions {
    /// The questions, in file order.
    pub dataset: Dataset,
    /// Their windows, all of a question's together.
    pub features: Vec<Feature>,
}

impl Questions {
    /// Cuts a dataset into windows.
    ///
    /// # Errors
    /// If a question does not fit a window.
    pub fn new(
        dataset: Dataset,
        tokenizer: &QaTokenizer,
        windows: &WindowConfig,
    ) -> Result<Self, Error> {
        let features = make_features(&dataset.examples, tokenizer, &windows.options())?;
        Ok(Self { dataset, features })
    }

    /// Cuts a dataset into windows for a run, or takes them from its `run.feature_cache`, telling `notice` which.
    ///
    /// # Errors
    /// As [`Questions::new`]. A cache that cannot be written is no error.
    pub fn for_run(
        dataset: Dataset,
        tokenizer: &QaTokenizer,
        config: &Config,
        notice: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let folder = &config.run.feature_cache;
        if folder.as_os_str().is_empty() {
            return Self::new(dataset, tokenizer, &config.windows);
        }
        let windows = config.windows.options();
        let cached =
            FeatureCache::new(folder).get_or_make(&dataset.examples, tokenizer, &windows)?;
        notice(&cached.notice());
        Ok(Self {
            dataset,
            features: cached.features,
        })
    }
}

/// Reads the training questions that a configuration asks for.
///
/// # Errors
/// If a file is not good SQuAD JSON, or nothing is left of it.
pub fn read_train(config: &Config) -> Result<Dataset, Error> {
    let train = &config.train;
    let mut dataset = Dataset::read_all(&train.files)?;
    if train.answerable_only {
        dataset = dataset.answerable();
    }
    not_empty(first(dataset, train.first), &train.files[0])
}

/// Reads the questions to be scored after each epoch.
///
/// # Errors
/// As [`read_train`].
pub fn read_dev(config: &Config) -> Result<Dataset, Error> {
    let dataset = Dataset::read(&config.dev.file)?;
    not_empty(first(dataset, config.dev.first), &config.dev.file)
}

fn first(dataset: Dataset, count: usize) -> Dataset {
    match count {
        0 => dataset,
        count => dataset.first(count),
    }
}

fn not_empty(dataset: Dataset, path: &Path) -> Result<Dataset, Error> {
    match dataset.is_empty() {
        true => Err(Error::file(path, "no question is left to work on")),
        false => Ok(dataset),
    }
}
