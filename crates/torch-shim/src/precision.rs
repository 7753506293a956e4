use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU8, Ordering};

use tch::TchError;

use crate::error::check;

unsafe extern "C" {
    fn shim_set_float32_matmul_precision(precision: *const c_char) -> *mut c_char;
}

/// The precision of `f32` matmuls, by PyTorch's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatmulPrecision {
    /// `f32` throughout.
    Highest,
    /// TF32 on GPUs that have it.
    High,
    /// `bf16` inside matmuls on CPUs where oneDNN has it; TF32 on GPUs.
    Medium,
}

impl MatmulPrecision {
    fn name(self) -> &'static CStr {
        match self {
            Self::Highest => c"highest",
            Self::High => c"high",
            Self::Medium => c"medium",
        }
    }
}

static SET: AtomicU8 = AtomicU8::new(MatmulPrecision::Highest as u8);

/// The precision set last by [`set_float32_matmul_precision`]; initially [`MatmulPrecision::Highest`].
pub fn float32_matmul_precision() -> MatmulPrecision {
    let set = SET.load(Ordering::Relaxed);
    let all = [
        MatmulPrecision::Highest,
        MatmulPrecision::High,
        MatmulPrecision::Medium,
    ];
    all[usize::from(set)]
}

/// PyTorch's `torch.set_float32_matmul_precision`, for the whole process.
///
/// # Errors
/// Those of libtorch.
pub fn set_float32_matmul_precision(precision: MatmulPrecision) -> Result<(), TchError> {
    // SAFETY: a C string that outlives the call.
    check(unsafe { shim_set_float32_matmul_precision(precision.name().as_ptr()) })?;
    SET.store(precision as u8, Ordering::Relaxed);
    Ok(())
}
