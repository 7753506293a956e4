//! Tensors by Hugging Face's names. The tests of `trainer` use this file too.

use std::collections::BTreeMap;
use std::path::Path;

use bert_qa::{BertForQuestionAnswering, hugging_face_name};
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{ModuleStore, SafetensorsStore, bridge};
use burn::tensor::Tensor;

/// NaN if a difference is NaN, so that no comparison with a tolerance passes.
pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |max, d| if d <= max { max } else { d })
}

/// Values of tensors by name.
pub(crate) type Tensors = BTreeMap<String, Vec<f32>>;

/// The tensors of a safetensors file.
pub(crate) fn read_tensors(path: &Path) -> Tensors {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().unwrap().iter();
    tensors
        .map(|(name, tensor)| {
            let values = bridge::to_data(tensor).unwrap().try_to_vec().unwrap();
            (name.clone(), values)
        })
        .collect()
}

/// One tensor per parameter of the model, by Hugging Face's names and in PyTorch's layout.
pub(crate) fn by_name<F>(model: &BertForQuestionAnswering, of_parameter: F) -> Tensors
where
    F: OfParameter,
{
    let mut collector = Collector {
        of_parameter,
        path: Vec::new(),
        found: Tensors::new(),
    };
    model.visit(&mut collector);
    collector.found
}

/// The tensor to take of a parameter. A trait, because a closure cannot be generic over the rank.
pub(crate) trait OfParameter {
    fn take<const D: usize>(&self, parameter: Tensor<D>) -> Option<Tensor<D>>;
}

/// The parameter itself.
pub(crate) struct Value;

impl OfParameter for Value {
    fn take<const D: usize>(&self, parameter: Tensor<D>) -> Option<Tensor<D>> {
        Some(parameter)
    }
}

struct Collector<F> {
    of_parameter: F,
    path: Vec<String>,
    found: Tensors,
}

impl<F: OfParameter> ModuleVisitor for Collector<F> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let name = hugging_face_name(&self.path.join("."));
        let Some(tensor) = self.of_parameter.take(parameter.val()) else {
            return;
        };
        if name.ends_with(".conv.conv.weight") {
            // [kernel_size * in, out] here, [out, in, kernel_size] in PyTorch.
            let [rows, width] = [0, 1].map(|axis| tensor.shape()[axis]);
            let axes = tensor.reshape([rows / width, width, width]);
            let values = axes.permute([2, 1, 0]).into_data().iter().collect();
            self.found.insert(name, values);
            return;
        }
        // A linear layer's weight is [in, out] in Burn and [out, in] in PyTorch; an embedding's is the same in both.
        let is_embedding = ["_embeddings.", "relative_attention_bias"]
            .iter()
            .any(|part| name.contains(part));
        let tensor = if D == 2 && !is_embedding {
            tensor.swap_dims(0, 1)
        } else {
            tensor
        };
        let values = tensor.into_data().iter::<f32>().collect();
        assert!(
            self.found.insert(name.clone(), values).is_none(),
            "{name} twice"
        );
    }
}
