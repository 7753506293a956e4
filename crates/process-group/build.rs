//! Feature `nccl`: finds the NCCL and the CUDA runtime that PyTorch's wheel brings.

use std::path::{Path, PathBuf};
use std::{env, fs};

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
            "cargo::error=feature `nccl`: LIBTORCH names no libtorch: run scripts/install-libtorch.sh"
        );
        return;
    };
    // Without its links, which hide the wheel's neighbours.
    let libtorch = fs::canonicalize(&libtorch).unwrap_or(libtorch);
    let folders = LIBRARIES.map(|(package, file)| folder(&libtorch, package, file));
    for ((_, file), folder) in LIBRARIES.iter().zip(&folders) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        // By its versioned name: the wheel has no other.
        println!("cargo::rustc-link-lib=dylib:+verbatim={file}");
    }
    let path = folders.map(|folder| folder.display().to_string()).join(":");
    // For the tests and examples of this crate.
    let libraries = libtorch.join("lib");
    println!(
        "cargo::rustc-link-arg=-Wl,-rpath,{path}:{}",
        libraries.display()
    );
    // For the build script of a program, which gives such an argument too: `DEP_NCCL_RPATH`.
    println!("cargo::metadata=rpath={path}");
}

/// `libtorch` is the wheel's folder `torch`.
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
