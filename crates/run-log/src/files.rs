/// The run's resolved configuration.
pub const CONFIG: &str = "config.toml";
/// One [`Record`](crate::Record) for each line, appended while the run goes on.
pub const METRICS_LOG: &str = "metrics.jsonl";
/// The figures of the finished run, written last; in [`EVAL_DIR`] the scores of the predictions.
pub const METRICS: &str = "metrics.json";
/// The page that `trainer report` writes.
pub const REPORT: &str = "report.html";
/// The trained model.
pub const MODEL_DIR: &str = "model";
/// The model of the best evaluation.
pub const BEST_MODEL_DIR: &str = "best";
/// The checkpoints.
pub const CHECKPOINTS_DIR: &str = "checkpoints";
/// The TensorBoard event files.
pub const TENSORBOARD_DIR: &str = "tensorboard";
/// The folder of the last evaluation: [`PREDICTIONS`], [`NBEST`], [`NULL_ODDS`] and [`METRICS`].
pub const EVAL_DIR: &str = "eval";
/// The answer to each question, by question id; empty for "no answer".
pub const PREDICTIONS: &str = "predictions.json";
/// The n-best list of each question, by question id.
pub const NBEST: &str = "nbest.json";
/// The score of "no answer" less that of the best span, by question id.
pub const NULL_ODDS: &str = "null_odds.json";
/// SQuAD 2.0 only: the answers at the threshold on the null odds that gives the highest F1.
pub const PREDICTIONS_AT_BEST_F1: &str = "predictions_best.json";
