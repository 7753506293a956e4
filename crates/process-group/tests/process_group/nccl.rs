//! NCCL without a GPU, and with the one rank that one GPU allows.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use process_group::{
    Collective, Collectives, DeviceBuffer, DeviceType, Error, NcclGroup, SingleProcess, Timeouts,
};

const TO_DEVICE: c_int = 1;
const TO_HOST: c_int = 2;

unsafe extern "C" {
    fn cudaMalloc(pointer: *mut *mut c_void, bytes: usize) -> c_int;
    fn cudaMemcpy(to: *mut c_void, from: *const c_void, bytes: usize, kind: c_int) -> c_int;
    fn cudaFree(pointer: *mut c_void) -> c_int;
}

fn connect(device: usize) -> Result<NcclGroup, Error> {
    NcclGroup::connect(Arc::new(SingleProcess), device, Timeouts::default())
}

#[test]
fn a_device_that_does_not_exist_is_an_error_of_one_line() {
    let error = connect(77).err().expect("no machine has so many GPUs");
    let is_cuda = |call| call == "cudaSetDevice";
    assert!(
        matches!(error, Error::Nccl { call, .. } if is_cuda(call)),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
#[ignore = "needs a GPU: runs NCCL on it"]
fn one_rank_on_a_gpu_gets_its_buffer_back() {
    let group = connect(0).expect("a GPU");
    let numbers: Vec<f32> = (0..1000_u16).map(f32::from).collect();
    let bytes = numbers.len() * 4;
    let mut pointer = std::ptr::null_mut();
    for collective in [
        Collective::AllReduce,
        Collective::Broadcast { root: 0 },
        Collective::AllGather,
        Collective::ReduceScatter,
    ] {
        let mut back = vec![0.0_f32; numbers.len()];
        // SAFETY: the memory has as many bytes as both vectors and is freed after its last use; copies on the default
        // stream run after the work that is on it.
        unsafe {
            assert_eq!(cudaMalloc(&mut pointer, bytes), 0);
            assert_eq!(
                cudaMemcpy(pointer, numbers.as_ptr().cast(), bytes, TO_DEVICE),
                0
            );
            let stream = std::ptr::null_mut();
            let buffer = DeviceBuffer::new(pointer, numbers.len(), DeviceType::F32, stream);
            let buffer = group
                .start(collective, buffer)
                .wait()
                .expect("no rank is lost");
            assert_eq!((buffer.pointer(), buffer.len()), (pointer, numbers.len()));
            assert_eq!(
                cudaMemcpy(back.as_mut_ptr().cast(), pointer, bytes, TO_HOST),
                0
            );
            assert_eq!(cudaFree(pointer), 0);
        }
        assert_eq!(back, numbers, "{collective}");
    }
}
