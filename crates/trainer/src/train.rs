use std::path::PathBuf;
use std::time::Instant;

use bert_qa::{ModelSource, Pretrained, model_cache};
use serde_json::json;
use squad_data::Prediction;

use crate::config::Config;
use crate::data::{Questions, read_dev, read_train};
use crate::fit::{Fit, Fitted};
use crate::observer::Observer;
use crate::run_dir::RunDir;
use crate::tensorboard::TensorBoard;
use crate::{Error, machine};

/// A finished run.
#[derive(Debug)]
pub struct Trained {
    /// Where the model was saved, in Hugging Face layout.
    pub model_folder: PathBuf,
    /// `metrics.json` of the run.
    pub metrics: serde_json::Value,
    /// The dev questions with their answers.
    pub dev: Questions,
    /// The answers, in the questions' order.
    pub predictions: Vec<Prediction>,
}

/// A whole run: checks, data, model, training with evaluation after each epoch, and what is saved.
///
/// `notice` is told what is going on, a line at a time; `observer` is told the figures.
///
/// # Errors
/// Whatever is wrong with the configuration's files is found before the first step.
pub fn train(
    config: &Config,
    run_dir: &RunDir,
    observer: Box<dyn Observer + '_>,
    notice: &dyn Fn(&str),
) -> Result<Trained, Error> {
    let started = Instant::now();
    let (info, device) = crate::device::device(&config.run.device)?;
    let (train, dev) = (read_train(config)?, read_dev(config)?);
    let source = ModelSource::parse(&config.model.source)?;
    let mut card = crate::card::begin(config, &source, &train, &dev);
    let folder = source.resolve(&model_cache(), notice)?;
    let Pretrained {
        model,
        companions,
        report,
    } = Pretrained::load(&folder, config.train.seed, &device.clone().autodiff())?;
    config.windows.check_positions(&companions.config)?;
    let train = Questions::new(train, &companions.tokenizer, &config.windows)?;
    let dev = Questions::new(dev, &companions.tokenizer, &config.windows)?;
    // Nothing is left that the user could mend: from here on the folder is a run's.
    run_dir.write("config.toml", &config.to_toml())?;
    notice(&format!("results go to {}", run_dir.path().display()));
    notice(&load_line(&config.model.source, &report));
    notice(&format!(
        "training on {} questions ({} windows), scoring on {} ({} windows), on {}",
        train.dataset.len(),
        train.features.len(),
        dev.dataset.len(),
        dev.features.len(),
        info.name
    ));
    let events = run_dir.join("tensorboard");
    let mut observers: [Box<dyn Observer + '_>; 3] = [
        observer,
        Box::new(TensorBoard::new(&events, |line| {
            eprintln!("warning: {line}")
        })),
        Box::new(run_dir.lines("metrics.jsonl")?),
    ];
    let fit = Fit::new(config, &train, &dev, device);
    let Fitted {
        model,
        last,
        evaluation,
        features_per_second,
    } = fit.run(model, &mut observers)?;
    drop(observers);
    let model_folder = run_dir.join("model");
    card.scores = crate::card::scores(&evaluation.metrics);
    companions.save_with_card(&model, &model_folder, &card)?;
    evaluation.write(&run_dir.join("dev"))?;
    let metrics = json!({
        "dev": evaluation.metrics,
        "train_loss": last.train_loss,
        "steps": last.step,
        "features_per_second": features_per_second,
        "seconds": started.elapsed().as_secs_f64(),
        "peak_memory_bytes": machine::peak_memory_bytes(),
        "device": info.name,
        "threads": rayon::current_num_threads(),
    });
    run_dir.write("metrics.json", &format!("{metrics:#}\n"))?;
    Ok(Trained {
        model_folder,
        metrics,
        dev,
        predictions: evaluation.predictions,
    })
}

/// One line on what was loaded.
fn load_line(name: &str, report: &bert_qa::LoadReport) -> String {
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    format!(
        "{name}: {} parameters loaded; newly initialised: {}; in the file but not used: {}",
        report.loaded.len(),
        list(&report.missing),
        list(&report.unexpected)
    )
}
