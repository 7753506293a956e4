//! Each operation by its kernels and from Burn primitives, forward alone and with the backward pass:
//! `cargo bench --workspace --profile dev --features fused-ops/bench --bench operations` (and `trainer/libtorch`).
#![allow(deprecated)] // Burn marks NdArray and LibTorch as superseded.

use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::Criterion;
use fused_ops::{
    Activation, AdamW, CuSeqlens, Dropout, DropoutKey, adamw_step, attention_qkv_packed,
    dropout_add_layer_norm, linear, reference, span_loss,
};

/// Eight features as long as SQuAD's: 1400 tokens.
const LENGTHS: [usize; 8] = [97, 118, 136, 152, 168, 187, 224, 318];
const TOKENS: usize = 1400;
const HEADS: usize = 12;

type Forward = Box<dyn Fn() -> Tensor<2>>;

/// The forms of an operation on one device and for one model's sizes.
struct Case<'a> {
    criterion: &'a mut Criterion,
    /// `DEVICE MODEL`
    name: String,
    device: Device,
    /// The kernels, or the reference.
    kernels: bool,
}

impl Case<'_> {
    fn name(&self, operation: &str, pass: &str) -> String {
        let form = if self.kernels { "kernels" } else { "reference" };
        format!("{} {operation} {pass} {form}", self.name)
    }

    /// Benchmarks the forward pass without dropout, and forward and backward pass with dropout. `operation` makes the
    /// tensors on a device.
    fn bench(&mut self, operation: &str, make: impl Fn(&Device, Option<Dropout>, bool) -> Forward) {
        let forward = make(&self.device, None, self.kernels);
        let name = self.name(operation, "forward");
        self.criterion.bench_function(&name, |b| b.iter(&forward));

        let key = DropoutKey {
            seed: 0,
            rank: 0,
            micro_batch: 0,
            step: 0,
            site: 1,
        };
        let dropout = Dropout::new(0.1, key);
        let forward = make(&self.device.clone().autodiff(), dropout, self.kernels);
        let name = self.name(operation, "training");
        self.criterion
            .bench_function(&name, |b| b.iter(|| forward().sum().backward()));
    }

    fn bench_all(&mut self, hidden: usize, intermediate: usize) {
        self.bench("linear_gelu", |device, _, kernels| {
            let op = if kernels { linear } else { reference::linear };
            let input = random([TOKENS, hidden], device);
            let weight = random([hidden, intermediate], device);
            let bias = random([intermediate], device);
            Box::new(move || {
                let (input, weight, bias) = (input.clone(), weight.clone(), bias.clone());
                op(input, weight, bias, Activation::Gelu)
            })
        });
        self.bench("attention", |device, dropout, kernels| {
            let qkv = random([TOKENS, 3 * hidden], device);
            let cu_seqlens = CuSeqlens::new(&LENGTHS);
            Box::new(move || {
                if kernels {
                    return attention_qkv_packed(qkv.clone(), &cu_seqlens, HEADS, dropout);
                }
                let parts = qkv.clone().chunk(3, 1);
                let [query, key, value] = parts.try_into().expect("three parts");
                reference::attention(query, key, value, &cu_seqlens, HEADS, dropout)
            })
        });
        self.bench("dropout_add_layer_norm", |device, dropout, kernels| {
            let op = if kernels {
                dropout_add_layer_norm
            } else {
                reference::dropout_add_layer_norm
            };
            let matrices = [(); 2].map(|()| random([TOKENS, hidden], device));
            let vectors = [(); 2].map(|()| random([hidden], device));
            Box::new(move || {
                let ([input, residual], [gamma, beta]) = (matrices.clone(), vectors.clone());
                op(input, residual, gamma, beta, 1e-12, dropout)
            })
        });
        self.bench("span_loss", |device, _, kernels| {
            let op = if kernels {
                span_loss
            } else {
                reference::span_loss
            };
            let logits = random([TOKENS, 2], device);
            let cu_seqlens = CuSeqlens::new(&LENGTHS);
            let starts = LENGTHS.map(|length| length / 2);
            let ends = starts.map(|start| start + 3);
            Box::new(move || op(logits.clone(), &cu_seqlens, &starts, &ends).reshape([1, 1]))
        });
        self.bench_adamw([hidden, intermediate]);
    }

    fn bench_adamw(&mut self, shape: [usize; 2]) {
        let op = if self.kernels {
            adamw_step
        } else {
            reference::adamw_step
        };
        let grad = random(shape, &self.device);
        let zeros = || Tensor::zeros(shape, &self.device);
        let mut state = Some((random(shape, &self.device), (zeros(), zeros())));
        let mut adamw = AdamW {
            learning_rate: 3e-5,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            step: 0,
            gradient_scale: 1.0,
        };
        let name = self.name("adamw", "step");
        self.criterion.bench_function(&name, |b| {
            b.iter(|| {
                adamw.step += 1;
                let (parameter, moments) = state.take().expect("put back below");
                state = Some(op(parameter, grad.clone(), moments, &adamw));
            });
        });
    }
}

/// Random numbers, whose gradient is computed on a device with autodiff.
fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let tensor = Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device);
    if device.is_autodiff() {
        tensor.require_grad()
    } else {
        tensor
    }
}

fn operations(criterion: &mut Criterion) {
    let devices = [
        #[cfg(feature = "ndarray")]
        ("ndarray", Device::ndarray()),
        #[cfg(feature = "tch")]
        ("libtorch", Device::libtorch()),
    ];
    for (device_name, device) in devices {
        for (model, hidden, intermediate) in [("minilm", 384, 1536), ("bert-base", 768, 3072)] {
            for kernels in [true, false] {
                let mut case = Case {
                    criterion: &mut *criterion,
                    name: format!("{device_name} {model}"),
                    device: device.clone(),
                    kernels,
                };
                case.bench_all(hidden, intermediate);
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    operations(&mut criterion);
    criterion.final_summary();
}
