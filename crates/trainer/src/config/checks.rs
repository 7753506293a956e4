use squad_data::OnBadAnswer;
use toml::{Table, Value};

use super::{Config, RunConfig, ShardingStrategy, Strategy};
use crate::Error;
use crate::device::MAX_THREADS;

impl Config {
    /// Checks the values, without reading the files they name.
    ///
    /// # Errors
    /// If a value is not valid; lists all complaints.
    pub fn check(&self) -> Result<(), Error> {
        match self.complaints() {
            complaints if complaints.is_empty() => Ok(()),
            complaints => Err(Error::Config(complaints)),
        }
    }

    /// The settings that `other` changes, as `section.key: value here -> value there`.
    ///
    /// # Panics
    /// If a value cannot be written as TOML, which [`Config::check`] finds.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let table = |config: &Self| Table::try_from(config).expect("a configuration is a table");
        let mut differences = Vec::new();
        compare(&table(self), &table(other), "", &mut differences);
        differences
    }

    /// The settings that all ranks must share, as TOML: all but device and threads.
    pub(crate) fn shared(&self) -> String {
        let mut shared = self.clone();
        let run = RunConfig::default();
        (shared.run.device, shared.run.threads) = (run.device, run.threads);
        shared.to_toml()
    }

    /// One line for each value that is not valid.
    pub(super) fn complaints(&self) -> Vec<String> {
        let checks = [
            self.model_and_data(),
            self.optimization(),
            self.saving(),
            self.distribution(),
        ]
        .concat();
        let wrong = checks.into_iter().filter(|(wrong, _)| *wrong);
        let mut complaints: Vec<String> = wrong.map(|(_, text)| text.to_owned()).collect();
        if self.run.threads > MAX_THREADS {
            complaints.push(format!("run.threads must be at most {MAX_THREADS}"));
        }
        if let Err(error) = self.features.options().validate() {
            complaints.push(format!("features: {error}"));
        }
        // A configuration that was not read from TOML: `config.toml` could not be written, or not be read again.
        if let Err(error) = Table::try_from(self) {
            complaints.push(format!(
                "the configuration cannot be written as TOML, which has integers up to 2^63 - 1 and paths in UTF-8: {error}"
            ));
        }
        complaints
    }

    fn model_and_data(&self) -> Vec<(bool, &'static str)> {
        let Self {
            model,
            train,
            eval,
            answers,
            ..
        } = self;
        let has_eval_file = !eval.file.as_os_str().is_empty();
        vec![
            (
                model.source.is_empty(),
                "model.source is empty: name a folder or a Hub model",
            ),
            (
                train.files.is_empty(),
                "train.files is empty: name at least one file of questions",
            ),
            (
                train.files.iter().any(|file| file.as_os_str().is_empty()),
                "train.files has an empty name: name files of questions",
            ),
            (
                !has_eval_file && train.train_fraction == 0.0,
                "eval.file is empty: name a file of questions, or set train.train_fraction",
            ),
            (
                has_eval_file && train.train_fraction != 0.0,
                "eval.file and train.train_fraction are both set: only one of them can give the evaluation set",
            ),
            (
                train.on_bad_answer == OnBadAnswer::Keep,
                "train.on_bad_answer = \"keep\" would teach \"no answer\" for a question that has one: use error, skip or repair",
            ),
            (
                !probability(train.train_fraction),
                "train.train_fraction must be at least 0 and less than 1: the share of the questions to train on",
            ),
            (
                answers.n_best_size == 0,
                "answers.n_best_size must be at least 1",
            ),
            (
                answers.max_answer_length == 0,
                "answers.max_answer_length must be at least 1",
            ),
            (
                answers.n_best_size > 10_000,
                "answers.n_best_size must be at most 10000",
            ),
            (
                !positive(answers.temperature.into()),
                "answers.temperature must be positive",
            ),
            (
                // The model's `qa_config.json` could not hold it.
                !answers.null_score_diff_threshold.is_finite(),
                "answers.null_score_diff_threshold must be a finite number",
            ),
        ]
    }

    fn optimization(&self) -> Vec<(bool, &'static str)> {
        let train = &self.train;
        vec![
            (
                train.num_train_epochs == 0,
                "train.num_train_epochs must be at least 1",
            ),
            (
                train.per_device_train_batch_size == 0,
                "train.per_device_train_batch_size must be at least 1",
            ),
            (
                !(1..=1 << 16).contains(&train.gradient_accumulation_steps),
                "train.gradient_accumulation_steps must be between 1 and 65536",
            ),
            (
                !positive(train.learning_rate),
                "train.learning_rate must be positive",
            ),
            (
                !probability(train.warmup_ratio),
                "train.warmup_ratio must be at least 0 and less than 1",
            ),
            (
                !(train.layerwise_lr_decay > 0.0 && train.layerwise_lr_decay <= 1.0),
                "train.layerwise_lr_decay must be more than 0 and at most 1",
            ),
            (
                !not_negative(train.weight_decay),
                "train.weight_decay must not be negative",
            ),
            (
                !probability(train.adam_beta1),
                "train.adam_beta1 must be at least 0 and less than 1",
            ),
            (
                !probability(train.adam_beta2),
                "train.adam_beta2 must be at least 0 and less than 1",
            ),
            (
                !positive(train.adam_epsilon),
                "train.adam_epsilon must be positive",
            ),
            (
                !not_negative(train.max_grad_norm),
                "train.max_grad_norm must not be negative",
            ),
        ]
    }

    fn distribution(&self) -> Vec<(bool, &'static str)> {
        const YEAR: u64 = 365 * 24 * 60 * 60;
        let distributed = &self.distributed;
        let is_full_shard = distributed.strategy == Strategy::Fsdp
            && distributed.sharding_strategy == ShardingStrategy::FullShard;
        vec![
            (
                !positive(distributed.bucket_cap_mb),
                "distributed.bucket_cap_mb must be positive",
            ),
            (
                !(1..=YEAR).contains(&distributed.startup_timeout)
                    || !(1..=YEAR).contains(&distributed.ddp_timeout),
                "distributed.startup_timeout and distributed.ddp_timeout must be at least 1 second and at most a year",
            ),
            (
                distributed.verify_params_every_steps > 0 && is_full_shard,
                "distributed.verify_params_every_steps does not work with \
                 distributed.sharding_strategy = full_shard: no process has all parameters",
            ),
        ]
    }

    fn saving(&self) -> Vec<(bool, &'static str)> {
        let Self {
            train,
            eval,
            checkpoints,
            ..
        } = self;
        let compares = !eval.metric_for_best_model.is_empty();
        vec![
            (
                train.early_stopping_patience > 0 && !compares,
                "train.early_stopping_patience needs eval.metric_for_best_model, for example f1 or loss",
            ),
            (
                eval.load_best_model_at_end && !compares,
                "eval.load_best_model_at_end needs eval.metric_for_best_model, for example f1 or loss",
            ),
            (
                checkpoints.save_total_limit == 0,
                "checkpoints.save_total_limit must be at least 1 (checkpoints.every_epochs=0 writes none)",
            ),
        ]
    }
}

/// Lists the values in which two tables with the same keys differ.
fn compare(before: &Table, after: &Table, prefix: &str, differences: &mut Vec<String>) {
    for (key, before) in before {
        let path = format!("{prefix}{key}");
        match (before, after.get(key)) {
            (Value::Table(before), Some(Value::Table(after))) => {
                compare(before, after, &format!("{path}."), differences);
            }
            (before, Some(after)) if before != after => {
                differences.push(format!("{path}: {before} -> {after}"));
            }
            _ => {}
        }
    }
}

fn probability(p: f64) -> bool {
    (0.0..1.0).contains(&p)
}

fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

fn not_negative(x: f64) -> bool {
    x >= 0.0 && x.is_finite()
}
