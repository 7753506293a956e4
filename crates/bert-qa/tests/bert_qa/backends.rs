//! The backends that tests run on: each test that is a comparison with transformers has one body, and runs on all.

use std::path::Path;

use bert_qa::{BertForQuestionAnswering, DropoutSeed, PackedInput, Pretrained};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use squad_data::PackedBatch;

/// Makes a test of each function for each backend. A new backend is one line here, and a function below.
macro_rules! on_every_backend {
    ($($test:ident),+ $(,)?) => {
        on_every_backend! { @on ndarray_kernels { $($test)+ } }
        on_every_backend! { @on ndarray_primitives { $($test)+ } }
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

/// Makes a test of each function for a GPU: of those that ask for no mask, which libtorch draws there itself. They skip aloud
/// unless SQUAD_BURN_GPU promises a GPU, as `scripts/check-gpu.sh` does.
macro_rules! on_the_gpu {
    ($($test:ident),+ $(,)?) => {
        #[cfg(feature = "tch")]
        mod cuda_kernels {
            $(
                #[test]
                fn $test() {
                    match std::env::var_os("SQUAD_BURN_GPU") {
                        Some(_) => super::$test(&crate::backends::cuda_kernels()),
                        None => eprintln!("SKIPPED: SQUAD_BURN_GPU does not promise a GPU"),
                    }
                }
            )+
        }
    };
}

/// A device and the type of numbers there.
pub(crate) struct Backend {
    device: Device,
    dtype: DType,
    /// What a number may differ by from one that transformers computes in `f64`. Fixtures hold `f32`.
    pub(crate) tolerance: f32,
}

/// What training runs on: `fused-ops` has kernels for `f32` on ndarray, which the workspace's features turn on.
#[allow(deprecated)] // Burn marks NdArray as superseded; it is what this project runs on.
pub(crate) fn ndarray_kernels() -> Backend {
    Backend {
        device: Device::ndarray(),
        dtype: DType::F32,
        // Hidden states and logits are below 10, where neighbouring numbers are 1e-6 apart. They come out of some 30
        // operations on 12 to 384 numbers each, whose roundings were seen to add up to 3e-6.
        tolerance: 1e-5,
    }
}

/// `f64` on ndarray has no kernels, so `fused-ops` takes its references from Burn primitives, as on any other backend.
#[allow(deprecated)]
pub(crate) fn ndarray_primitives() -> Backend {
    Backend {
        device: Device::ndarray(),
        dtype: DType::F64,
        // What is left is the rounding of the comparison, to `f32`.
        tolerance: 1e-6,
    }
}

/// As [`ndarray_kernels`], with libtorch's matrix products.
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

/// libtorch's own kernels, with `f32` products as exact as they come.
#[cfg(feature = "tch")]
#[allow(deprecated)]
pub(crate) fn cuda_kernels() -> Backend {
    Backend {
        device: Device::libtorch_cuda(0),
        dtype: DType::F32,
        // As on the CPU, and attention that adds up several TF32 products for one: not seen on a GPU yet.
        tolerance: 1e-4,
    }
}

impl Backend {
    /// The device without autodiff.
    pub(crate) fn device(&self) -> Device {
        self.device.clone()
    }

    /// The model of a folder; on the device with autodiff, if it is to be trained.
    pub(crate) fn load(&self, folder: &Path, train: bool) -> BertForQuestionAnswering {
        let device = match train {
            true => self.device().autodiff(),
            false => self.device(),
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

/// A tensor's numbers, of whatever type.
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
        let tensor = match self.train {
            true => Tensor::from_inner(tensor.inner().cast(self.dtype)).require_grad(),
            false => tensor.cast(self.dtype),
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
