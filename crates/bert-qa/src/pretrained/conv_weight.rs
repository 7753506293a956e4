use burn::store::burn_pack::Tensor;
use burn::store::{ModuleAdapter, ModuleContext, bridge};
use burn::tensor::{DType, TensorData};

/// A convolution's weight from PyTorch's `[out, in, kernel_size]` to the model's `[kernel_size * in, out]`, where `in` is
/// `out`, and back.
#[derive(Clone, Copy)]
pub(super) enum ConvWeight {
    FromPyTorch,
    ToPyTorch,
}

/// Whether a module path is that of a convolution's weight.
pub(super) fn is_conv_weight(path: &str) -> bool {
    path.ends_with(".encoder.conv.conv.weight")
}

/// The shape in PyTorch's files of a weight that is `[kernel_size * width, width]` in the model.
pub(super) fn pytorch_shape(rows: usize, width: usize) -> [usize; 3] {
    [width, width, rows / width.max(1)]
}

impl ModuleAdapter for ConvWeight {
    fn adapt(&self, tensor: Tensor, _: ModuleContext<'_>) -> Tensor {
        if !is_conv_weight(&tensor.name) || tensor.dtype != DType::F32 {
            return tensor;
        }
        // The axes in the source.
        let (axes, shape) = match (self, &tensor.shape.to_vec()[..]) {
            (Self::FromPyTorch, &[output, input, kernel_size]) => {
                let shape = vec![kernel_size * input, output];
                ([output, input, kernel_size], shape)
            }
            (Self::ToPyTorch, &[rows, width]) => {
                let shape = pytorch_shape(rows, width);
                let [output, input, kernel_size] = shape;
                ([kernel_size, input, output], shape.to_vec())
            }
            _ => return tensor,
        };
        let (name, target) = (tensor.name.clone(), shape.clone());
        bridge::map_data(tensor, name, DType::F32, shape.into(), move |data| {
            let values: Vec<f32> = data.iter::<f32>().collect();
            TensorData::new(with_reversed_axes(&values, axes), target.clone())
        })
    }

    fn clone_box(&self) -> Box<dyn ModuleAdapter> {
        Box::new(*self)
    }
}

/// `[a, b, c]` to `[c, b, a]`.
fn with_reversed_axes(values: &[f32], [a, b, c]: [usize; 3]) -> Vec<f32> {
    let places = (0..c).flat_map(|k| (0..b).map(move |j| (j, k)));
    let places = places.flat_map(|(j, k)| (0..a).map(move |i| (i * b + j) * c + k));
    places.map(|place| values[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversed_axes_twice_are_the_same_values() {
        let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let reversed = with_reversed_axes(&values, [2, 3, 4]);
        assert_eq!(reversed[..4], [0.0, 12.0, 4.0, 16.0]);
        assert_eq!(with_reversed_axes(&reversed, [4, 3, 2]), values);
    }
}
