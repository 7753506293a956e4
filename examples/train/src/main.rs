//! Fine-tunes a model for one epoch with Burn's own training loop: `cargo run -- MODEL TRAIN EVAL OUT`.
//!
//! TRAIN and EVAL are files of questions. OUT gets the model folder, `OUT/model`, and the losses of each step.

mod reader;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bert_qa::{Hub, ModelSource, Pretrained, model_cache};
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::optim::AdamWConfig;
use burn::tensor::Device;
use burn::train::metric::LossMetric;
use burn::train::{Learner, SupervisedTraining};
use squad_data::{Dataset, FeatureDataset, FeatureOptions, QaTokenizer, make_features};

use crate::reader::{Batch, Packer, Reader};

const BATCH_SIZE: usize = 8;
const LEARNING_RATE: f64 = 2e-4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, train, eval, out] = arguments.as_slice() else {
        eprintln!("usage: train MODEL TRAIN EVAL OUT (MODEL: a folder or owner/name on the Hub)");
        return ExitCode::from(2);
    };
    match fine_tune(model, train.as_ref(), eval.as_ref(), out.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fine_tune(model: &str, train: &Path, eval: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let folder =
        ModelSource::parse(model)?.resolve(&Hub::from_env(), &model_cache(), &mut |_| {})?;
    let device = Device::flex().autodiff();
    let Pretrained { model, assets, .. } = Pretrained::load(&folder, 0, &device)?;

    let train = loader(train, &assets.tokenizer, Some(0))?;
    let eval = loader(eval, &assets.tokenizer, None)?;
    let num_steps = train.num_items().div_ceil(BATCH_SIZE);
    let schedule = LinearLrSchedulerConfig::new(LEARNING_RATE, 0.0, num_steps).init()?;
    let adamw = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(0.01);

    let result = SupervisedTraining::new(out, train, eval)
        .metrics((LossMetric::new(),))
        .num_epochs(1)
        .summary()
        .launch(Learner::new(Reader { model }, adamw.init(), schedule));
    if let Some(error) = result.error {
        return Err(error.to_string().into());
    }
    assets.save(&result.model.model, &out.join("model"))?;
    Ok(())
}

/// The features of a file of questions in batches, shuffled by a seed or in order.
fn loader(
    file: &Path,
    tokenizer: &QaTokenizer,
    seed: Option<u64>,
) -> Result<Arc<dyn DataLoader<Batch>>, squad_data::Error> {
    let dataset = Dataset::read(file)?;
    let features = make_features(&dataset.examples, tokenizer, &FeatureOptions::default())?;
    let mut builder = DataLoaderBuilder::new(Packer::default()).batch_size(BATCH_SIZE);
    if let Some(seed) = seed {
        builder = builder.shuffle(seed);
    }
    Ok(builder.build(FeatureDataset::new(features)))
}
