//! Feature `nccl`: links the NCCL and the CUDA runtime of PyTorch's wheel.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Packages beside the wheel, with the library of each.
const LIBRARIES: [(&str, &str); 2] = [
    ("nccl", "libnccl.so.2"),
    ("cuda_runtime", "libcudart.so.12"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_NCCL").is_none() {
        return;
    }
    let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!(
            "cargo::error=feature `nccl`: LIBTORCH is not set: run scripts/install-libtorch.sh"
        );
        return;
    };
    // Follows links: the packages lie beside the wheel itself.
    let libtorch = fs::canonicalize(&libtorch).unwrap_or(libtorch);
    let folders = LIBRARIES.map(|(package, file)| folder(&libtorch, package, file));
    for ((_, file), folder) in LIBRARIES.iter().zip(&folders) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        // By its versioned name, because the wheel has no other.
        println!("cargo::rustc-link-lib=dylib:+verbatim={file}");
    }
    let path = folders.map(|folder| folder.display().to_string()).join(":");
    // For the tests and examples of this crate.
    let libraries = libtorch.join("lib");
    println!(
        "cargo::rustc-link-arg=-Wl,-rpath,{path}:{}",
        libraries.display()
    );
    // Cargo does not pass the run path on to programs: their build scripts add `DEP_NCCL_RPATH`.
    println!("cargo::metadata=rpath={path}");
}

/// The folder of a library; `libtorch` is the wheel's folder `torch`.
fn folder(libtorch: &Path, package: &str, file: &str) -> PathBuf {
    let neighbours = libtorch.parent().unwrap_or(libtorch);
    let folder = neighbours.join("nvidia").join(package).join("lib");
    if !folder.join(file).exists() {
        println!(
            "cargo::error=feature `nccl`: no {file} in {}: is LIBTORCH ({}) the folder `torch` of a PyTorch wheel \
             with CUDA? scripts/install-libtorch.sh gets one",
            folder.display(),
            libtorch.display()
        );
    }
    folder
}
