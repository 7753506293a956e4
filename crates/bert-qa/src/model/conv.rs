//! DeBERTa-v2's convolution, from `config.json` to its forward pass.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor};
use fused_ops::{Activation, CuSeqlens, activate, upload_ints};

use super::config::BertConfig;
use super::config_reader::ConfigReader;
use super::dropout::{DropoutSeed, DropoutSite};
use super::fused::{dropout, dropout_add_layer_norm, linear};
use super::init::Init;

/// The widest kernel: published models have 3.
const MAX_KERNEL_SIZE: usize = 63;

/// How the convolution after the first layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConvConfig {
    /// Tokens that a token sees: itself in the middle.
    pub(super) kernel_size: usize,
    pub(super) activation: Activation,
}

impl ConvConfig {
    /// DeBERTa-v2's keys, with the defaults of transformers' `ConvLayer`. `None` without a convolution.
    pub(super) fn read(file: &ConfigReader<'_>) -> Result<Option<Self>, String> {
        let Some(kernel_size) = file.positive("conv_kernel_size")? else {
            return Ok(None);
        };
        if kernel_size.is_multiple_of(2) || kernel_size > MAX_KERNEL_SIZE {
            return Err(format!(
                "conv_kernel_size {kernel_size} is not supported: use an odd number of at most {MAX_KERNEL_SIZE}"
            ));
        }
        let groups = file.size("conv_groups", Some(1))?;
        if groups != 1 {
            return Err(format!("conv_groups {groups} is not supported: use 1"));
        }
        let activation = file.activation(("conv_act", "tanh"))?;
        Ok(Some(Self {
            kernel_size,
            activation,
        }))
    }
}

/// A convolution over the embeddings, which is added to the first layer's output (transformers' `ConvLayer`).
#[derive(Module, Debug)]
pub struct BertConv {
    /// `[kernel_size * hidden_size, hidden_size]`: the weights for each token of the kernel, one below the other.
    conv: Linear,
    layer_norm: LayerNorm,
    kernel_size: usize,
    #[module(skip)]
    activation: Activation,
    layer_norm_eps: f64,
    dropout_prob: f64,
}

impl BertConv {
    pub(super) fn new(config: &BertConfig, conv: ConvConfig, init: &mut Init) -> Self {
        let width = config.hidden_size;
        Self {
            conv: init.linear(conv.kernel_size * width, width, true),
            layer_norm: init.layer_norm(width, true),
            kernel_size: conv.kernel_size,
            activation: conv.activation,
            layer_norm_eps: config.layer_norm_eps,
            dropout_prob: config.hidden_dropout_prob,
        }
    }

    /// `embedded` is the first layer's input and `hidden` its output, `[tokens, hidden_size]` as the result.
    pub(super) fn forward(
        &self,
        embedded: Tensor<2>,
        hidden: Tensor<2>,
        cu_seqlens: &CuSeqlens,
        seed: Option<DropoutSeed>,
    ) -> Tensor<2> {
        let [tokens, width] = embedded.dims();
        let rows = neighbours(cu_seqlens, self.kernel_size, &embedded.device());
        let zeros = Tensor::zeros([1, width], (&embedded.device(), embedded.dtype()));
        let kernels = fused_ops::embedding(Tensor::cat(vec![embedded, zeros], 0), rows);
        let kernels = kernels.reshape([tokens, self.kernel_size * width]);
        let output = linear(&self.conv, kernels, Activation::Identity);
        let site = DropoutSite::Convolution;
        let output = dropout(output, DropoutSeed::at(seed, site, self.dropout_prob));
        let output = activate(output, self.activation);
        dropout_add_layer_norm(&self.layer_norm, output, hidden, self.layer_norm_eps, None)
    }
}

/// `[tokens * kernel_size]`: the tokens around each token of its feature, or the row after the last token where there is
/// none.
fn neighbours(cu_seqlens: &CuSeqlens, kernel_size: usize, device: &Device) -> Tensor<1, Int> {
    let (side, none) = (kernel_size / 2, cu_seqlens.tokens());
    let of_token = |feature: std::ops::Range<usize>, token: usize| {
        (token..token + kernel_size).map(move |shifted| {
            let neighbour = shifted.checked_sub(side);
            neighbour.filter(|at| feature.contains(at)).unwrap_or(none)
        })
    };
    let of_feature = |feature: std::ops::Range<usize>| {
        let tokens = feature.clone();
        tokens.flat_map(move |token| of_token(feature.clone(), token))
    };
    let rows: Vec<usize> = cu_seqlens.ranges().flat_map(of_feature).collect();
    let [rows] = upload_ints([rows.iter().map(|row| *row as i64)], device);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(deprecated)] // Burn marks NdArray as superseded; this project runs on it.
    fn neighbours_stay_within_their_feature() {
        let rows = |lengths: &[usize], kernel_size| -> Vec<i64> {
            let rows = neighbours(&CuSeqlens::new(lengths), kernel_size, &Device::ndarray());
            rows.into_data().iter::<i64>().collect()
        };
        assert_eq!(rows(&[2, 1], 1), [0, 1, 2]);
        assert_eq!(rows(&[2, 1], 3), [3, 0, 1, 0, 1, 3, 3, 2, 3]);
        let wide = [[3, 3, 0, 1, 2], [3, 0, 1, 2, 3], [0, 1, 2, 3, 3]];
        assert_eq!(rows(&[3], 5), wide.concat());
    }
}
