#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, Attention, Qkv, SavedAttention};
use crate::backend::{Function, HostMemory, fill};
use crate::precision::Precision;

impl Attention {
    /// Of query, key and value side by side, and the relative term's table where there is one. Saves the inputs, the output
    /// and the log-sum-exps.
    pub(super) fn forward_on_host<B: HostMemory>(
        &self,
        qkv: &FloatTensor<B>,
        table: Option<&FloatTensor<B>>,
        save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let mut args = self.clone();
        // `int8` is for matmuls with weights; inference in it has these in `bf16`.
        if args.precision == Precision::Int8 && !save {
            args.precision = Precision::Bf16;
        }
        let [tokens, columns] = B::dims(qkv);
        let shapes: [&[usize]; 2] = [&[tokens, columns / 3], &[tokens, self.num_heads]];
        let [output, lse] = fill::<B, 2>(shapes, |[output, lse]| {
            let data = &B::values(qkv);
            let table = table.map(B::values);
            let inputs = Qkv { data, columns };
            kernel::forward(inputs, table.as_deref(), &args, output, lse);
        });
        let mut saved = vec![qkv.clone(), output.clone(), lse];
        saved.extend(table.cloned());
        (output, saved)
    }

    /// The gradient of query, key and value, and that of the table where there is one.
    pub(super) fn backward_on_host<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: &FloatTensor<B>,
    ) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
        let [qkv, output, lse, table @ ..] = saved else {
            unreachable!("`forward` saves three tensors or four");
        };
        let shape = B::dims(qkv);
        let run = |grad_qkv: &mut [f32], grad_table: Option<&mut [f32]>| {
            let table = table.first().map(B::values);
            let saved = SavedAttention {
                inputs: Qkv {
                    data: &B::values(qkv),
                    columns: shape[1],
                },
                table: table.as_deref(),
                output: &B::values(output),
                lse: &B::values(lse),
            };
            kernel::backward(&saved, &B::values(grad), self, grad_qkv, grad_table);
        };
        match table.first() {
            Some(table) => {
                let shapes: [&[usize]; 2] = [&shape, &B::dims(table)];
                let [grad_qkv, grad_table] =
                    fill::<B, 2>(shapes, |[qkv, table]| run(qkv, Some(table)));
                (grad_qkv, Some(grad_table))
            }
            None => {
                let [grad_qkv] = fill::<B, 1>([&shape], |[qkv]| run(qkv, None));
                (grad_qkv, None)
            }
        }
    }
}

/// Of query, key and value side by side.
impl Function<1> for Attention {
    fn forward<B: HostMemory>(
        &self,
        [qkv]: [&FloatTensor<B>; 1],
        save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        self.forward_on_host::<B>(qkv, None, save)
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        [self.backward_on_host::<B>(saved, &grad).0]
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(&self, [qkv]: [&TchTensor; 1], save: bool) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(self, qkv, None, save)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(self, saved, &grad).0]
    }
}

/// Of query, key and value side by side, and the relative term's table.
impl Function<2> for Attention {
    fn forward<B: HostMemory>(
        &self,
        [qkv, table]: [&FloatTensor<B>; 2],
        save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        self.forward_on_host::<B>(qkv, Some(table), save)
    }

    fn backward<B: HostMemory>(
        &self,
        saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 2] {
        with_table(self.backward_on_host::<B>(saved, &grad))
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [qkv, table]: [&TchTensor; 2],
        save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        super::libtorch::forward(self, qkv, Some(table), save)
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 2] {
        with_table(super::libtorch::backward(self, saved, &grad))
    }
}

fn with_table<T>((grad_qkv, grad_table): (T, Option<T>)) -> [T; 2] {
    [
        grad_qkv,
        grad_table.expect("the gradient of the saved table"),
    ]
}
