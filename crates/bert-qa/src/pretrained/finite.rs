use std::sync::{Arc, Mutex, PoisonError};

use burn::store::burn_pack::{Error as PackError, Tensor};
use burn::store::{ModuleAdapter, ModuleContext, bridge};
use burn::tensor::{DType, TensorData};

/// Makes tensors of a file `f32`, whatever floats they are, and refuses one that holds NaN or an
/// infinity, when its numbers are read.
#[derive(Clone)]
pub(crate) struct FiniteF32 {
    faults: Faults,
}

/// The first tensor that could not be read: its module path and what is wrong with it. The errors
/// of Burn's loader would wrap this in words of theirs.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<(String, String)>>>);

impl Faults {
    fn put(&self, path: &str, message: String) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert((path.into(), message));
    }

    pub(crate) fn take(&self) -> Option<(String, String)> {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

impl FiniteF32 {
    pub(crate) fn new(faults: &Faults) -> Self {
        Self {
            faults: faults.clone(),
        }
    }
}

impl ModuleAdapter for FiniteF32 {
    fn adapt(&self, tensor: Tensor, _: ModuleContext<'_>) -> Tensor {
        // Whole numbers are refused by the loader, which knows what the parameter is.
        if !tensor.dtype.is_float() {
            return tensor;
        }
        let (name, shape, id) = (tensor.name.clone(), tensor.shape.clone(), tensor.param_id);
        let faults = self.faults.clone();
        bridge::deferred(name, DType::F32, shape, id, move || {
            read(&tensor).map_err(|message| {
                faults.put(&tensor.name, message.clone());
                PackError::ValidationError(message)
            })
        })
    }

    fn clone_box(&self) -> Box<dyn ModuleAdapter> {
        Box::new(self.clone())
    }
}

fn read(tensor: &Tensor) -> Result<TensorData, String> {
    let damaged = |error: String| {
        let error = error.lines().next().unwrap_or_default().to_owned();
        format!("cannot be read ({error}): fetch the file again")
    };
    let data = bridge::to_data(tensor).map_err(|e| damaged(e.to_string()))?;
    let data = data
        .try_cast(DType::F32)
        .map_err(|e| damaged(e.to_string()))?;
    match first_not_finite(data.as_bytes()) {
        None => Ok(data),
        Some((index, value)) => {
            let position = position(index, &tensor.shape);
            Err(format!(
                "holds {value} at {position:?}: these weights cannot be used"
            ))
        }
    }
}

/// The first NaN or infinity among `f32`s, with its index.
fn first_not_finite(bytes: &[u8]) -> Option<(usize, f32)> {
    /// Numbers looked at together, without a branch: that is what vector instructions can do.
    const BLOCK: usize = 256;
    /// All bits of the exponent: set in NaN and infinity alone.
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

/// Where the number with this index in row-major order stands.
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
    fn the_first_number_that_is_none_is_found() {
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
    fn a_place_is_told_in_rows_and_columns() {
        assert_eq!(position(0, &[2, 3]), [0, 0]);
        assert_eq!(position(5, &[2, 3]), [1, 2]);
        assert_eq!(position(4, &[7]), [4]);
        assert_eq!(position(0, &[]), [0; 0]);
    }
}
