use burn::tensor::{Device, Int, Tensor, TensorData};

/// Vectors of integers on a device, copied there at once. A GPU's copy comes from pinned memory, and the host does not wait
/// for it.
pub fn upload_ints<const N: usize>(
    vectors: [impl ExactSizeIterator<Item = i64>; N],
    device: &Device,
) -> [Tensor<1, Int>; N] {
    let lengths = vectors.each_ref().map(ExactSizeIterator::len);
    let all: Vec<i64> = vectors.into_iter().flatten().collect();
    let all = upload(all, device);
    let mut start = 0;
    lengths.map(|length| {
        let part = all.clone().narrow(0, start, length);
        start += length;
        part
    })
}

/// Whether operations on the device run while the host goes on, so that reading a number makes the host wait: on a GPU.
pub fn runs_asynchronously(device: &Device) -> bool {
    #[cfg(kernels)]
    return crate::backend::has_operations_of_gpu(device);
    #[cfg(not(kernels))]
    {
        let _ = device;
        false
    }
}

fn upload(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    #[cfg(feature = "tch")]
    if let Some(on_gpu) = crate::backend::libtorch::upload(&values, device) {
        return if device.is_autodiff() {
            Tensor::from_inner(on_gpu)
        } else {
            on_gpu
        };
    }
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
