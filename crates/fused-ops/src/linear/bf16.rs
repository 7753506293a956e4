//! Bias, activation and its gradient on `bf16` matrices, with arithmetic in `f32`.

use super::activation::Activation;
use super::activation_kernel::{activation_backward, bias_activation};
use crate::kernels::bf16::{from_f32, to_f32};

/// Elements converted at a time.
const CHUNK: usize = 256;

/// [`bias_activation`] of a `bf16` matmul with an `f32` bias.
pub(super) fn bias_activation_bf16(
    matmul: &mut [u16],
    bias: &[f32],
    activation: Activation,
    mut output: Option<&mut [u16]>,
) {
    let (mut x, mut y) = ([0.0; CHUNK], [0.0; CHUNK]);
    let mut start = 0;
    for row in matmul.chunks_exact_mut(bias.len().max(1)) {
        for (halves, bias) in row.chunks_mut(CHUNK).zip(bias.chunks(CHUNK)) {
            let len = halves.len();
            let (x, y) = (&mut x[..len], &mut y[..len]);
            to_f32(halves, x);
            match &mut output {
                Some(output) => {
                    bias_activation(x, bias, activation, Some(y));
                    from_f32(y, &mut output[start..start + len]);
                }
                None => bias_activation(x, bias, activation, None),
            }
            from_f32(x, halves);
            start += len;
        }
    }
}

/// [`activation_backward`] of `bf16`.
pub(super) fn activation_backward_bf16(
    activation: Activation,
    input: &[u16],
    grad: &[u16],
    output: &mut [u16],
) {
    let [mut x, mut g, mut y] = [[0.0; CHUNK]; 3];
    let inputs = input.chunks(CHUNK).zip(grad.chunks(CHUNK));
    for ((input, grad), output) in inputs.zip(output.chunks_mut(CHUNK)) {
        let len = input.len();
        let (x, g, y) = (&mut x[..len], &mut g[..len], &mut y[..len]);
        to_f32(input, x);
        to_f32(grad, g);
        activation_backward(activation, x, g, y);
        from_f32(y, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of 600 takes three chunks, of which the last is shorter.
    #[test]
    fn equals_f32_up_to_the_rounding_of_the_result() {
        let bias: Vec<f32> = (0..600).map(|i| (i as f32 * 0.37).sin()).collect();
        let matmul: Vec<f32> = (0..1800).map(|i| (i as f32 * 0.11).cos()).collect();
        let mut halves = vec![0; 1800];
        from_f32(&matmul, &mut halves);
        let mut wide = matmul;
        to_f32(&halves, &mut wide);
        let rounded = |values: &[f32]| {
            let mut halves = vec![0; 1800];
            from_f32(values, &mut halves);
            halves
        };
        for activation in [Activation::Identity, Activation::Gelu] {
            let (mut expected, mut in_place) = (wide.clone(), halves.clone());
            bias_activation(&mut expected, &bias, activation, None);
            bias_activation_bf16(&mut in_place, &bias, activation, None);
            assert_eq!(in_place, rounded(&expected), "{activation:?} in place");
        }
        let (mut sums, mut activated) = (wide, vec![0.0; 1800]);
        bias_activation(&mut sums, &bias, Activation::Gelu, Some(&mut activated));
        let mut output = vec![0x7FC0; 1800];
        bias_activation_bf16(&mut halves, &bias, Activation::Gelu, Some(&mut output));
        assert_eq!((halves, output), (rounded(&sums), rounded(&activated)));
    }
}
