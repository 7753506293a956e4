use std::path::PathBuf;

use burn::tensor::Device;
use trainer::{Error, Trainer};

use crate::data::{fresh_run_dir, quickstart, run_dir};
use crate::progress::PlainLines;

/// The run of `04-fine-tuning`, below `runs/notebooks/`.
pub const FINE_TUNING: &str = "fine-tuning";

/// The device that the notebooks compute on: the best one of this build and machine.
///
/// # Errors
/// If there is none.
pub fn device() -> Result<Device, Error> {
    let (info, device) = trainer::device("auto")?;
    println!("computing on {}: {}", info.name, info.description);
    Ok(device)
}

/// What `04-fine-tuning` trains: the quick start for one epoch more, so that overfitting shows.
pub const FINE_TUNING_SETTINGS: [&str; 1] = ["train.epochs=4"];

/// The folder of the model that `04-fine-tuning` saved. Where it was not run yet, one is trained in the same way,
/// which takes minutes.
///
/// # Errors
/// If training fails.
pub fn trained_model() -> Result<PathBuf, Error> {
    let folder = run_dir(FINE_TUNING).join("model");
    if folder.join("model.safetensors").is_file() {
        println!("the model that 04-fine-tuning saved: {}", folder.display());
        return Ok(folder);
    }
    println!("04-fine-tuning was not run yet; training its model takes minutes");
    let trainer = Trainer::new(quickstart(&FINE_TUNING_SETTINGS)?)?;
    let outcome = trainer
        .run_dir(fresh_run_dir(FINE_TUNING)?)
        .observer(PlainLines::every(10))
        .fit()?;
    let trained = outcome
        .finished()
        .ok_or_else(|| Error::Device("the run was stopped".into()))?;
    Ok(trained.model_folder)
}
