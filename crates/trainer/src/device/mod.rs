//! Devices by name. Only this folder and `distributed/nccl.rs` name Burn's backends.
#![allow(deprecated)] // Burn marks NdArray and LibTorch as superseded; they are what we run on.

pub(crate) mod out_of_memory;
pub(crate) mod process;
pub(crate) mod readback;

use bert_qa::Precision;
use burn::tensor::Device;

use crate::Error;
use crate::config::{Float32MatmulPrecision, RunConfig};

/// A device of this build.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeviceInfo {
    /// The name for `run.device` and `--device`.
    pub name: String,
    /// One line.
    pub description: String,
}

impl DeviceInfo {
    fn new(name: &str, description: String) -> Self {
        Self {
            name: name.into(),
            description,
        }
    }

    /// The number of a GPU.
    pub(crate) fn gpu(&self) -> Option<usize> {
        self.name.strip_prefix("cuda:")?.parse().ok()
    }

    /// The memory that tensors use on a GPU.
    #[cfg(feature = "cuda")]
    pub(crate) fn memory(&self) -> Option<DeviceMemory> {
        let memory = torch_shim::device_memory(self.gpu()?).ok()?;
        Some(DeviceMemory {
            current: memory.current,
            peak: memory.peak,
        })
    }

    /// Only GPUs have memory of their own.
    #[cfg(not(feature = "cuda"))]
    pub(crate) fn memory(&self) -> Option<DeviceMemory> {
        None
    }
}

/// Bytes of a GPU's memory that tensors use, by libtorch's allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Now.
    pub current: u64,
    /// At most since the process began.
    pub peak: u64,
}

/// The devices of this build on this computer, the best first.
pub fn devices() -> Vec<DeviceInfo> {
    let cores = process::cores();
    let mut devices = gpus();
    if cfg!(feature = "libtorch") {
        let description =
            format!("Burn on libtorch with this project's kernels, {cores} CPU cores");
        devices.push(DeviceInfo::new("libtorch", description));
    }
    if cfg!(feature = "flex") {
        let description = format!("Burn on flex with this project's kernels, {cores} CPU cores");
        devices.push(DeviceInfo::new("flex", description));
    }
    if cfg!(feature = "cpu") {
        let description = format!("Burn on ndarray with this project's kernels, {cores} CPU cores");
        devices.push(DeviceInfo::new("ndarray", description));
    }
    devices
}

#[cfg(feature = "cuda")]
fn gpus() -> Vec<DeviceInfo> {
    let count = match torch_shim::cuda_problem() {
        None => tch::Cuda::device_count(),
        Some(_) => 0,
    };
    let info = |index| DeviceInfo::new(&format!("cuda:{index}"), "Burn on libtorch, GPU".into());
    (0..count).map(info).collect()
}

#[cfg(not(feature = "cuda"))]
fn gpus() -> Vec<DeviceInfo> {
    Vec::new()
}

/// Why there is no GPU; `None` if there is one.
fn why_no_gpu() -> Option<String> {
    #[cfg(feature = "cuda")]
    return torch_shim::cuda_problem().map(|problem| first_sentence(&problem));
    #[cfg(not(feature = "cuda"))]
    Some("this build has no CUDA: build it with --features cuda".into())
}

/// Devices that are missing, with the reason; `cuda` stands for all GPUs.
pub fn absent_devices() -> Vec<DeviceInfo> {
    let gpu = why_no_gpu().map(|why| DeviceInfo::new("cuda", why));
    let lacks = |name, feature, compiled: bool| {
        let why = format!("this build has no {name}: build it with --features {feature}");
        (!compiled).then(|| DeviceInfo::new(name, why))
    };
    let backends = [
        lacks("libtorch", "libtorch", cfg!(feature = "libtorch")),
        lacks("flex", "flex", cfg!(feature = "flex")),
        lacks("ndarray", "cpu", cfg!(feature = "cpu")),
    ];
    gpu.into_iter()
        .chain(backends.into_iter().flatten())
        .collect()
}

/// Logs a warning if a build with CUDA uses another device.
pub fn warn_without_gpu(used: &DeviceInfo) {
    if let (Some(why), true) = (why_no_gpu(), cfg!(feature = "cuda")) {
        tracing::warn!("no GPU is used, but {}: {why}", used.name);
    }
}

/// The first sentence of an error of libtorch, without its stack trace.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))]
fn first_sentence(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = line.find(". ").unwrap_or(line.len());
    line[..end].trim_end_matches('.').to_owned()
}

/// The device of a name; `auto` is the best one.
///
/// # Errors
/// If there is no such device; the message lists those present.
pub fn device(name: &str) -> Result<(DeviceInfo, Device), Error> {
    device_of_rank(name, 0)
}

