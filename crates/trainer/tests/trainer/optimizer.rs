//! The optimizer against PyTorch's, with the same gradients given to both.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use trainer::{Optimizer, TrainConfig};

use crate::support::workspace;

/// Named so that Hugging Face's names come out: a weight that decays, and three parameters that
/// do not.
#[derive(Module, Debug)]
struct Model {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl Model {
    fn new(start: &Numbers<f32>, device: &Device) -> Self {
        let data =
            |parameter: usize, shape: &[usize]| TensorData::new(start[parameter].clone(), shape);
        let mut dense = LinearConfig::new(3, 2).init(device);
        dense.weight = Param::from_data(data(0, &[3, 2]), device);
        dense.bias = Some(Param::from_data(data(1, &[2]), device));
        let mut layer_norm = LayerNormConfig::new(2).init(device);
        layer_norm.gamma = Param::from_data(data(2, &[2]), device);
        layer_norm.beta = Some(Param::from_data(data(3, &[2]), device));
        Self { dense, layer_norm }
    }

    /// A loss whose gradients are exactly `slopes`.
    fn loss(&self, slopes: &Numbers<f32>, device: &Device) -> Tensor<1> {
        fn product<const D: usize>(
            values: Tensor<D>,
            slopes: &[f32],
            device: &Device,
        ) -> Tensor<1> {
            let slopes = TensorData::new(slopes.to_vec(), values.shape());
            (values * Tensor::from_data(slopes, device)).sum()
        }
        product(self.dense.weight.val(), &slopes[0], device)
            + product(self.dense.bias.as_ref().unwrap().val(), &slopes[1], device)
            + product(self.layer_norm.gamma.val(), &slopes[2], device)
            + product(
                self.layer_norm.beta.as_ref().unwrap().val(),
                &slopes[3],
                device,
            )
    }

    fn values(&self) -> Numbers<f32> {
        let values = |data: TensorData| data.iter::<f32>().collect();
        [
            values(self.dense.weight.val().into_data()),
            values(self.dense.bias.as_ref().unwrap().val().into_data()),
            values(self.layer_norm.gamma.val().into_data()),
            values(self.layer_norm.beta.as_ref().unwrap().val().into_data()),
        ]
    }
}

/// The numbers of the four parameters.
type Numbers<T> = [Vec<T>; 4];

/// `scripts/reference/make_adamw_fixture.py` says what this is.
#[derive(Deserialize)]
struct Fixture {
    start: Numbers<f32>,
    rates: Vec<f64>,
    /// Of each step.
    gradients: Vec<Numbers<f32>>,
    /// Of the gradients, before they are clipped.
    norms: Vec<f64>,
    expected: Numbers<f64>,
    wrong: BTreeMap<String, Numbers<f64>>,
}

/// The largest difference from the reference.
fn difference(values: &Numbers<f32>, reference: &Numbers<f64>) -> f64 {
    let pairs = values.iter().flatten().zip(reference.iter().flatten());
    pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn five_steps_equal_pytorch() {
    let text = std::fs::read_to_string(workspace("crates/trainer/tests/fixtures/adamw.json"));
    let fixture: Fixture = serde_json::from_str(&text.unwrap()).unwrap();
    for info in trainer::devices() {
        let device = trainer::device(&info.name).unwrap().1.autodiff();
        five_steps(&fixture, &device, &info.name);
    }
}

fn five_steps(fixture: &Fixture, device: &Device, name: &str) {
    let config = TrainConfig {
        weight_decay: 0.1,
        max_grad_norm: 1.0,
        adam_epsilon: 1e-8,
        ..TrainConfig::default()
    };
    let mut model = Model::new(&fixture.start, device);
    let mut optimizer = Optimizer::new(&config, &model);
    for ((slopes, rate), expected) in fixture
        .gradients
        .iter()
        .zip(&fixture.rates)
        .zip(&fixture.norms)
    {
        let gradients = model.loss(slopes, device).backward();
        let norm;
        (model, norm) = optimizer.step(model, gradients, *rate);
        // The norm is a sum of 12 squares in f32.
        assert!(
            (f64::from(norm) / expected - 1.0).abs() < 1e-6,
            "{name}: {norm} and {expected}"
        );
    }
    let is_clipped = |norm: &f64| *norm > config.max_grad_norm;
    assert!(fixture.norms.iter().any(is_clipped) && !fixture.norms.iter().all(is_clipped));
    let values = model.values();
    // Five steps of numbers of order 1 in f32: a few units of 1.2e-7.
    let error = difference(&values, &fixture.expected);
    assert!(error < 2e-6, "{name}: {error}");

    // Negative controls: other optimizers differ by at least fifty times that.
    assert_eq!(fixture.wrong.len(), 6);
    for (mistake, other) in &fixture.wrong {
        let error = difference(&values, other);
        assert!(
            error > 1e-4,
            "{name}: {mistake} makes a difference of {error}"
        );
    }
}
