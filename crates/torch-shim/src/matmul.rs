use std::ffi::c_char;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::error::check;

unsafe extern "C" {
    fn shim_mm_f32(
        out: *mut *mut C_tensor,
        left: *const C_tensor,
        right: *const C_tensor,
    ) -> *mut c_char;
}

/// `left · right` of two matrices of one type, as `f32`. On a GPU the matmul itself writes `f32`; elsewhere its result is
/// converted.
///
/// # Errors
/// Those of libtorch, if shapes, types or devices do not fit.
pub fn mm_f32(left: &Tensor, right: &Tensor) -> Result<Tensor, TchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: live tensors; on success the result is a new tensor, which the caller owns.
    unsafe {
        check(shim_mm_f32(&raw mut out, left.as_ptr(), right.as_ptr()))?;
        Ok(Tensor::from_ptr(out))
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::mm_f32;

    #[test]
    fn the_product_is_f32_whatever_the_type_of_the_matrices() {
        let left = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([2, 2]);
        let expected = left.mm(&left);
        for kind in [Kind::Float, Kind::BFloat16] {
            let left = left.to_kind(kind);
            assert_eq!(mm_f32(&left, &left).unwrap(), expected, "{kind:?}");
        }
        assert!(mm_f32(&left, &expected.narrow(0, 0, 1)).is_err());
    }
}
