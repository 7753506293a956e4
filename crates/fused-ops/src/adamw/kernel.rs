use pulp::Arch;

use super::constants::AdamW;
use crate::kernels::parallel::{CHUNK, for_each_chunk};
use crate::kernels::simd::vectorized;

/// Changes parameter and moments in one pass over memory.
pub(super) fn step([parameter, exp_avg, exp_avg_sq]: [&mut [f32]; 3], grad: &[f32], adamw: &AdamW) {
    let (correction1, correction2) = adamw.bias_corrections();
    let (beta1, beta2) = (adamw.beta1 as f32, adamw.beta2 as f32);
    let (weight1, weight2) = ((1.0 - adamw.beta1) as f32, (1.0 - adamw.beta2) as f32);
    let decay = (1.0 - adamw.learning_rate * adamw.weight_decay) as f32;
    let rate = (adamw.learning_rate / correction1) as f32;
    let root = (1.0 / correction2.sqrt()) as f32;
    let (eps, scale) = (adamw.eps as f32, adamw.gradient_scale as f32);
    let arch = Arch::new();
    for_each_chunk(
        [(parameter, CHUNK), (exp_avg, CHUNK), (exp_avg_sq, CHUNK)],
        || (),
        |(), index, [parameter, exp_avg, exp_avg_sq]| {
            let grad = &grad[index * CHUNK..];
            vectorized(
                arch,
                #[inline(always)]
                || {
                    let moments = exp_avg.iter_mut().zip(exp_avg_sq.iter_mut());
                    for ((p, g), (m, v)) in parameter.iter_mut().zip(grad).zip(moments) {
                        let g = g * scale;
                        *m = m.mul_add(beta1, g * weight1);
                        *v = v.mul_add(beta2, g * g * weight2);
                        *p = p.mul_add(decay, -(*m / v.sqrt().mul_add(root, eps) * rate));
                    }
                },
            );
        },
    );
}
