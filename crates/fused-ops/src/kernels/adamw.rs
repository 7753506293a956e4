use pulp::Arch;

use super::norm::sum_of_products;
use super::vector::vectorised;
use super::workers::for_each_chunk;
use crate::AdamW;

/// Elements that one task takes.
const CHUNK: usize = 1 << 14;

/// [`crate::adamw_step`] in one pass over memory: parameter, first and second moment are changed.
pub(crate) fn step([parameter, first, second]: [&mut [f32]; 3], gradient: &[f32], adamw: &AdamW) {
    let (correction1, correction2) = adamw.bias_corrections();
    let (beta1, beta2) = (adamw.beta1 as f32, adamw.beta2 as f32);
    let (keep1, keep2) = ((1.0 - adamw.beta1) as f32, (1.0 - adamw.beta2) as f32);
    let decay = (1.0 - adamw.learning_rate * adamw.weight_decay) as f32;
    let rate = (adamw.learning_rate / correction1) as f32;
    let root = (1.0 / correction2.sqrt()) as f32;
    let (eps, scale) = (adamw.eps as f32, adamw.gradient_scale as f32);
    let arch = Arch::new();
    for_each_chunk(
        [(parameter, CHUNK), (first, CHUNK), (second, CHUNK)],
        || (),
        |(), index, [parameter, first, second]| {
            let gradient = &gradient[index * CHUNK..];
            vectorised(
                arch,
                #[inline(always)]
                || {
                    let moments = first.iter_mut().zip(second.iter_mut());
                    for ((p, g), (m, v)) in parameter.iter_mut().zip(gradient).zip(moments) {
                        let g = g * scale;
                        *m = m.mul_add(beta1, g * keep1);
                        *v = v.mul_add(beta2, g * g * keep2);
                        *p = p.mul_add(decay, -(*m / v.sqrt().mul_add(root, eps) * rate));
                    }
                },
            );
        },
    );
}

/// [`crate::sum_of_squares`] in one pass, in an order that does not depend on the threads.
pub(crate) fn sum_of_squares(values: &[f32]) -> f32 {
    let arch = Arch::new();
    let mut partial = vec![0.0f32; values.len().div_ceil(CHUNK)];
    for_each_chunk(
        [(&mut partial, 1)],
        || (),
        |(), index, [sum]| {
            let chunk = &values[index * CHUNK..values.len().min((index + 1) * CHUNK)];
            sum[0] = vectorised(
                arch,
                #[inline(always)]
                || sum_of_products(chunk, chunk),
            );
        },
    );
    partial.into_iter().map(f64::from).sum::<f64>() as f32
}
