#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Int, Tensor};

use super::kernel;
use crate::backend::{Function, HostMemory, fill};

/// Embedding arguments other than the table.
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    /// `[tokens]`
    pub(super) ids: Tensor<1, Int>,
    /// The number of rows of the table.
    pub(super) rows: usize,
}

impl Embedding {
    fn ids(&self) -> Vec<usize> {
        let ids = self.ids.to_data();
        ids.iter::<i64>().map(|id| id as usize).collect()
    }
}

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
        save: bool,
    ) -> (TchTensor, Vec<TchTensor>) {
        if super::libtorch::has_kernel(table) {
            return self.forward::<burn::backend::LibTorch>([table], save);
        }
        (super::libtorch::forward(table, &self.ids), Vec::new())
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 1] {
        if super::libtorch::has_kernel(&grad) {
            return self.backward::<burn::backend::LibTorch>(saved, grad);
        }
        [super::libtorch::backward(&self.ids, &grad, self.rows)]
    }
}