/// As [`device`], where `auto` is a different GPU for each process of a node.
pub(crate) fn device_of_rank(name: &str, local_rank: usize) -> Result<(DeviceInfo, Device), Error> {
    let devices = devices();
    // A launcher may show each process only its own GPU.
    let gpus = devices.iter().filter(|device| device.gpu().is_some());
    let auto = local_rank % gpus.count().max(1);
    let found = match name {
        "auto" => devices.get(auto),
        name => devices.iter().find(|device| device.name == name),
    };
    let info = found
        .cloned()
        .ok_or_else(|| Error::Device(why_not(name, &devices)))?;
    let device = match info.name.as_str() {
        #[cfg(feature = "cpu")]
        "ndarray" => Device::ndarray(),
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "libtorch")]
        "libtorch" => Device::libtorch(),
        #[cfg(feature = "cuda")]
        _ => {
            torch_shim::use_expandable_segments().map_err(Error::device)?;
            Device::libtorch_cuda(info.gpu().unwrap_or(0))
        }
        #[cfg(not(feature = "cuda"))]
        other => unreachable!("`devices` lists only what is handled here, not {other}"),
    };
    Ok((info, device))
}

/// One line: why a device is missing, and which are present.
fn why_not(name: &str, devices: &[DeviceInfo]) -> String {
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    if names.is_empty() {
        return "this build has no backend: build it with --features cpu".into();
    }
    let why = absent_devices()
        .into_iter()
        .find(|absent| name.split(':').next() == Some(&absent.name))
        .map_or("there is none of that name".into(), |absent| {
            absent.description
        });
    format!("device {name}: {why} (there is: {})", names.join(", "))
}

/// Sets the precision of f32 matmuls; returns that of the passes, for `autocast` and the model.
///
/// # Errors
/// If the device does not support it.
pub(crate) fn set_precision(info: &DeviceInfo, run: &RunConfig) -> Result<Precision, Error> {
    if matches!(info.name.as_str(), "ndarray" | "flex") {
        return match run.float32_matmul_precision {
            Float32MatmulPrecision::High => Err(Error::Device(format!(
                "run.float32_matmul_precision = \"high\" needs a GPU: device {} has \"highest\" and \"medium\"",
                info.name
            ))),
            Float32MatmulPrecision::Medium => Ok(available_precision(Precision::Bf16)),
            Float32MatmulPrecision::Highest if run.bf16 => Ok(available_precision(Precision::Bf16)),
            Float32MatmulPrecision::Highest => Ok(Precision::F32),
        };
    }
    #[cfg(feature = "libtorch")]
    {
        let precision = match run.float32_matmul_precision {
            Float32MatmulPrecision::Highest => torch_shim::MatmulPrecision::Highest,
            Float32MatmulPrecision::High => torch_shim::MatmulPrecision::High,
            Float32MatmulPrecision::Medium => torch_shim::MatmulPrecision::Medium,
        };
        torch_shim::set_float32_matmul_precision(precision)
            .map_err(|error| Error::Device(format!("run.float32_matmul_precision: {error}")))?;
    }
    Ok(if run.bf16 {
        Precision::Bf16
    } else {
        Precision::F32
    })
}

/// The precision, or `f32` with a warning where the processor lacks the instructions.
pub fn available_precision(precision: Precision) -> Precision {
    if precision.is_available() {
        return precision;
    }
    let missing = match precision {
        Precision::Int8 => "neither AVX-VNNI nor AVX2",
        _ => "no AVX512-BF16",
    };
    tracing::warn!("this processor has {missing}: matmuls stay in f32");
    Precision::F32
}

/// More threads than any machine has cores for.
pub(crate) const MAX_THREADS: usize = 1024;

/// Runs `work` on a thread pool of its own; 0 threads means one for each core.
///
/// # Errors
/// If there are more than 1024 threads, they cannot be started, or the device's memory does not suffice.
pub fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let threads = match threads {
        0 => process::cores(),
        1..=MAX_THREADS => threads,
        _ => {
            let message = format!("{threads} threads: at most {MAX_THREADS} can be used");
            return Err(Error::config(message));
        }
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        // `work` runs on one of them and needs the stack of a main thread.
        .stack_size(8 << 20)
        .build()
        .map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))?;
    pool.install(|| {
        keep_to_one_pool();
        out_of_memory::catch(work)
    })
}

/// Turns off libtorch's own thread pool, which would contend for the cores with the pool that `fused-ops` works on.
fn keep_to_one_pool() {
    #[cfg(feature = "libtorch")]
    tch::set_num_threads(1);
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_first_device_and_errors_list_those_present() {
        assert_eq!(device("auto").unwrap().0, devices()[0]);
        let error = device("cuda:77").unwrap_err().to_string();
        assert!(
            error.contains("cuda:77") && error.contains("ndarray"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn ndarray_takes_f32_and_bf16() {
        let (info, _) = device("ndarray").unwrap();
        let plain = RunConfig::default();
        assert_eq!(set_precision(&info, &plain).unwrap(), Precision::F32);
        let with = |float32_matmul_precision, bf16| RunConfig {
            float32_matmul_precision,
            bf16,
            ..plain.clone()
        };
        let bf16 = available_precision(Precision::Bf16);
        for run in [
            with(Float32MatmulPrecision::Highest, true),
            with(Float32MatmulPrecision::Medium, false),
        ] {
            assert_eq!(set_precision(&info, &run).unwrap(), bf16);
        }
        let error = set_precision(&info, &with(Float32MatmulPrecision::High, false)).unwrap_err();
        assert!(
            error.to_string().contains("float32_matmul_precision"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn first_sentence_removes_the_stack_trace() {
        let message = "Found no NVIDIA driver on your system. Please check that\nException raised";
        assert_eq!(
            first_sentence(message),
            "Found no NVIDIA driver on your system"
        );
    }
}
