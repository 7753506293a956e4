use burn::module::{Param, ParamId};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Initializes parameters as transformers' `_init_weights` (Devlin et al. 2018, appendix A.2):
/// weights from N(0, `initializer_range`), biases 0, LayerNorm's weight 1 and bias 0.
///
/// Values are drawn in host memory, so that a seed gives the same model on every backend.
pub(super) struct Init<'a> {
    device: &'a Device,
    std: f64,
    layer_norm_eps: f64,
    rng: ChaCha8Rng,
}

impl<'a> Init<'a> {
    pub(super) fn new(device: &'a Device, std: f64, layer_norm_eps: f64, seed: u64) -> Self {
        Self {
            device,
            std,
            layer_norm_eps,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(super) fn linear(&mut self, input: usize, output: usize, bias: bool) -> Linear {
        let mut linear = LinearConfig::new(input, output)
            .with_bias(bias)
            .with_initializer(burn::nn::Initializer::Zeros)
            .init(self.device);
        linear.weight = self.normal([input, output]);
        linear
    }

    pub(super) fn embedding(&mut self, rows: usize, width: usize) -> Embedding {
        let weight = self.normal([rows, width]);
        self.embedding_of(weight)
    }

    /// Sinusoidal position embeddings (Vaswani et al. 2017, section 3.5), with sines and cosines
    /// interleaved as in transformers' DistilBERT. Training changes them.
    pub(super) fn sinusoidal_embedding(&self, rows: usize, width: usize) -> Embedding {
        let values = move || {
            let elements = (0..rows).flat_map(|row| (0..width).map(move |column| (row, column)));
            let value = |(row, column)| sinusoid(row, column, width) as f32;
            elements.map(value).collect()
        };
        self.embedding_of(self.parameter([rows, width], values))
    }

    fn embedding_of(&self, weight: Param<Tensor<2>>) -> Embedding {
        let [rows, width] = weight.lazy_shape().dims();
        let mut embedding = EmbeddingConfig::new(rows, width)
            .with_initializer(burn::nn::Initializer::Zeros)
            .init(self.device);
        embedding.weight = weight;
        embedding
    }

    pub(super) fn layer_norm(&self, width: usize, bias: bool) -> LayerNorm {
        LayerNormConfig::new(width)
            .with_bias(bias)
            .with_epsilon(self.layer_norm_eps)
            .init(self.device)
    }

    fn normal(&mut self, shape: [usize; 2]) -> Param<Tensor<2>> {
        // Each parameter has its own random stream, so that skipping one does not change the others.
        self.rng.set_stream(self.rng.get_stream() + 1);
        self.rng.set_word_pos(0);
        let (mut rng, std) = (self.rng.clone(), self.std);
        self.parameter(shape, move || {
            std::iter::repeat_with(|| box_muller(&mut rng))
                .take((shape[0] * shape[1]).div_ceil(2))
                .flatten()
                .take(shape[0] * shape[1])
                .map(|value| (value * std) as f32)
                .collect()
        })
    }

    /// A lazily initialized parameter: `values` runs at the first use, and not at all if weights are
    /// loaded before.
    fn parameter(
        &self,
        shape: [usize; 2],
        values: impl FnOnce() -> Vec<f32> + Send + Sync + 'static,
    ) -> Param<Tensor<2>> {
        let make = move |device: &Device, require_grad: bool| {
            Tensor::from_data(TensorData::new(values(), shape), device)
                .set_require_grad(require_grad)
        };
        let device = self.device.clone();
        Param::uninitialized(ParamId::new(), make, device, true, shape.into())
    }
}

/// The sinusoidal embedding of a position; each pair of columns shares a wavelength.
fn sinusoid(position: usize, column: usize, width: usize) -> f64 {
    let pair = 2 * (column / 2);
    let angle = position as f64 / 10_000f64.powf(pair as f64 / width as f64);
    if column.is_multiple_of(2) {
        angle.sin()
    } else {
        angle.cos()
    }
}

/// Two independent samples of the standard normal distribution (Box & Muller 1958).
fn box_muller(rng: &mut impl RngCore) -> [f64; 2] {
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let radius = (-2.0 * uniform().ln()).sqrt();
    let angle = std::f64::consts::TAU * uniform();
    [radius * angle.cos(), radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_muller_samples_have_mean_0_and_variance_1() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f64> = (0..20_000).flat_map(|_| box_muller(&mut rng)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        // Four standard deviations: 1 / sqrt(40000) = 0.005 and sqrt(2 / 40000) = 0.007.
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.03, "variance {variance}");
    }

    /// Row 3 of the position embeddings of a new transformers 5.23 `DistilBertModel` of width 12
    /// with `sinusoidal_pos_embds`.
    #[test]
    fn sinusoidal_positions_match_transformers() {
        let expected = [
            0.1411, -0.9900, 0.6023, 0.7983, 0.1388, 0.9903, 0.0300, 0.9996, 0.0065, 1.0000,
            0.0014, 1.0000,
        ];
        for (column, expected) in expected.into_iter().enumerate() {
            let value = sinusoid(3, column, 12);
            // The reference has four digits.
            assert!((value - expected).abs() < 6e-5, "{column}: {value}");
        }
    }
}
