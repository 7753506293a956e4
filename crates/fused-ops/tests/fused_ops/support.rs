use burn::tensor::{Device, Tensor, TensorData};
use fused_ops::{Dropout, DropoutKey};
use test_support::Random;

pub(crate) fn device() -> Device {
    super::device().autodiff()
}

/// Random numbers in -1..1 that depend on the seed alone.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    Random::new(seed).uniforms(count)
}

pub(crate) fn matrix(seed: u64, shape: [usize; 2]) -> Tensor<2> {
    let values = numbers(seed, shape[0] * shape[1]);
    Tensor::from_data(TensorData::new(values, shape), &device()).require_grad()
}

pub(crate) fn vector(seed: u64, len: usize) -> Tensor<1> {
    Tensor::from_data(TensorData::new(numbers(seed, len), [len]), &device()).require_grad()
}

pub(crate) fn dropout(prob: f64, site: u16) -> Option<Dropout> {
    let key = DropoutKey {
        seed: 3,
        rank: 1,
        micro_batch: 2,
        step: 5,
        site,
    };
    Dropout::new(prob, key)
}

pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// The largest difference, relative to the largest number (at least 1).
pub(crate) fn distance(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    assert!(
        left.iter().chain(right).all(|x| x.is_finite()),
        "NaN or infinity"
    );
    let largest = right.iter().fold(1.0f32, |max, x| max.max(x.abs()));
    let difference = left
        .iter()
        .zip(right)
        .fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
    difference / largest
}

/// An operation's output, and the gradients of its inputs for a sum of the output weighted by random numbers.
#[derive(PartialEq)]
pub(crate) struct Outcome {
    pub(crate) output: Vec<f32>,
    pub(crate) gradients: Vec<Vec<f32>>,
}

pub(crate) fn outcome(matrices: &[Tensor<2>], vectors: &[Tensor<1>], output: Tensor<2>) -> Outcome {
    let weights = matrix(99, output.dims()).detach();
    let gradients = (output.clone() * weights).sum().backward();
    let of_matrices = matrices
        .iter()
        .map(|t| values(&t.grad(&gradients).expect("a gradient")));
    let of_vectors = vectors
        .iter()
        .map(|t| values(&t.grad(&gradients).expect("a gradient")));
    Outcome {
        output: values(&output),
        gradients: of_matrices.chain(of_vectors).collect(),
    }
}

impl Outcome {
    /// The distances of the outputs and of each gradient.
    pub(crate) fn distances(&self, other: &Self) -> Vec<f32> {
        let outputs = distance(&self.output, &other.output);
        let gradients = self.gradients.iter().zip(&other.gradients);
        std::iter::once(outputs)
            .chain(gradients.map(|(a, b)| distance(a, b)))
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_close(&self, other: &Self, tolerance: f32) {
        for (index, distance) in self.distances(other).into_iter().enumerate() {
            let name = if index == 0 {
                "output".into()
            } else {
                format!("gradient {index}")
            };
            assert!(distance < tolerance, "{name}: distance {distance}");
        }
    }

    /// That the output and each gradient differ by more than `difference`.
    #[track_caller]
    pub(crate) fn assert_far(&self, other: &Self, difference: f32) {
        for distance in self.distances(other) {
            assert!(distance > difference, "distance {distance}");
        }
    }
}

/// Runs `task` on pools of one and of three threads.
pub(crate) fn on_pools<T: Send>(task: impl Fn() -> T + Sync) -> [T; 2] {
    [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&task)
    })
}
