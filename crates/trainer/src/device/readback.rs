use burn::tensor::Tensor;

use crate::Error;

/// An asynchronous copy of two numbers from the device: the host does not wait for it until [`wait`](Self::wait).
pub(crate) struct Readback {
    #[cfg(feature = "libtorch")]
    download: torch_shim::Download,
    #[cfg(not(feature = "libtorch"))]
    numbers: Tensor<1>,
}

impl Readback {
    /// Starts to read `numbers`, `[2]`, without autodiff, as they are after the work that was started before.
    #[cfg(feature = "libtorch")]
    pub(crate) fn start(numbers: Tensor<1>) -> Result<Self, Error> {
        #[allow(deprecated)] // As device/mod.rs.
        let numbers = numbers
            .try_into_primitive::<burn::backend::LibTorch>()
            .map_err(|error| Error::device(format!("{error:?}")))?;
        let download = torch_shim::Download::start(&numbers.tensor).map_err(Error::device)?;
        Ok(Self { download })
    }

    #[cfg(not(feature = "libtorch"))]
    pub(crate) fn start(numbers: Tensor<1>) -> Result<Self, Error> {
        Ok(Self { numbers })
    }

    /// Waits for the numbers.
    #[cfg(feature = "libtorch")]
    pub(crate) fn wait(self) -> Result<[f32; 2], Error> {
        let numbers = self.download.wait().map_err(Error::device)?;
        Ok([0, 1].map(|index| numbers.double_value(&[index]) as f32))
    }

    #[cfg(not(feature = "libtorch"))]
    pub(crate) fn wait(self) -> Result<[f32; 2], Error> {
        let numbers = self.numbers.try_into_vec_as::<f32>();
        let numbers = numbers.map_err(Error::device)?;
        Ok([numbers[0], numbers[1]])
    }
}
