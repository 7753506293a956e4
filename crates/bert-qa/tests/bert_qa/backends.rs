//! The backends that tests run on: a test that compares with transformers has one body and runs on each of them.

use std::path::Path;

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use squad_data::PackedBatch;

/// Makes a test of each function for each backend. A new backend needs a line here and a function below.
macro_rules! on_every_backend {
    ($($test:ident),+ $(,)?) => {
        on_every_backend! { @on ndarray_kernels { $($test)+ } }
        on_every_backend! { @on ndarray_primitives { $($test)+ } }
        #[cfg(feature = "flex")]
        on_every_backend! { @on flex_kernels { $($test)+ } }
        #[cfg(feature = "flex")]
        on_every_backend! { @on flex_primitives { $($test)+ } }
        #[cfg(feature = "tch")]
        on_every_backend! { @on libtorch_kernels { $($test)+ } }
        #[cfg(feature = "tch")]
        on_every_backend! { @on libtorch_primitives { $($test)+ } }
    };
    (@on $backend:ident { $($test:ident)+ }) => {
        mod $backend {
            $(
                #[test]
                fn $test() {
                    super::$test(&crate::backends::$backend());
                }
            )+
        }
    };
}

/// Makes a test of each function for a GPU. Only for functions without dropout: on a GPU, libtorch draws the masks itself.
macro_rules! on_the_gpu {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "tch")]
        mod gpu {
            $(
                #[test]
                #[ignore = "needs an NVIDIA GPU: runs libtorch's kernels for it"]
                fn $test() {
                    super::$test(&crate::backends::gpu());
                }
            )+
        }
    };
}

/// A device and the type of parameters there.
pub(crate) struct Backend {
    device: Device,
    dtype: DType,
    /// The largest difference to transformers' `f64` values, which the fixtures hold as `f32`.
    pub(crate) tolerance: f32,
}

/// The backend of training: `fused-ops` has kernels for `f32` on ndarray, which the workspace's features turn on.
#[allow(deprecated)] // Burn marks NdArray as superseded; this project runs on it.
pub(crate) fn ndarray_kernels() -> Backend {
    Backend {
        device: Device::ndarray(),
        dtype: DType::F32,
        // Hidden states and logits are below 10, where neighbouring numbers are 1e-6 apart. Rounding in some 30 operations
        // on 12 to 384 numbers each adds up to 3e-6.
        tolerance: 1e-5,
    }
}

/// `fused-ops` has no kernels for `f64` on ndarray: it runs its references of Burn primitives, as on any other backend.
#[allow(deprecated)]
pub(crate) fn ndarray_primitives() -> Backend {
    Backend {
        device: Device::ndarray(),
        dtype: DType::F64,
        // The fixtures are rounded to `f32`.
        tolerance: 1e-6,
    }
}

/// As [`ndarray_kernels`], on flex.
#[cfg(feature = "flex")]
pub(crate) fn flex_kernels() -> Backend {
    Backend {
        device: Device::flex(),
        ..ndarray_kernels()
    }
}

/// As [`ndarray_primitives`], on flex.
#[cfg(feature = "flex")]
pub(crate) fn flex_primitives() -> Backend {
    Backend {
        device: Device::flex(),
        ..ndarray_primitives()
    }
}

/// As [`ndarray_kernels`], with libtorch's matmuls.
#[cfg(feature = "tch")]
#[allow(deprecated)]
pub(crate) fn libtorch_kernels() -> Backend {
    Backend {
        device: Device::libtorch(),
        ..ndarray_kernels()
    }
}

/// As [`ndarray_primitives`], on libtorch.
#[cfg(feature = "tch")]
#[allow(deprecated)]
pub(crate) fn libtorch_primitives() -> Backend {
    Backend {
        device: Device::libtorch(),
        ..ndarray_primitives()
    }
}

/// libtorch's kernels on a GPU, with matmuls in `f32`.
///
/// # Panics
/// Without a GPU.
#[cfg(feature = "tch")]
#[allow(deprecated)]
pub(crate) fn gpu() -> Backend {
    Backend {
        device: Device::libtorch_cuda(0),
        dtype: DType::F32,
        // As on the CPU, plus attention, which computes an `f32` matmul as several in TF32. Not measured on a GPU yet.
        tolerance: 1e-4,
    }
}

impl Backend {
    /// The device without autodiff.
    pub(crate) fn device(&self) -> Device {
        self.device.clone()
    }

    /// Loads a model folder; `train` puts the model on the device with autodiff.
    pub(crate) fn load(&self, folder: &Path, train: bool) -> BertForQuestionAnswering {
        let device = if train {
            self.device().autodiff()
        } else {
            self.device()
        };
        let model = Pretrained::load(folder, 0, &device).unwrap().model;
        match self.dtype {
            DType::F32 => model,
            dtype => model.map(&mut Cast { dtype, train }),
        }
    }

    /// Copies of one row.
    pub(crate) fn rows(&self, row: &[f32], rows: usize) -> Tensor<2> {
        let data = TensorData::new(row.repeat(rows), [rows, row.len()]);
        Tensor::<2>::from_data(data, &self.device).cast(self.dtype)
    }

    /// Start and end logit of every token: start, end, start, end, …
    pub(crate) fn logits(
        &self,
        model: &BertForQuestionAnswering,
        batch: &PackedBatch,
        dropout: Option<DropoutSeed>,
    ) -> Vec<f32> {
        values(model.forward(&PackedInput::new(batch, &self.device()), dropout))
    }
}

/// A tensor's values as `f32`, whatever its type.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

struct Cast {
    dtype: DType,
    train: bool,
}

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = parameter.consume();
        let tensor = if self.train {
            Tensor::from_inner(tensor.inner().cast(self.dtype)).require_grad()
        } else {
            tensor.cast(self.dtype)
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
