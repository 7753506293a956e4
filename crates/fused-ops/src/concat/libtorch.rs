//! Matrices side by side, on libtorch's tensors.

use burn::backend::libtorch::TchTensor;
use burn::tensor::DType;
use tch::{Kind, Tensor};

use crate::backend::libtorch::{cached_weight, cast_weight};

/// Casts the parts first: what [`WeightCache`](crate::WeightCache) has of them is read instead.
pub(super) fn forward(parts: [&TchTensor; 3], dtype: DType) -> TchTensor {
    let kind = if dtype == DType::BF16 {
        Kind::BFloat16
    } else {
        Kind::Float
    };
    cached_weight(&parts, kind, || {
        let parts = parts.map(|part| cast_weight(part, kind).tensor);
        TchTensor::new(Tensor::cat(&parts, 1))
    })
}

/// The gradients of the parts, by one copy: each is the only owner of its third.
pub(super) fn backward(grad: TchTensor) -> [TchTensor; 3] {
    let (rows, columns) = grad.tensor.size2().expect("a matrix");
    let parts = grad.tensor.reshape([rows, 3, columns / 3]);
    let mut apart = parts.permute([1, 0, 2]).contiguous();
    // The thirds of a single row lie apart already.
    if apart.data_ptr() == grad.tensor.data_ptr() && !grad.can_mut() {
        apart = apart.copy();
    }
    [0, 1, 2].map(|part| TchTensor::new(apart.select(0, part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WeightCache;
    use crate::backend::libtorch::testing::numbers;

    fn parts() -> [TchTensor; 3] {
        [1.0, 2.0, 3.0].map(|seed| numbers(seed, &[5, 4]))
    }

    #[test]
    fn gradients_own_their_thirds() {
        for rows in [5, 1] {
            let grad = numbers(1.0, &[rows, 12]);
            let third = |part: i64| grad.tensor.narrow(1, 4 * part, 4).copy();
            let expected = [0, 1, 2].map(third);
            let other = grad.clone();
            let gradients = backward(grad.clone());
            drop(grad);
            for (gradient, expected) in gradients.into_iter().zip(&expected) {
                assert!(gradient.can_mut() && gradient.tensor.is_contiguous());
                let mut tensor = gradient.tensor;
                assert_eq!(&tensor, expected);
                let _ = tensor.fill_(0.0);
            }
            // Writing them left what others hold as it was.
            assert_eq!(&other.tensor.narrow(1, 4, 4), &expected[1]);
            // Nobody holds this one: its row is not copied.
            let place = other.tensor.data_ptr();
            let [first, ..] = backward(other);
            assert_eq!(first.tensor.data_ptr() == place, rows == 1);
        }
    }

    #[test]
    fn a_cache_keeps_what_was_put_together_in_each_type() {
        let parts = parts();
        let of = |dtype| forward(parts.each_ref(), dtype);
        let fresh = [of(DType::F32), of(DType::BF16)];
        assert_eq!(
            fresh[0].tensor,
            Tensor::cat(&parts.each_ref().map(|part| &part.tensor), 1)
        );
        assert_eq!(fresh[1].tensor, fresh[0].tensor.to_kind(Kind::BFloat16));
        let cache = WeightCache::default();
        cache.scope(|| {
            for (dtype, fresh) in [DType::F32, DType::BF16].into_iter().zip(&fresh) {
                let [cached, again] = [of(dtype), of(dtype)];
                assert_eq!(cached.tensor, fresh.tensor);
                assert_eq!(cached.tensor.data_ptr(), again.tensor.data_ptr());
            }
        });
        // Nothing writes a weight while a cache has it.
        assert!(!parts[2].can_mut());
        drop(cache);
        assert!(parts[2].can_mut());
    }
}
