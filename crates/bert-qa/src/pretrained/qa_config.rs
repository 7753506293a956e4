use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use squad_data::{AnswerOptions, FeatureOptions, StrideKind, plain_types};

use crate::error::Error;

/// The file's name in a model folder. transformers ignores it.
pub(crate) const QA_CONFIG: &str = "qa_config.json";

/// How a model answers: its features, how answers are found, and what was fitted after training.
///
/// It is `qa_config.json` in the model folder, and the default of whatever answers with that folder. A key that the file
/// does not have is as [`QaConfig::new`] says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QaConfig {
    /// As [`FeatureOptions::max_seq_length`].
    pub max_seq_length: usize,
    /// As [`FeatureOptions::doc_stride`].
    pub doc_stride: usize,
    /// As [`FeatureOptions::stride`].
    pub stride: StrideKind,
    /// As [`FeatureOptions::max_query_length`]; 0 is no limit.
    pub max_query_length: usize,
    /// As [`AnswerOptions::n_best_size`].
    pub n_best_size: usize,
    /// As [`AnswerOptions::max_answer_length`].
    pub max_answer_length: usize,
    /// As [`AnswerOptions::allow_no_answer`]: whether the evaluation set has questions without an answer.
    pub allow_no_answer: bool,
    /// As [`AnswerOptions::null_score_diff_threshold`].
    pub null_score_diff_threshold: f32,
    /// As [`AnswerOptions::temperature`].
    pub temperature: f32,
}

/// That of [`FeatureOptions`], or half of a shorter feature.
fn default_stride(max_seq_length: usize) -> usize {
    (max_seq_length / 2).min(FeatureOptions::default().doc_stride)
}

impl Default for QaConfig {
    fn default() -> Self {
        Self::new(FeatureOptions::default().max_seq_length)
    }
}

impl QaConfig {
    /// For a model of which nothing is known but its number of positions: features of at most 384 tokens of which
    /// consecutive ones share at most 128 and at most half, as in transformers' pipeline, and the defaults of
    /// [`AnswerOptions`].
    pub fn new(positions: usize) -> Self {
        let (features, answers) = (FeatureOptions::default(), AnswerOptions::default());
        let max_seq_length = positions.min(features.max_seq_length);
        Self {
            max_seq_length,
            doc_stride: default_stride(max_seq_length),
            stride: features.stride,
            max_query_length: 0,
            n_best_size: answers.n_best_size,
            max_answer_length: answers.max_answer_length,
            allow_no_answer: answers.allow_no_answer,
            null_score_diff_threshold: answers.null_score_diff_threshold,
            temperature: answers.temperature,
        }
    }

    /// Reads the file of a folder with a model of `positions` positions; `None` if there is no such file.
    pub(super) fn read(folder: &Path, positions: usize) -> Result<Option<Self>, Error> {
        let path = folder.join(QA_CONFIG);
        if !path.is_file() {
            return Ok(None);
        }
        let text = atomic_fs::read_text(&path)?;
        Self::parse(&text, positions)
            .map(Some)
            .map_err(|message| Error::Config {
                path,
                message: format!("{message}: correct this file, or remove it to use the defaults"),
            })
    }

    fn parse(text: &str, positions: usize) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let mut config: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let problem = plain_types(error.inner());
            match error.path().to_string().as_str() {
                "." => problem,
                key => format!("{key}: {problem}"),
            }
        })?;
        let keys: Map<String, Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if !keys.contains_key("max_seq_length") {
            config.max_seq_length = Self::new(positions).max_seq_length;
        }
        if !keys.contains_key("doc_stride") {
            config.doc_stride = default_stride(config.max_seq_length);
        }
        if config.max_seq_length > positions {
            return Err(format!(
                "max_seq_length is {}, but the model has {positions} positions",
                config.max_seq_length
            ));
        }
        if !config.null_score_diff_threshold.is_finite() {
            return Err("null_score_diff_threshold is too large".to_owned());
        }
        let features = config.feature_options().validate();
        let checked = features.and_then(|()| config.answer_options().validate());
        checked.map_err(|error| error.to_string())?;
        Ok(config)
    }

    pub(super) fn to_json(&self) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Config {
            path: QA_CONFIG.into(),
            message: e.to_string(),
        })?;
        Ok(text + "\n")
    }

    /// How texts become features.
    pub fn feature_options(&self) -> FeatureOptions {
        FeatureOptions {
            max_seq_length: self.max_seq_length,
            doc_stride: self.doc_stride,
            stride: self.stride,
            max_query_length: (self.max_query_length > 0).then_some(self.max_query_length),
            ..FeatureOptions::default()
        }
    }

    /// How answers are found.
    pub fn answer_options(&self) -> AnswerOptions {
        AnswerOptions {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            null_score_diff_threshold: self.null_score_diff_threshold,
            allow_no_answer: self.allow_no_answer,
            temperature: self.temperature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_does_not_say_fits_the_model() {
        let config = QaConfig::parse(r#"{"temperature": 1.5}"#, 128).unwrap();
        let expected = QaConfig {
            temperature: 1.5,
            ..QaConfig::new(128)
        };
        assert_eq!(config, expected);
        assert_eq!((config.max_seq_length, config.doc_stride), (128, 64));
        let whole = QaConfig::new(512);
        assert_eq!(QaConfig::parse(&whole.to_json().unwrap(), 512), Ok(whole));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, part) in [
            ("", "EOF"),
            ("[]", "invalid type"),
            ("null", "invalid type"),
            (r#"{"temprature": 1}"#, "temprature"),
            (r#"{"temperature": 0}"#, "temperature"),
            (r#"{"temperature": -1}"#, "temperature"),
            (r#"{"temperature": 1e39}"#, "out of range"),
            (r#"{"temperature": "1"}"#, "temperature: invalid type"),
            (r#"{"temperature": 1} {}"#, "line 1 column"),
            (r#"{"null_score_diff_threshold": -1e39}"#, "out of range"),
            (r#"{"max_seq_length": 513}"#, "512 positions"),
            (r#"{"max_seq_length": 0}"#, "max_seq_length"),
            (r#"{"max_seq_length": "384"}"#, "max_seq_length: "),
            (
                r#"{"max_seq_length": 1e3}"#,
                "expected a whole number from 0",
            ),
            (r#"{"doc_stride": 18446744073709551615}"#, "doc_stride"),
            (r#"{"doc_stride": -1}"#, "invalid value"),
            (r#"{"max_query_length": 500}"#, "max_seq_length"),
            (r#"{"n_best_size": 0}"#, "n_best_size"),
            (r#"{"n_best_size": 100000}"#, "n_best_size"),
            (r#"{"max_answer_length": 0}"#, "max_answer_length"),
            (r#"{"stride": "both"}"#, "both"),
        ] {
            let message = QaConfig::parse(text, 512).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
            assert!(!message.contains('\n'), "{text}: {message}");
        }
    }
}
