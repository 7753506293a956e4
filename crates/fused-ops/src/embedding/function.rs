#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;

use super::kernel::{self, Embedding};
use crate::backend::{Function, HostMemory, fill};

/// Of the table. Saves nothing.
impl Function<1> for Embedding {
    fn forward<B: HostMemory>(
        &self,
        [table]: [&FloatTensor<B>; 1],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let (ids, [_, columns]) = (self.ids(), B::dims(table));
        let [output] = fill::<B, 1>([&[ids.len(), columns]], |[output]| {
            kernel::forward(&B::values(table), columns, &ids, output);
        });
        (output, Vec::new())
    }

    fn backward<B: HostMemory>(
        &self,
        _saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 1] {
        let [_, columns] = B::dims(&grad);
        fill::<B, 1>([&[self.rows, columns]], |[grad_table]| {
            kernel::backward(&self.ids(), &B::values(&grad), columns, grad_table);
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(
        &self,
        [table]: [&TchTensor; 1],
        _save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        (super::libtorch::forward(self, table), Vec::new())
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, _saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        [super::libtorch::backward(self, grad)]
    }
}
