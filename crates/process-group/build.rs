//! Feature `nccl`: finds the NCCL and the CUDA runtime that PyTorch's wheel brings.

use std::env;
use std::path::{Path, PathBuf};

/// Each with its package among the wheel's neighbours.
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
            "cargo::error=feature `nccl`: set LIBTORCH to the folder `torch` of PyTorch's Python package, \
             beside which its `nvidia/nccl/lib` lies"
        );
        return;
    };
    let folders = LIBRARIES.map(|(package, file)| folder(&libtorch, package, file));
    for ((_, file), folder) in LIBRARIES.iter().zip(&folders) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        // By its versioned name: the wheel has no other.
        println!("cargo::rustc-link-lib=dylib:+verbatim={file}");
        // For the tests and examples of this crate.
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
    // For the build script of a program, which gives the same argument: `DEP_NCCL_RPATH`.
    println!(
        "cargo::metadata=rpath={}",
        folders.map(|folder| folder.display().to_string()).join(":")
    );
}

fn folder(libtorch: &Path, package: &str, file: &str) -> PathBuf {
    let neighbours = libtorch.parent().unwrap_or(libtorch);
    let folder = neighbours.join("nvidia").join(package).join("lib");
    if !folder.join(file).exists() {
        println!(
            "cargo::error=feature `nccl`: no {file} in {}: is LIBTORCH ({}) the folder `torch` of a \
             PyTorch wheel with CUDA?",
            folder.display(),
            libtorch.display()
        );
    }
    folder
}
