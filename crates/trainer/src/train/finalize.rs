use bert_qa::{BertForQuestionAnswering, ModelCard, Pretrained};
use serde_json::{Value, json};
use squad_data::Flaws;

use crate::Error;
use crate::artifacts::digest::folder_digest;
use crate::artifacts::model_card;
use crate::artifacts::run_dir::RunDir;
use crate::build_info;
use crate::data::FeaturizedDataset;
use crate::device::process;
use crate::eval::calibration::calibrate;
use crate::eval::{Evaluation, evaluate};
use crate::train::context::RunContext;
use crate::train::outcome::{Outcome, Stopped, Trained};
use crate::train::state::RunState;
use crate::train::train_loop::TrainResult;

/// Saves the model, the predictions and the metrics of a run that is complete; on rank 0 only.
pub(crate) fn finalize(
    run: &RunContext,
    result: TrainResult,
    train_flaws: &Flaws,
    eval: FeaturizedDataset,
    card: ModelCard,
) -> Result<Outcome, Error> {
    let Some(run_dir) = &run.run_dir else {
        let stopped = result.stopped;
        return Ok(Outcome::Worker { stopped });
    };
    if let (true, Some(checkpoint)) = (result.stopped, &result.checkpoint) {
        return Ok(Outcome::Stopped(Stopped {
            run_dir: run_dir.path().into(),
            checkpoint: checkpoint.clone(),
            step: result.state.step,
        }));
    }
    let trained = save(run, run_dir, result, train_flaws, eval, card)?;
    Ok(Outcome::Finished(Box::new(trained)))
}

fn save(
    run: &RunContext,
    run_dir: &RunDir,
    mut result: TrainResult,
    train_flaws: &Flaws,
    eval: FeaturizedDataset,
    mut card: ModelCard,
) -> Result<Trained, Error> {
    let mut model = result.model.take().expect("rank 0 has the model");
    if let Some(best) = better_than_last(run, run_dir, &result.state) {
        model = best;
        result.evaluation = None;
    }
    let (answers, metric) = (&run.config.answers, run.config.eval.metric);
    let evaluation = match result.evaluation.take() {
        Some(evaluation) => evaluation,
        None => evaluate(&model, &eval, answers, metric, &run.device, &mut |_| {})?,
    };
    let model_folder = run_dir.join(run_log::MODEL_DIR);
    card.scores = model_card::scores(&evaluation.metrics);
    let threshold = answers.null_score_diff_threshold;
    let calibration = calibrate(&eval.dataset, &evaluation.predictions, threshold, metric);
    let mut assets = run.assets.clone();
    if let (Some(answers), Some(fitted)) = (&mut assets.qa_config, &calibration) {
        answers.temperature = fitted.temperature;
        answers.null_score_diff_threshold = fitted.null_score_diff_threshold;
    }
    assets.save_with_card(&model, &model_folder, &card)?;
    evaluation.write(&run_dir.join(run_log::EVAL_DIR))?;
    let mut metrics = metrics(run, &result, &evaluation);
    metrics["calibration"] = json!(calibration);
    metrics["data"] = json!({
        "train": counts(train_flaws),
        "eval": counts(&eval.dataset.flaws),
    });
    run_dir.write(run_log::METRICS, &format!("{metrics:#}\n"))?;
    Ok(Trained {
        run_dir: run_dir.path().into(),
        model_folder,
        metrics,
        eval,
        predictions: evaluation.predictions,
    })
}

/// The best model, under `load_best_model_at_end` and if the last one is another. If it cannot be loaded, a warning says so.
fn better_than_last(
    run: &RunContext,
    run_dir: &RunDir,
    state: &RunState,
) -> Option<BertForQuestionAnswering> {
    if !run.config.eval.load_best_model_at_end {
        return None;
    }
    let best = state.best.filter(|best| best.step != state.step)?;
    match load_best(run, run_dir, state) {
        Ok(model) => {
            tracing::info!("loaded the best model, of step {}", best.step);
            Some(model)
        }
        Err(error) => {
            tracing::warn!(
                "{error}: the result is the last model, of step {}, and not the best, of step {}",
                state.step,
                best.step
            );
            None
        }
    }
}

/// Loads the best model of this run. Any other model in its folder is an error.
fn load_best(
    run: &RunContext,
    run_dir: &RunDir,
    state: &RunState,
) -> Result<BertForQuestionAnswering, Error> {
    let folder = run_dir.join(run_log::BEST_MODEL_DIR);
    if state.best_model != Some(folder_digest(&folder)?) {
        return Err(Error::file(&folder, "is not what this run has saved"));
    }
    let best = Pretrained::load(&folder, 0, &run.device)?;
    Ok(best.model.with_precision(run.precision, &run.device))
}

/// Numbers of questions and answers that were left out of a dataset, repaired or not found.
fn counts(flaws: &Flaws) -> Value {
    json!({
        "skipped_questions": flaws.skipped_questions,
        "repaired_answers": flaws.repaired_answers,
        "unlocated_answers": flaws.unlocated_answers,
    })
}

/// The contents of `metrics.json`.
fn metrics(run: &RunContext, result: &TrainResult, evaluation: &Evaluation) -> Value {
    let state = &result.state;
    json!({
        "eval": evaluation.metrics,
        "train_loss": state.train_loss,
        "steps": state.step,
        "best": state.best,
        "features_per_second": state.features as f64 / state.training_seconds,
        "training_seconds": state.training_seconds,
        "communication_seconds": result.communication.map(|time| time.as_secs_f64()),
        "seconds": state.elapsed_seconds + run.started.elapsed().as_secs_f64(),
        "peak_memory_bytes": process::peak_memory_bytes(),
        "device_peak_memory_bytes": run.info.memory().map(|memory| memory.peak),
        "device": run.info.name,
        "processes": run.ranks.world_size(),
        "threads": rayon::current_num_threads(),
        "versions": build_info::versions(),
    })
}
