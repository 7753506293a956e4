//! Every parameter learns.

use std::collections::BTreeMap;

use bert_qa::{
    BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained, hugging_face_name, span_loss,
};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use squad_data::{Dataset, PackedBatch};
use trainer::{Config, FeaturizedDataset, Optimizer};

use crate::support::Sandbox;
use test_support::TinyModel;

/// Values of all parameters, and of their gradients, by Hugging Face's names.
#[derive(Default)]
struct Parameters<'a> {
    gradients: Option<&'a Gradients>,
    path: Vec<String>,
    values: BTreeMap<String, Vec<f32>>,
    slopes: BTreeMap<String, Vec<f32>>,
}

impl<'a> Parameters<'a> {
    fn of(model: &BertForQuestionAnswering, gradients: Option<&'a Gradients>) -> Self {
        let mut parameters = Self {
            gradients,
            ..Self::default()
        };
        model.visit(&mut parameters);
        parameters
    }
}

impl ModuleVisitor for Parameters<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = hugging_face_name(&self.path.join("."));
        let values = |data: burn::tensor::TensorData| data.iter::<f32>().collect();
        self.values
            .insert(name.clone(), values(param.val().into_data()));
        if let Some(slope) = self
            .gradients
            .and_then(|gradients| param.val().grad(gradients))
        {
            self.slopes.insert(name, values(slope.into_data()));
        }
    }
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Softmax does not see a number added to all its inputs, which is all that a key's bias, the head's
/// bias and the last LayerNorm's bias do: their gradient is zero in mathematics, and rounding noise
/// in floats.
fn has_no_slope(name: &str) -> bool {
    name.ends_with(".attention.self.key.bias")
        || name == "qa_outputs.bias"
        || name == "bert.encoder.layer.1.output.LayerNorm.bias"
}

#[test]
fn every_parameter_gets_a_gradient_and_moves() {
    let sandbox = Sandbox::with_model(&TinyModel {
        num_hidden_layers: 2,
        ..TinyModel::default()
    });
    let (_, device) = trainer::device("auto").unwrap();
    let device = device.autodiff();
    let Pretrained { model, assets, .. } =
        Pretrained::load(&sandbox.path("encoder"), 0, &device).unwrap();
    let dataset = Dataset::read(&sandbox.path("eight.json")).unwrap();
    let config = Config::default();
    let questions = FeaturizedDataset::new(dataset, &assets.tokenizer, &config.features).unwrap();
    let batch = PackedBatch::new(&questions.features, &[0, 1, 2, 3]);
    let dropout = DropoutSeed {
        seed: 0,
        rank: 0,
        step: 0,
        micro_batch: 0,
    };
    let input = PackedInput::new(&batch, &device);
    let loss = span_loss(model.forward(&input, Some(dropout)), &input);
    let gradients = loss.backward();

    let before = Parameters::of(&model, Some(&gradients));
    let names: Vec<_> = before.values.keys().cloned().collect();
    // Embeddings and their norm, 16 tensors in each layer, the head.
    assert_eq!(names.len(), 5 + 2 * 16 + 2, "{names:?}");
    assert_eq!(before.slopes.keys().cloned().collect::<Vec<_>>(), names);
    let mut without = Vec::new();
    for (name, slope) in &before.slopes {
        // Slopes are of order 1e-3 and more; noise is of order 1e-7.
        if has_no_slope(name) {
            assert!(norm(slope) < 1e-5, "{name}: {}", norm(slope));
            without.push(name.as_str());
        } else {
            assert!(norm(slope) > 1e-3, "{name}: {}", norm(slope));
        }
    }
    assert_eq!(without.len(), 4, "{without:?}");

    // AdamW divides by the gradient's size, so that even noise moves a parameter. Without decay
    // nothing else does.
    let (before, mut train) = (before.values, config.train);
    train.weight_decay = 0.0;
    let (model, _) = Optimizer::new(&train, &model).step(model, gradients, 1e-3);
    for (name, after) in Parameters::of(&model, None).values {
        if !has_no_slope(&name) {
            assert_ne!(before[&name], after, "{name} did not move");
        }
    }
}
