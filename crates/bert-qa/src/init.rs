use burn::module::{Param, ParamId};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Draws new parameters as BERT's authors did: weights from N(0, `initializer_range`), biases 0,
/// LayerNorm 1 and 0 (Devlin et al. 2018, appendix A.2; transformers' `_init_weights`).
///
/// The numbers are drawn on the host, so that a seed gives the same model on every backend.
pub(crate) struct Init<'a> {
    pub(crate) device: &'a Device,
    pub(crate) std: f64,
    pub(crate) layer_norm_eps: f64,
    rng: ChaCha8Rng,
}

impl<'a> Init<'a> {
    pub(crate) fn new(device: &'a Device, std: f64, layer_norm_eps: f64, seed: u64) -> Self {
        Self {
            device,
            std,
            layer_norm_eps,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn linear(&mut self, input: usize, output: usize) -> Linear {
        let mut linear = LinearConfig::new(input, output)
            .with_initializer(burn::nn::Initializer::Zeros)
            .init(self.device);
        linear.weight = self.normal([input, output]);
        linear
    }

    pub(crate) fn embedding(&mut self, rows: usize, width: usize) -> Embedding {
        let mut embedding = EmbeddingConfig::new(rows, width)
            .with_initializer(burn::nn::Initializer::Zeros)
            .init(self.device);
        embedding.weight = self.normal([rows, width]);
        embedding
    }

    pub(crate) fn layer_norm(&self, width: usize) -> LayerNorm {
        LayerNormConfig::new(width)
            .with_epsilon(self.layer_norm_eps)
            .init(self.device)
    }

    /// Drawn when it is first looked at: a parameter that is loaded before costs no numbers.
    fn normal(&mut self, shape: [usize; 2]) -> Param<Tensor<2>> {
        // A stream of numbers for each parameter: skipped parameters leave the others as they are.
        self.rng.set_stream(self.rng.get_stream() + 1);
        self.rng.set_word_pos(0);
        let (mut rng, std) = (self.rng.clone(), self.std);
        let draw = move |device: &Device, require_grad: bool| {
            let values: Vec<f32> = std::iter::repeat_with(|| box_muller(&mut rng))
                .take((shape[0] * shape[1]).div_ceil(2))
                .flatten()
                .take(shape[0] * shape[1])
                .map(|value| (value * std) as f32)
                .collect();
            Tensor::from_data(TensorData::new(values, shape), device).set_require_grad(require_grad)
        };
        let device = self.device.clone();
        Param::uninitialized(ParamId::new(), draw, device, true, shape.into())
    }
}

/// Two independent standard normal numbers (Box & Muller 1958).
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
    fn normal_numbers_have_the_mean_and_the_spread_they_should() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f64> = (0..20_000).flat_map(|_| box_muller(&mut rng)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        // Four standard deviations: 1 / sqrt(40000) = 0.005 and sqrt(2 / 40000) = 0.007.
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.03, "variance {variance}");
    }
}
