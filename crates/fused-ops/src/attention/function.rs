#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, Attention, Qkv, Saved};
use crate::backend::{Function, HostMemory, fill};

/// Of query, key and value side by side. Saves them, the output and the log-sum-exps.
impl Function<1> for Attention {
    fn forward<B: HostMemory>(
        &self,
        [qkv]: [&FloatTensor<B>; 1],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let [tokens, columns] = B::dims(qkv);
        let shapes: [&[usize]; 2] = [&[tokens, columns / 3], &[tokens, self.num_heads]];
        let [output, lse] = fill::<B, 2>(shapes, |[output, lse]| {
            let data = &B::values(qkv);
            kernel::forward(Qkv { data, columns }, self, output, lse);
        });
        let saved = vec![qkv.clone(), output.clone(), lse];
        (output, saved)
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        let [qkv, output, lse] = saved else {
            unreachable!("`forward` saves three tensors");
        };
        let shape = B::dims(qkv);
        fill::<B, 1>([&shape], |[grad_qkv]| {
            let saved = Saved {
                inputs: Qkv {
                    data: &B::values(qkv),
                    columns: shape[1],
                },
                output: &B::values(output),
                lse: &B::values(lse),
            };
            kernel::backward(&saved, &B::values(&grad), self, grad_qkv);
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(&self, [qkv]: [&TchTensor; 1], _save: bool) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(self, qkv)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(self, saved, &grad)]
    }
}
