#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use crate::backend::{Function, HostMemory, fill};
use crate::kernels::parallel::{ROWS_PER_TASK, for_each_chunk};

/// Arguments other than tensors.
#[derive(Clone, Debug)]
pub(super) struct Concat {
    /// Of the result, on libtorch.
    #[cfg_attr(
        not(feature = "tch"),
        expect(dead_code, reason = "others have one type")
    )]
    pub(super) dtype: DType,
}

/// Of three matrices of one shape. Saves nothing.
impl Function<3> for Concat {
    fn forward<B: HostMemory>(
        &self,
        parts: [&FloatTensor<B>; 3],
        _save: bool,
    ) -> (FloatTensor<B>, Vec<FloatTensor<B>>) {
        let [rows, columns] = B::dims(parts[0]);
        let parts = parts.map(B::values);
        let [output] = fill::<B, 1>([&[rows, 3 * columns]], |[output]| {
            for_each_chunk(
                [(output, ROWS_PER_TASK * 3 * columns)],
                || (),
                |(), task, [output]| {
                    let rows = output.chunks_exact_mut(3 * columns);
                    for (row, output) in (task * ROWS_PER_TASK..).zip(rows) {
                        let places = output.chunks_exact_mut(columns);
                        for (part, place) in parts.iter().zip(places) {
                            place.copy_from_slice(&part[row * columns..][..columns]);
                        }
                    }
                },
            );
        });
        (output, Vec::new())
    }

    fn backward<B: HostMemory>(
        &self,
        _saved: &[FloatTensor<B>],
        grad: FloatTensor<B>,
    ) -> [FloatTensor<B>; 3] {
        let [rows, columns] = B::dims(&grad);
        let shape = [rows, columns / 3];
        let block = ROWS_PER_TASK * shape[1];
        let grad = B::values(&grad);
        fill::<B, 3>([&shape; 3], |parts| {
            for_each_chunk(
                parts.map(|part| (part, block)),
                || (),
                |(), task, parts| {
                    for (index, part) in parts.into_iter().enumerate() {
                        let places = part.chunks_exact_mut(shape[1]);
                        for (row, place) in (task * ROWS_PER_TASK..).zip(places) {
                            place.copy_from_slice(
                                &grad[row * columns + index * shape[1]..][..shape[1]],
                            );
                        }
                    }
                },
            );
        })
    }

    #[cfg(feature = "tch")]
    fn forward_libtorch(&self, parts: [&TchTensor; 3], _save: bool) -> (TchTensor, Vec<TchTensor>) {
        (super::libtorch::forward(parts, self.dtype), Vec::new())
    }

    #[cfg(feature = "tch")]
    fn backward_libtorch(&self, _saved: &[TchTensor], grad: TchTensor) -> [TchTensor; 3] {
        super::libtorch::backward(grad)
    }
}
