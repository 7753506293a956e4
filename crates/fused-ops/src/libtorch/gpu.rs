//! libtorch's own fused kernels, for tensors on a GPU. Nothing here runs on ours, so what has CPU
//! forms in libtorch is tested on these, and attention on a GPU only (docs/gpu.md).
//!
//! Dropout: libtorch's generator is seeded from the mask's key before a mask is drawn, so that
//! forward and backward pass draw the same one and a resumed run draws what it would have drawn.

use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};
use torch_shim::{Attention, FusedAdamW};

use super::memory::cast;
use crate::kernels::{attention, norm};
use crate::{Activation, AdamW, Dropout};

pub(super) fn embedding_backward(ids: &TchTensor, grad: &TchTensor, rows: usize) -> TchTensor {
    let (grad, ids) = (&grad.tensor, &ids.tensor);
    TchTensor::new(Tensor::embedding_dense_backward(
        grad,
        ids,
        rows as i64,
        -1,
        false,
    ))
}

pub(super) fn linear(
    input: &TchTensor,
    weight: &TchTensor,
    bias: &TchTensor,
    activation: Activation,
    keep: bool,
) -> (TchTensor, Option<TchTensor>) {
    let kind = input.tensor.kind();
    let [weight, bias] = [weight, bias].map(|tensor| cast(tensor, kind));
    let output = bias.tensor.addmm(&input.tensor, &weight.tensor);
    match activation {
        Activation::Identity => (TchTensor::new(output), None),
        Activation::Gelu => {
            let activated = TchTensor::new(output.gelu("none"));
            (activated, keep.then(|| TchTensor::new(output)))
        }
    }
}

pub(super) fn linear_backward(
    input: &TchTensor,
    weight: &TchTensor,
    activated: Option<&TchTensor>,
    grad: TchTensor,
) -> [TchTensor; 3] {
    let grad = match activated {
        Some(activated) => activated.tensor.gelu_backward(&grad.tensor, "none"),
        None => grad.tensor,
    };
    let to_input = grad.mm(&cast(weight, input.tensor.kind()).tensor.tr());
    let to_weight = input.tensor.tr().mm(&grad).to_kind(Kind::Float);
    let to_bias = grad.sum_dim_intlist(0, false, Kind::Float);
    [to_input, to_weight, to_bias].map(TchTensor::new)
}

/// Query, key and value, which lie side by side.
fn thirds(qkv: &TchTensor) -> [Tensor; 3] {
    let (_, columns) = qkv.tensor.size2().expect("a matrix");
    [0, 1, 2].map(|part| qkv.tensor.narrow(1, part * columns / 3, columns / 3))
}

/// Matrices as `[tokens, heads, head_size]`.
fn heads(tensors: [&Tensor; 3], num_heads: usize) -> [Tensor; 3] {
    tensors.map(|tensor| {
        let (tokens, hidden_size) = tensor.size2().expect("a matrix");
        let shape = [tokens, num_heads as i64, hidden_size / num_heads as i64];
        tensor.contiguous().view(shape)
    })
}

fn seed(dropout: Option<&Dropout>) -> f64 {
    let Some(dropout) = dropout else { return 0.0 };
    tch::manual_seed(dropout.seed() as i64);
    dropout.prob()
}

/// The output and `[log-sum-exp, seed, offset, bounds]`.
pub(super) fn attention(
    qkv: &TchTensor,
    settings: &attention::Settings,
) -> (TchTensor, Vec<TchTensor>) {
    let device = qkv.tensor.device();
    let bounds = std::iter::once(0).chain(settings.lengths.ranges().map(|range| range.end));
    let bounds: Vec<i32> = bounds.map(|bound| bound as i32).collect();
    let bounds = Tensor::from_slice(&bounds).to_device(device);
    let longest = settings.lengths.max() as i64;
    let inputs = thirds(qkv);
    let [query, key, value] = heads(inputs.each_ref(), settings.num_heads);
    let dropout = seed(settings.dropout.as_ref());
    let kernel = match is_half(&query) {
        true => torch_shim::flash_attention([&query, &key, &value], &bounds, longest, dropout),
        false => {
            let [query, key, value] = [&query, &key, &value].map(|tensor| tensor.unsqueeze(0));
            torch_shim::efficient_attention([&query, &key, &value], &bounds, longest, dropout)
        }
    };
    let Attention {
        output,
        log_sum_exp,
        seed,
        offset,
    } = kernel.expect("libtorch's attention takes what a BERT encoder asks for");
    let output = output.reshape(inputs[0].size());
    let kept = [log_sum_exp, seed, offset, bounds].map(TchTensor::new);
    (TchTensor::new(output), kept.into())
}

