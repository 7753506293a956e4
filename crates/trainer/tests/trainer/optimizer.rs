//! The optimizer against AdamW written out in f64, a number at a time.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use trainer::{Optimizer, TrainConfig};

/// Named so that Hugging Face's names come out: a weight that decays, and three parameters that
/// do not.
#[derive(Module, Debug)]
struct Model {
    dense: Linear,
    layer_norm: LayerNorm,
}

impl Model {
    fn new(device: &Device) -> Self {
        let mut dense = LinearConfig::new(3, 2).init(device);
        dense.weight = Param::from_data(TensorData::new(START[0].to_vec(), [3, 2]), device);
        dense.bias = Some(Param::from_data(
            TensorData::new(START[1].to_vec(), [2]),
            device,
        ));
        let mut layer_norm = LayerNormConfig::new(2).init(device);
        layer_norm.gamma = Param::from_data(TensorData::new(START[2].to_vec(), [2]), device);
        layer_norm.beta = Some(Param::from_data(
            TensorData::new(START[3].to_vec(), [2]),
            device,
        ));
        Self { dense, layer_norm }
    }

    /// A loss whose gradients are exactly `slopes`.
    fn loss(&self, slopes: &[Vec<f32>; 4], device: &Device) -> Tensor<1> {
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

    fn values(&self) -> [Vec<f32>; 4] {
        let values = |data: TensorData| data.iter::<f32>().collect();
        [
            values(self.dense.weight.val().into_data()),
            values(self.dense.bias.as_ref().unwrap().val().into_data()),
            values(self.layer_norm.gamma.val().into_data()),
            values(self.layer_norm.beta.as_ref().unwrap().val().into_data()),
        ]
    }
}

const START: [&[f32]; 4] = [
    &[0.5, -1.0, 2.0, 0.25, -0.75, 1.5],
    &[0.1, -0.2],
    &[1.0, 1.0],
    &[0.3, -0.6],
];
const STEPS: u32 = 5;

/// Some numbers; small ones in the odd steps, so that clipping changes some steps and not others.
fn slopes(step: u32) -> [Vec<f32>; 4] {
    let size = if step.is_multiple_of(2) { 3.0 } else { 0.1 };
    let mut count = 0;
    START.map(|values| {
        let slope = |_| {
            count += 1;
            size * (count as f32 * 1.7 + step as f32 * 0.9).sin()
        };
        values.iter().map(slope).collect()
    })
}

fn rate(step: u32) -> f64 {
    0.1 / f64::from(step)
}

fn config() -> TrainConfig {
    TrainConfig {
        weight_decay: 0.1,
        max_grad_norm: 1.0,
        ..TrainConfig::default()
    }
}

/// Algorithm 2 of Loshchilov & Hutter 2019 with PyTorch's clipping of the global norm before it.
fn reference(config: &TrainConfig, decays: [bool; 4]) -> ([Vec<f64>; 4], Vec<f64>) {
    let mut values = START.map(|values| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let mut moments = START.map(|values| vec![(0.0, 0.0); values.len()]);
    let mut norms = Vec::new();
    for step in 1..=STEPS {
        let slopes = slopes(step).map(|s| s.into_iter().map(f64::from).collect::<Vec<_>>());
        let norm = slopes
            .iter()
            .flatten()
            .map(|slope| slope * slope)
            .sum::<f64>()
            .sqrt();
        norms.push(norm);
        let clip = (config.max_grad_norm / (norm + 1e-6)).min(1.0);
        let (beta1, beta2) = (config.adam_beta1, config.adam_beta2);
        for parameter in 0..4 {
            for (index, value) in values[parameter].iter_mut().enumerate() {
                let slope = clip * slopes[parameter][index];
                let (first, second) = &mut moments[parameter][index];
                *first = beta1 * *first + (1.0 - beta1) * slope;
                *second = beta2 * *second + (1.0 - beta2) * slope * slope;
                let mean = *first / (1.0 - beta1.powi(step as i32));
                let variance = *second / (1.0 - beta2.powi(step as i32));
                let decay = if decays[parameter] {
                    config.weight_decay
                } else {
                    0.0
                };
                *value -=
                    rate(step) * (mean / (variance.sqrt() + config.adam_epsilon) + decay * *value);
            }
        }
    }
    (values, norms)
}

/// The largest difference from the reference.
fn difference(values: &[Vec<f32>; 4], reference: &[Vec<f64>; 4]) -> f64 {
    let pairs = values.iter().flatten().zip(reference.iter().flatten());
    pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn five_steps_are_adamws() {
    let device = trainer::device("auto").unwrap().1.autodiff();
    let (mut model, mut optimizer) = (Model::new(&device), Optimizer::new(&config()));
    let mut norms = Vec::new();
    for step in 1..=STEPS {
        let gradients = model.loss(&slopes(step), &device).backward();
        let norm;
        (model, norm) = optimizer.step(model, gradients, rate(step));
        norms.push(f64::from(norm));
    }
    let values = model.values();
    let (expected, expected_norms) = reference(&config(), [true, false, false, false]);
    for (norm, expected) in norms.iter().zip(&expected_norms) {
        // The norm is a sum of 12 squares in f32.
        assert!(
            (norm / expected - 1.0).abs() < 1e-6,
            "{norms:?} {expected_norms:?}"
        );
    }
    assert!(expected_norms.iter().any(|n| *n > 1.0) && expected_norms.iter().any(|n| *n < 1.0));
    // Five steps of numbers of order 1 in f32: a few units of 1.2e-7.
    let error = difference(&values, &expected);
    assert!(error < 2e-6, "{error}");

    // Negative controls: each of these is another optimizer, and is told apart by fifty times that.
    let unclipped = TrainConfig {
        max_grad_norm: f64::INFINITY,
        ..config()
    };
    let slow = TrainConfig {
        adam_beta2: 0.99,
        ..config()
    };
    let groups = [true, false, false, false];
    for (name, (other, _)) in [
        (
            "decay on biases",
            reference(&config(), [true, true, false, true]),
        ),
        (
            "decay on LayerNorm",
            reference(&config(), [true, false, true, false]),
        ),
        ("no decay", reference(&config(), [false; 4])),
        ("no clipping", reference(&unclipped, groups)),
        ("another beta", reference(&slow, groups)),
    ] {
        assert!(
            difference(&values, &other) > 1e-4,
            "{name} makes no difference"
        );
    }
}
