use std::sync::{Arc, Mutex, PoisonError};

use burn::store::burn_pack::{Error as PackError, Tensor};
use burn::store::{ModuleAdapter, ModuleContext, bridge};
use burn::tensor::{DType, TensorData};

/// Converts floating-point tensors to `f32` and refuses those that hold NaN or an infinity.
#[derive(Clone)]
pub(super) struct FiniteF32 {
    first_error: FirstError,
    /// Ends the message about such a tensor.
    consequence: &'static str,
}

/// The module path of the first tensor that could not be read, and the reason. Kept here because
/// Burn's loader wraps the reason in its own words.
#[derive(Clone, Default)]
pub(super) struct FirstError(Arc<Mutex<Option<(String, String)>>>);

impl FirstError {
    fn set(&self, path: &str, message: String) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert((path.into(), message));
    }

    pub(super) fn take(&self) -> Option<(String, String)> {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

impl FiniteF32 {
    pub(super) fn new(first_error: &FirstError, consequence: &'static str) -> Self {
        Self {
            first_error: first_error.clone(),
            consequence,
        }
    }
}

impl ModuleAdapter for FiniteF32 {
    fn adapt(&self, tensor: Tensor, _: ModuleContext<'_>) -> Tensor {
        // The loader refuses integers: it knows the parameter's type.
        if !tensor.dtype.is_float() {
            return tensor;
        }
        let (name, shape, id) = (tensor.name.clone(), tensor.shape.clone(), tensor.param_id);
        let (first_error, consequence) = (self.first_error.clone(), self.consequence);
        bridge::deferred(name, DType::F32, shape, id, move || {
            read(&tensor, consequence).map_err(|message| {
                first_error.set(&tensor.name, message.clone());
                PackError::ValidationError(message)
            })
        })
    }

    fn clone_box(&self) -> Box<dyn ModuleAdapter> {
        Box::new(self.clone())
    }
}

fn read(tensor: &Tensor, consequence: &str) -> Result<TensorData, String> {
    let damaged = |error: String| {
        let error = error.lines().next().unwrap_or_default().to_owned();
        format!("cannot be read ({error}): download the file again")
    };
    let data = bridge::to_data(tensor).map_err(|e| damaged(e.to_string()))?;
    let data = data
        .try_cast(DType::F32)
        .map_err(|e| damaged(e.to_string()))?;
    match first_not_finite(data.as_bytes()) {
        None => Ok(data),
        Some((index, value)) => {
            let position = position(index, &tensor.shape);
            Err(format!("holds {value} at {position:?}: {consequence}"))
        }
    }
}

/// The index and value of the first NaN or infinity in the bytes of `f32`s.
fn first_not_finite(bytes: &[u8]) -> Option<(usize, f32)> {
    /// Values checked together without a branch, so that the compiler can vectorize.
    const BLOCK: usize = 256;
    /// The exponent's bits: all are set only in NaN and infinity.
    const EXPONENT: u32 = 0x7f80_0000;
    let bits = |number: &[u8]| u32::from_ne_bytes([number[0], number[1], number[2], number[3]]);
    for (block, numbers) in bytes.chunks(4 * BLOCK).enumerate() {
        let wrong = numbers.chunks_exact(4).fold(0, |wrong, number| {
            wrong | u32::from(bits(number) & EXPONENT == EXPONENT)
        });
        if wrong != 0 {
            let values = numbers.chunks_exact(4).map(bits).map(f32::from_bits);
            let mut values = values.enumerate();
            return values
                .find(|(_, value)| !value.is_finite())
                .map(|(index, value)| (block * BLOCK + index, value));
        }
    }
    None
}

/// The coordinates of the element with this row-major index.
fn position(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut position: Vec<_> = shape
        .iter()
        .rev()
        .map(|&size| {
            let at = index % size.max(1);
            index /= size.max(1);
            at
        })
        .collect();
    position.reverse();
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_not_finite_finds_nan_and_infinity() {
        let find = |values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
            first_not_finite(&bytes).map(|(index, value)| (index, value.to_string()))
        };
        let mut values = vec![0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 2.0];
        values.resize(1000, 1.0);
        assert_eq!(find(&values), None);
        assert_eq!(find(&[]), None);
        for (index, value, name) in [
            (999, f32::NAN, "NaN"),
            (256, f32::NEG_INFINITY, "-inf"),
            (255, f32::INFINITY, "inf"),
            (0, -f32::NAN, "NaN"),
        ] {
            values[index] = value;
            assert_eq!(find(&values), Some((index, name.to_owned())));
        }
    }

    #[test]
    fn position_gives_coordinates() {
        assert_eq!(position(0, &[2, 3]), [0, 0]);
        assert_eq!(position(5, &[2, 3]), [1, 2]);
        assert_eq!(position(4, &[7]), [4]);
        assert_eq!(position(0, &[]), [0; 0]);
    }
}