pub(super) fn attention_backward(
    qkv: &TchTensor,
    output: &TchTensor,
    kept: &[TchTensor],
    grad: &TchTensor,
    settings: &attention::Settings,
) -> TchTensor {
    let [log_sum_exp, seed, offset, bounds] = kept else {
        unreachable!("`attention` keeps four tensors");
    };
    let [log_sum_exp, seed, offset, bounds] =
        [log_sum_exp, seed, offset, bounds].map(|tensor| &tensor.tensor);
    let longest = settings.lengths.max() as i64;
    let dropout = settings.dropout.as_ref().map_or(0.0, Dropout::prob);
    let inputs = thirds(qkv);
    let shape = inputs[0].size();
    let [query, key, value] = heads(inputs.each_ref(), settings.num_heads);
    let (output, grad) = (&output.tensor, &grad.tensor);
    let [output, grad, _] = heads([output, grad, grad], settings.num_heads);
    let gradients = if is_half(&query) {
        let (to_query, to_key, to_value) = Tensor::internal_flash_attention_backward(
            &grad,
            &query,
            &key,
            &value,
            &output,
            log_sum_exp,
            bounds,
            bounds,
            longest,
            longest,
            dropout,
            false,
            seed,
            offset,
            None,
            None,
            None,
        );
        [to_query, to_key, to_value]
    } else {
        let batch = [&grad, &query, &key, &value, &output].map(|tensor| tensor.unsqueeze(0));
        let [grad, query, key, value, output] = &batch;
        let (to_query, to_key, to_value, _) = Tensor::internal_efficient_attention_backward(
            grad,
            query,
            key,
            value,
            None::<&Tensor>,
            output,
            Some(bounds),
            Some(bounds),
            longest,
            longest,
            log_sum_exp,
            dropout,
            seed,
            offset,
            0,
            false,
            None,
            None,
            None,
            false,
        );
        [to_query, to_key, to_value]
    };
    let gradients = gradients.map(|gradient| gradient.reshape(&shape));
    TchTensor::new(Tensor::cat(&gradients, 1))
}

fn is_half(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::BFloat16
}

/// A tensor's dropout factors: zeros, and the scale of what is kept.
fn factors(dropout: &Dropout, like: &Tensor) -> Tensor {
    tch::manual_seed(dropout.seed() as i64);
    like.ones_like().native_dropout(dropout.prob(), true).0
}

pub(super) fn dropout(input: &TchTensor, dropout: &Dropout) -> TchTensor {
    TchTensor::new(&input.tensor * factors(dropout, &input.tensor))
}

/// The output and `[sum, mean, inverse standard deviation]`, in `f32`.
pub(super) fn layer_norm(
    inputs: [&TchTensor; 4],
    settings: &norm::Settings,
) -> (TchTensor, Vec<TchTensor>) {
    let [input, residual, gamma, beta] = inputs.map(|tensor| &tensor.tensor);
    let sum = match &settings.dropout {
        Some(dropout) => residual + input * factors(dropout, input),
        None => residual + input,
    };
    let sum = sum.to_kind(Kind::Float);
    let (output, mean, inverse_std) = sum.native_layer_norm(
        gamma.size(),
        Some(gamma),
        Some(beta),
        f64::from(settings.eps),
    );
    let output = TchTensor::new(output.to_kind(input.kind()));
    (output, [sum, mean, inverse_std].map(TchTensor::new).into())
}

pub(super) fn layer_norm_backward(
    gamma: &TchTensor,
    kept: &[TchTensor],
    grad: &TchTensor,
    settings: &norm::Settings,
) -> [TchTensor; 4] {
    let [sum, mean, inverse_std] = kept else {
        unreachable!("`layer_norm` keeps three tensors");
    };
    let single = grad.tensor.to_kind(Kind::Float);
    let [to_sum, to_gamma, to_beta] = torch_shim::layer_norm_backward(
        &single,
        &sum.tensor,
        [&mean.tensor, &inverse_std.tensor],
        &gamma.tensor,
    )
    .expect("the gradient has the output's shape");
    let to_residual = to_sum.to_kind(grad.tensor.kind());
    let to_input = match &settings.dropout {
        Some(dropout) => &to_residual * factors(dropout, &to_residual),
        None => to_residual.shallow_clone(),
    };
    [to_input, to_residual, to_gamma, to_beta].map(TchTensor::new)
}

pub(super) fn adamw_step(
    tensors: [TchTensor; 3],
    gradient: TchTensor,
    adamw: &AdamW,
) -> [TchTensor; 3] {
    // In place: what somebody else holds is copied first.
    let mut tensors = tensors.map(|tensor| match tensor.can_mut() {
        true => tensor.tensor,
        false => tensor.tensor.copy(),
    });
    let mut gradient = gradient.tensor.copy();
    let on_device = (Kind::Float, gradient.device());
    let mut step = Tensor::full([0i64; 0], f64::from(adamw.step), on_device);
    let divisor = Tensor::full([0i64; 0], 1.0 / adamw.gradient_scale, on_device);
    let constants = FusedAdamW {
        learning_rate: adamw.learning_rate,
        beta1: adamw.beta1,
        beta2: adamw.beta2,
        weight_decay: adamw.weight_decay,
        eps: adamw.eps,
    };
    let [parameter, first, second] = &mut tensors;
    torch_shim::fused_adamw(
        parameter,
        &mut gradient,
        [first, second],
        &mut step,
        &divisor,
        &constants,
    )
    .expect("all four have one shape and device");
    tensors.map(TchTensor::new)
}

#[cfg(test)]
mod tests;
