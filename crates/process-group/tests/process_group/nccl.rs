//! NCCL with the one rank that one GPU can have, and without a GPU.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use process_group::{
    Collective, Collectives, DeviceBuffer, DeviceType, Error, Limits, NcclGroup, OneProcess,
};

const TO_DEVICE: c_int = 1;
const TO_HOST: c_int = 2;

unsafe extern "C" {
    fn cudaGetDeviceCount(count: *mut c_int) -> c_int;
    fn cudaMalloc(pointer: *mut *mut c_void, bytes: usize) -> c_int;
    fn cudaMemcpy(to: *mut c_void, from: *const c_void, bytes: usize, kind: c_int) -> c_int;
    fn cudaFree(pointer: *mut c_void) -> c_int;
}

fn has_gpu() -> bool {
    let mut count = 0;
    // SAFETY: the pointer is to a live variable.
    let code = unsafe { cudaGetDeviceCount(&mut count) };
    code == 0 && count > 0
}

fn connect() -> Result<NcclGroup, Error> {
    NcclGroup::connect(Arc::new(OneProcess), 0, Limits::default())
}

#[test]
fn without_a_gpu_it_is_one_line() {
    if has_gpu() {
        return;
    }
    let error = connect().err().expect("there is no GPU");
    assert!(
        matches!(
            error,
            Error::Nccl {
                call: "cudaSetDevice",
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn one_rank_gets_back_what_it_brought() {
    if !has_gpu() {
        eprintln!("SKIPPED: no GPU: NCCL's collectives are not run here");
        return;
    }
    let group = connect().expect("a GPU that works");
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
        // SAFETY: the memory has as many bytes as both vectors and is freed after its last use; copies
        // on the default stream come after what is on it.
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
                .expect("nobody is lost");
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
