use std::path::PathBuf;

use burn::tensor::Device;
use trainer::{Error, Trainer};

use crate::data::{fresh_run_dir, quickstart, run_dir};
use crate::progress::PlainLines;

/// The device that the notebooks compute on: the best one of this build and machine.
///
/// # Errors
/// If there is none.
pub fn device() -> Result<Device, Error> {
    let (info, device) = trainer::device("auto")?;
    println!("computing on {}: {}", info.name, info.description);
    Ok(device)
}

/// What `04-fine-tuning` trains, and below which name in `runs/notebooks/`: the quick start for one epoch more, so
/// that overfitting shows; where `NOTEBOOKS_QUICK` is set, as it is for `cargo xtask notebooks run --quick`, just
/// enough that every cell has something to show.
pub fn fine_tuning() -> (&'static str, &'static [&'static str]) {
    match std::env::var_os("NOTEBOOKS_QUICK") {
        None => ("fine-tuning", &["train.num_train_epochs=4"]),
        Some(_) => (
            "fine-tuning-quick",
            &[
                "train.num_train_epochs=3",
                "train.max_train_samples=16",
                "train.per_device_train_batch_size=1",
                "eval.max_eval_samples=12",
                "checkpoints.every_epochs=0",
            ],
        ),
    }
}

/// The folder of the model that `04-fine-tuning` saved. Where it was not run yet, one is trained in the same way,
/// which takes minutes.
///
/// # Errors
/// If training fails.
pub fn trained_model() -> Result<PathBuf, Error> {
    let (name, settings) = fine_tuning();
    let folder = run_dir(name).join("model");
    if folder.join("model.safetensors").is_file() {
        println!("the model that 04-fine-tuning saved: {}", folder.display());
        return Ok(folder);
    }
    println!("04-fine-tuning was not run yet; training its model takes minutes");
    let trainer = Trainer::new(quickstart(settings)?)?;
    let outcome = trainer
        .run_dir(fresh_run_dir(name)?)
        .observer(PlainLines::every(10))
        .fit()?;
    let trained = outcome
        .finished()
        .ok_or_else(|| Error::Device("the run was stopped".into()))?;
    Ok(trained.model_folder)
}
