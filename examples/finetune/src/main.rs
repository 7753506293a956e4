//! Fine-tunes a model with burn-train's loop: `cargo run --release -- MODEL TRAIN_FILE DEV_FILE OUT`.
//!
//! The data, the model and the loss are this project's; the loop, the optimizer and the metrics are Burn's.

use std::path::Path;
use std::process::ExitCode;

use bert_qa::{
    BertForQuestionAnswering, Hub, ModelSource, PackedInput, Pretrained, model_cache, span_loss,
};
use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::lr_scheduler::constant::ConstantLr;
use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::{Device, ExecutionError, Tensor};
use burn::train::metric::{Adaptor, LossInput, LossMetric};
use burn::train::{InferenceStep, ItemLazy, Learner, SupervisedTraining, TrainOutput, TrainStep};
use squad_data::{Dataset, Feature, FeatureDataset, FeatureOptions, PackedBatch, make_features};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, train, dev, out] = arguments.as_slice() else {
        eprintln!(
            "usage: finetune MODEL TRAIN_FILE DEV_FILE OUT (MODEL: a folder or owner/name on the Hub)"
        );
        return ExitCode::from(2);
    };
    match finetune(model, train, dev, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn finetune(
    model: &str,
    train: &str,
    dev: &str,
    out: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::default();
    let folder =
        ModelSource::parse(model)?.resolve(&Hub::from_env(), &model_cache(), &mut |_| {})?;
    let Pretrained { model, assets, .. } =
        Pretrained::load(&folder, 0, &device.clone().autodiff())?;
    let features = |path: &str| -> Result<FeatureDataset, squad_data::Error> {
        let dataset = Dataset::read(Path::new(path))?;
        let features = make_features(
            &dataset.examples,
            &assets.tokenizer,
            &FeatureOptions::default(),
        )?;
        Ok(FeatureDataset::new(features))
    };
    let train = DataLoaderBuilder::new(Packing)
        .batch_size(8)
        .shuffle(0)
        .build(features(train)?);
    let dev = DataLoaderBuilder::new(Packing)
        .batch_size(8)
        .build(features(dev)?);

    let folder = Path::new(out);
    let learner = Learner::new(
        QaModel { bert: model },
        AdamWConfig::new().init(),
        ConstantLr::from(5e-5),
    );
    let result = SupervisedTraining::new(folder.join("burn-train"), train, dev)
        .metrics((LossMetric::new(),))
        .num_epochs(2)
        .summary()
        .launch(learner);
    if let Some(error) = result.error {
        return Err(error.to_string().into());
    }
    assets.save(&result.model.bert, &folder.join("model"))?;
    println!("{}", folder.join("model").display());
    Ok(())
}

/// Features end to end, without padding.
#[derive(Clone)]
struct Packing;

impl Batcher<Feature, PackedInput> for Packing {
    fn batch(&self, features: Vec<Feature>, device: &Device) -> PackedInput {
        let all: Vec<usize> = (0..features.len()).collect();
        PackedInput::new(&PackedBatch::new(&features, &all), device)
    }
}

#[derive(Module, Debug)]
struct QaModel {
    bert: BertForQuestionAnswering,
}

impl TrainStep for QaModel {
    type Input = PackedInput;
    type Output = Loss;

    fn step(&self, input: PackedInput) -> TrainOutput<Loss> {
        let loss = span_loss(self.bert.forward(&input, None), &input);
        TrainOutput::new(self, loss.backward(), Loss(loss.inner()))
    }
}

impl InferenceStep for QaModel {
    type Input = PackedInput;
    type Output = Loss;

    fn step(&self, input: PackedInput) -> Loss {
        Loss(span_loss(self.bert.forward(&input, None), &input))
    }
}

/// What the metrics get of a batch.
struct Loss(Tensor<1>);

impl ItemLazy for Loss {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for Loss {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.0.clone())
    }
}
